import os
import stat
from pathlib import Path

import pytest

from touchplate.errors import RefusedError, UnavailableError
from touchplate.storage.folder import FolderObjects


def test_modes(tmp_path: Path) -> None:
    """Nobody else may read or write, whatever the umask."""
    umask = os.umask(0)
    try:
        store = FolderObjects(tmp_path / "store")
        store.put("a/b/c", b"one")
        store.replace("a/d", b"two")
    finally:
        os.umask(umask)

    modes = {
        str(path.relative_to(tmp_path)): stat.S_IMODE(path.stat().st_mode)
        for path in tmp_path.rglob("*")
    }
    assert modes == {
        "store": 0o700,
        "store/a": 0o700,
        "store/a/b": 0o700,
        "store/a/b/c": 0o600,
        "store/a/d": 0o600,
    }


def test_opened_again(tmp_path: Path) -> None:
    """Another process finds the same objects."""
    FolderObjects(tmp_path).put("a", b"one")

    assert FolderObjects(tmp_path).get("a") == b"one"


def test_failure(tmp_path: Path) -> None:
    """A file in the place of a folder is the storage's failure, in our words."""
    (tmp_path / "a").write_bytes(b"")

    with pytest.raises(UnavailableError) as refused:
        FolderObjects(tmp_path).put("a/b", b"one")
    assert refused.value.code == "STORAGE_UNAVAILABLE"


def test_nothing_left_behind(tmp_path: Path) -> None:
    """A put that is refused or fails leaves no file of its own."""
    store = FolderObjects(tmp_path)
    store.put("a/b", b"one")
    with pytest.raises(RefusedError):
        store.put_all({"a/c": b"two", "a/b": b"other"})
    with pytest.raises(UnavailableError):
        store.put_all({"a/d": b"two", "a/b/c": b"below a file"})

    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert names - {"a/c", "a/d"} == {"a", "a/b"}
