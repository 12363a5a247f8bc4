from collections.abc import Callable
from pathlib import Path

import pytest

from touchplate.errors import SettingsError, TouchplateError
from touchplate.storage.schemes import open_log, open_objects

OPENERS: list[Callable[[str], object]] = [open_objects, lambda uri: open_log(uri, "log")]


@pytest.mark.parametrize("open_store", OPENERS, ids=["objects", "log"])
@pytest.mark.parametrize("uri", ["", "tmp", "ftp://host/a", "file://host/a", "file:a"])
def test_no_store(uri: str, open_store: Callable[[str], object]) -> None:
    """A URI that names no store of ours is the operator's to mend."""
    with pytest.raises(SettingsError) as refused:
        open_store(uri)
    assert refused.value.code == "SETTINGS_INVALID"


@pytest.mark.parametrize(
    ("open_store", "uri"),
    [
        (OPENERS[0], "postgresql://user:hunter2@host/database"),
        (OPENERS[0], "postgres://user:hunter2@host/database"),
        (OPENERS[0], "s3://user:hunter2@bucket/prefix"),
        (OPENERS[0], "s3://bucket/prefix?secret=hunter2"),
        (OPENERS[0], "s3:///hunter2"),
        (OPENERS[0], "s3://bucket/a//b"),
        (OPENERS[0], "file://user:hunter2@host/a"),
        (OPENERS[1], "s3://user:hunter2@bucket/prefix"),
        (OPENERS[1], "postgresql://user:hunter2@host"),
        (OPENERS[1], "postgresql://user:hunter2@host/database?schema=A-B"),
        (OPENERS[1], "postgresql://user:hunter2@host:x/database"),
        (OPENERS[1], "postgresql://user:hunter2@host/database?sslmode=hunter2"),
        (OPENERS[1], "mysql://user:hunter2@host/database"),
    ],
)
def test_wrong_uri(open_store: Callable[[str], object], uri: str) -> None:
    """A URI that cannot be right is refused, and the password in it is not repeated."""
    with pytest.raises(SettingsError) as refused:
        open_store(uri)
    assert refused.value.code == "SETTINGS_INVALID"
    assert "hunter2" not in everything(refused.value).replace("s3:///hunter2", "")


def everything(error: TouchplateError) -> str:
    """Give all that an operator may come to see of an error."""
    return f"{error} {error.expected} {error.found} {error.hint}"


def test_escaped_path(tmp_path: Path) -> None:
    """A path with spaces is written as URIs are."""
    open_objects(f"file://{tmp_path}/a%20b").put("c", b"one")

    assert (tmp_path / "a b" / "c").read_bytes() == b"one"


def test_logs_of_a_folder(tmp_path: Path) -> None:
    """Each log in a folder has a file of its own."""
    for name in ("tlog", "ct"):
        open_log(f"file://{tmp_path}", name).close()

    assert {path.name for path in tmp_path.glob("*.db")} == {"tlog.db", "ct.db"}
