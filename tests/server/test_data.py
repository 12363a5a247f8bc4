"""The data folder: private, held by one server, and never half made."""

import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from touchplate.errors import RefusedError, SettingsError
from touchplate.server.data import DataFolder, Instance

INSTANCE = Instance(
    url="http://127.0.0.1:7878",
    url_follows_listen=True,
    created_at=datetime(2030, 1, 1, tzinfo=UTC),
    ca_key="ecdsa-p256",
    id="ab" * 16,
)


def code_of(path: Path) -> str:
    """Give the error with which `path` is refused as a data folder."""
    with pytest.raises(SettingsError) as caught, DataFolder.serve(path):
        pass
    return caught.value.code


def test_first_start(tmp_path: Path) -> None:
    """A folder that is not there is made, private, and remembers its instance."""
    path = tmp_path / "a" / "data"
    with DataFolder.serve(path) as folder:
        assert folder.instance is None
        folder.remember(INSTANCE)
        folder.key("tlog", "ecdsa-p256")
        folder.save_chain("ca", b"chain")

    assert DataFolder(path).instance == INSTANCE
    for each in (path, *path.rglob("*")):
        assert stat.S_IMODE(each.stat().st_mode) == (0o700 if each.is_dir() else 0o600), each


def test_readable_folder_is_closed(tmp_path: Path) -> None:
    """An empty folder that others could read is taken and closed to them."""
    tmp_path.chmod(0o755)
    with DataFolder.serve(tmp_path):
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_others_can_write(tmp_path: Path, mode: int) -> None:
    """A folder that others can write is refused, at the first start and later."""
    path = tmp_path / "data"
    path.mkdir()
    path.chmod(mode)
    assert code_of(path) == "DATA_FOLDER_UNSAFE"


def test_others_can_exchange(tmp_path: Path) -> None:
    """A folder in a folder that others can write is refused: they could put theirs in its place."""
    path = tmp_path / "shared" / "data"
    path.mkdir(mode=0o700, parents=True)
    path.parent.chmod(0o777)
    assert code_of(path) == "DATA_FOLDER_UNSAFE"
    path.parent.chmod(0o1777)
    with DataFolder.serve(path):
        pass


def test_file_in_its_place(tmp_path: Path) -> None:
    """A file is no folder."""
    path = tmp_path / "data"
    path.write_text("")
    assert code_of(path) == "FILE_UNREADABLE"


def test_other_files(tmp_path: Path) -> None:
    """A folder with files of somebody else is not taken for an empty one."""
    (tmp_path / "notes.txt").write_text("x")
    assert code_of(tmp_path) == "SETTINGS_INVALID"


def test_keys_without_instance(tmp_path: Path) -> None:
    """Keys whose instance.json is gone are not taken into a new instance."""
    with DataFolder.serve(tmp_path) as folder:
        folder.remember(INSTANCE)
        folder.key("tlog", "ecdsa-p256")
    (tmp_path / "instance.json").unlink()
    assert code_of(tmp_path) == "SETTINGS_INVALID"


def test_two_servers(tmp_path: Path) -> None:
    """A folder has one server at a time, and the next when that has ended."""
    with DataFolder.serve(tmp_path):
        assert code_of(tmp_path) == "SETTINGS_INVALID"
    with DataFolder.serve(tmp_path):
        pass


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 2}', '{"format": 1, "url": "x"}'])
def test_damaged(tmp_path: Path, text: str) -> None:
    """An instance.json that is damaged or from another version stops the start."""
    (tmp_path / "instance.json").write_text(text)
    assert code_of(tmp_path) == "SETTINGS_INVALID"


def test_interrupted_first_start(tmp_path: Path) -> None:
    """A first start that was interrupted goes on with the keys that it made."""
    with DataFolder.serve(tmp_path) as folder:
        folder.remember(INSTANCE)
        before = folder.key("tlog", "ecdsa-p256").public_key
    with DataFolder.serve(tmp_path) as folder:
        assert folder.key("tlog", "ecdsa-p256").public_key == before
        assert folder.find_chain("ca") is None
        assert folder.key("ct", "ecdsa-p256").public_key != before


def test_missing_later(tmp_path: Path) -> None:
    """After the first start a key or chain that is missing is an error, never made anew."""
    with DataFolder.serve(tmp_path) as folder:
        folder.remember(replace(INSTANCE, complete=True))
        with pytest.raises(SettingsError) as caught:
            folder.key("tlog", "ecdsa-p256")
        assert caught.value.code == "KEY_NOT_FOUND"
        with pytest.raises(SettingsError) as caught:
            folder.find_chain("ca")
        assert caught.value.code == "KEY_NOT_FOUND"


def test_open_key(tmp_path: Path) -> None:
    """A key that others can read is not used."""
    with DataFolder.serve(tmp_path) as folder:
        folder.remember(INSTANCE)
        folder.key("tlog", "ecdsa-p256")
        (tmp_path / "keys" / "tlog.pem").chmod(0o640)
        with pytest.raises(SettingsError) as caught:
            folder.key("tlog", "ecdsa-p256")
    assert caught.value.code == "DATA_FOLDER_UNSAFE"


def test_chain_is_kept(tmp_path: Path) -> None:
    """A chain that is there is never replaced."""
    with DataFolder.serve(tmp_path) as folder:
        folder.remember(INSTANCE)
        folder.save_chain("ca", b"one")
        with pytest.raises(RefusedError):
            folder.save_chain("ca", b"two")
        assert folder.find_chain("ca") == b"one"
