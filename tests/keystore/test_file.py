"""Key files: who may read them, and what is not a key."""

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from tests.keystore.secret_texts import Given
from touchplate.errors import RefusedError, SettingsError
from touchplate.keys.signer import generate
from touchplate.keystore import create_signer, load_signer
from touchplate.keystore.file import MAX_KEY_FILE


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


PASSPHRASE = "opens it"


def encrypted(path: Path) -> str:
    """Give the URI of a key that a passphrase opens."""
    return f"{path.as_uri()}?passphrase=env:P"


def test_encrypted(tmp_path: Path) -> None:
    """With a passphrase the file is encrypted, and opens with nothing else."""
    path = tmp_path / "keys" / "ca.pem"
    made = create_signer(encrypted(path), secrets=Given({"env:P": PASSPHRASE}))

    assert path.read_text().startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    assert mode(path) == 0o600
    loaded = load_signer(encrypted(path), secrets=Given({"env:P": PASSPHRASE}))
    assert loaded.public_key == made.public_key
    for uri, given in (
        (encrypted(path), Given({"env:P": "opens it not"})),
        (encrypted(path), Given({"env:P": ""})),
        (encrypted(path), Given()),
        (path.as_uri(), Given({"env:P": PASSPHRASE})),
    ):
        with pytest.raises(SettingsError) as caught:
            load_signer(uri, secrets=given)
        assert "opens it" not in str(caught.value)


def test_passphrase_for_nothing(tmp_path: Path) -> None:
    """A file that is not encrypted, though its URI says so, is refused: somebody relies on it."""
    path = tmp_path / "keys" / "ca.pem"
    create_signer(path.as_uri())
    with pytest.raises(SettingsError) as caught:
        load_signer(encrypted(path), secrets=Given({"env:P": PASSPHRASE}))

    assert "not encrypted" in str(caught.value)


def test_older_encryption(tmp_path: Path) -> None:
    """A file that OpenSSL encrypted in its older way (RFC 1423) is read."""
    path = tmp_path / "ca.pem"
    key = generate("ecdsa-p256")
    pem = key.crypto.private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"opens it")
    )
    assert b"Proc-Type: 4,ENCRYPTED" in pem
    path.touch(0o600)
    path.write_bytes(pem)
    loaded = load_signer(encrypted(path), secrets=Given({"env:P": PASSPHRASE}))

    assert loaded.public_key == key.public_key


@pytest.mark.parametrize("label", ["SIGSTORE", "COSIGN"])
def test_box_of_cosign(tmp_path: Path, label: str) -> None:
    """A key in cosign's own box is refused by name, and not called damaged."""
    path = tmp_path / "ca.pem"
    path.touch(0o600)
    line = f"ENCRYPTED {label} PRIVATE KEY"
    path.write_text(f"-----BEGIN {line}-----\neyJrZGYiOnt9fQ==\n-----END {line}-----\n")
    with pytest.raises(SettingsError) as caught:
        load_signer(encrypted(path), secrets=Given({"env:P": PASSPHRASE}))

    assert "cosign" in str(caught.value)
    assert caught.value.code == "SETTINGS_INVALID"


def test_pipe_is_no_key(tmp_path: Path) -> None:
    """A pipe in the key's place is refused, and is not waited for."""
    path = tmp_path / "ca.pem"
    os.mkfifo(path, 0o600)
    with pytest.raises(SettingsError) as caught:
        load_signer(path.as_uri())

    assert caught.value.code == "KEY_NOT_FOUND"


def test_link_to_open_file(tmp_path: Path) -> None:
    """A link is as good as what it leads to: a file that others can read is refused."""
    create_signer((tmp_path / "keys" / "ca.pem").as_uri())
    target, link = tmp_path / "keys" / "ca.pem", tmp_path / "link.pem"
    link.symlink_to(target)
    load_signer(link.as_uri())
    target.chmod(0o644)
    with pytest.raises(SettingsError) as caught:
        load_signer(link.as_uri())

    assert caught.value.code == "DATA_FOLDER_UNSAFE"


def test_link_is_not_followed_for_a_new_key(tmp_path: Path) -> None:
    """A link that somebody put in a new key's place does not lead the key elsewhere."""
    folder, elsewhere = tmp_path / "keys", tmp_path / "elsewhere.pem"
    folder.mkdir(mode=0o700)
    (folder / "ca.pem").symlink_to(elsewhere)
    with pytest.raises(RefusedError) as caught:
        create_signer((folder / "ca.pem").as_uri())

    assert caught.value.code == "FILE_EXISTS"
    assert not elsewhere.exists()


def test_longer_than_a_key(tmp_path: Path) -> None:
    """A file that no key fills is not read to its end."""
    path = tmp_path / "ca.pem"
    path.touch(0o600)
    path.write_bytes(b"-" * (MAX_KEY_FILE + 1))
    with pytest.raises(SettingsError) as caught:
        load_signer(path.as_uri())

    assert caught.value.code == "KEY_NOT_FOUND"
