from __future__ import annotations

import os
from pathlib import Path

import pytest

from touchplate.errors import RefusedError, SettingsError
from touchplate.storage.files import save_file


def test_save(tmp_path: Path) -> None:
    """The file is there, whole, and nothing else."""
    save_file(tmp_path / "a", b"one", overwrite=False)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"one")]


def test_exists(tmp_path: Path) -> None:
    """What exists is kept unless overwriting was asked for."""
    path = tmp_path / "a"
    path.write_bytes(b"mine")

    with pytest.raises(RefusedError) as caught:
        save_file(path, b"new", overwrite=False)
    assert caught.value.code == "FILE_EXISTS"
    assert path.read_bytes() == b"mine"

    save_file(path, b"new", overwrite=True)
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_dangling_link(tmp_path: Path) -> None:
    """A link that leads nowhere exists too: it is not written through."""
    path = tmp_path / "a"
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RefusedError):
        save_file(path, b"new", overwrite=False)
    assert not (tmp_path / "elsewhere").exists()


def test_no_folder(tmp_path: Path) -> None:
    """A folder that is not there is named."""
    with pytest.raises(SettingsError) as caught:
        save_file(tmp_path / "none" / "a", b"one", overwrite=False)
    assert caught.value.code == "FILE_UNREADABLE"


def test_path_is_folder(tmp_path: Path) -> None:
    """A folder in the way is an error and leaves no scratch file."""
    (tmp_path / "a").mkdir()
    with pytest.raises(SettingsError):
        save_file(tmp_path / "a", b"one", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_mode(tmp_path: Path) -> None:
    """The mode asked for is the mode at birth; others never see a private file."""
    before = os.umask(0o022)
    try:
        save_file(tmp_path / "private", b"x", overwrite=False, mode=0o600)
        save_file(tmp_path / "public", b"x", overwrite=False)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"private": 0o600, "public": 0o644}
