from pathlib import Path

import pytest

from touchplate.errors import SettingsError
from touchplate.storage.schemes import open_log, open_objects


@pytest.mark.parametrize("uri", ["", "tmp", "ftp://host/a", "file://host/a", "file:a"])
def test_no_store(uri: str) -> None:
    """A URI that names no store of ours is the operator's to mend."""
    for open_store in (open_objects, open_log):
        with pytest.raises(SettingsError) as refused:
            open_store(uri)
        assert refused.value.code == "SETTINGS_INVALID"


def test_escaped_path(tmp_path: Path) -> None:
    """A path with spaces is written as URIs are."""
    open_objects(f"file://{tmp_path}/a%20b").put("c", b"one")

    assert (tmp_path / "a b" / "c").read_bytes() == b"one"
