"""Key files: who may read them, and what is not a key."""

from pathlib import Path

import pytest

from touchplate.errors import SettingsError
from touchplate.keystore import create_signer, load_signer


def mode(path: Path) -> int:
    """Give the permission bits."""
    return path.stat().st_mode & 0o777


def test_permissions(tmp_path: Path) -> None:
    """The key is 0600 in a folder of 0700, and nothing else is left there."""
    path = tmp_path / "new" / "keys" / "ca.pem"
    create_signer(path.as_uri())

    assert mode(path) == 0o600
    assert mode(path.parent) == 0o700
    assert [item.name for item in path.parent.iterdir()] == ["ca.pem"]
    assert path.read_text().startswith("-----BEGIN PRIVATE KEY-----\n")


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o660, 0o601])
def test_open_key_is_refused(tmp_path: Path, bits: int) -> None:
    """A key that anybody else can touch is not used."""
    path = tmp_path / "keys" / "ca.pem"
    create_signer(path.as_uri())
    path.chmod(bits)
    with pytest.raises(SettingsError) as caught:
        load_signer(path.as_uri())

    assert caught.value.code == "DATA_FOLDER_UNSAFE"
    assert str(path) in str(caught.value)


def test_open_folder_is_refused(tmp_path: Path) -> None:
    """No key is made in a folder that others can enter."""
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    with pytest.raises(SettingsError) as caught:
        create_signer((folder / "ca.pem").as_uri())

    assert caught.value.code == "DATA_FOLDER_UNSAFE"
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"-----BEGIN PRIVATE KEY-----\n", b"\xff" * 100])
def test_not_a_key(tmp_path: Path, content: bytes) -> None:
    """A file that holds no key is named, and its content is not quoted."""
    path = tmp_path / "ca.pem"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(SettingsError) as caught:
        load_signer(path.as_uri())

    assert caught.value.code == "KEY_NOT_FOUND"
    assert str(path) in str(caught.value)


def test_folder_is_no_key(tmp_path: Path) -> None:
    """A folder under the key's name is no key."""
    with pytest.raises(SettingsError) as caught:
        load_signer(tmp_path.as_uri())

    assert caught.value.code == "KEY_NOT_FOUND"


@pytest.mark.parametrize("uri", ["file:relative.pem", "file://host/ca.pem", "file:///ca.pem?x=1"])
def test_not_a_local_path(uri: str) -> None:
    """A file URI names an absolute path on this machine."""
    with pytest.raises(SettingsError) as caught:
        load_signer(uri)

    assert caught.value.code == "SETTINGS_INVALID"
