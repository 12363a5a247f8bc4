"""What holds of each key backend."""

from pathlib import Path

import pytest

from touchplate.errors import RefusedError, SettingsError
from touchplate.keys.public import check_signature
from touchplate.keystore import FileKeys, MemoryKeys, create_signer, load_signer
from touchplate.keystore.backend import Backend


@pytest.fixture(params=["file", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[dict[str, Backend], str]:
    """Each backend with a URI that holds no key yet."""
    if request.param == "file":
        return {"file": FileKeys()}, (tmp_path / "keys" / "ca.pem").as_uri()
    return {"memory": MemoryKeys()}, "memory:ca"


@pytest.mark.parametrize("kind", ["ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-2048"])
def test_created_key_is_loaded(place: tuple[dict[str, Backend], str], kind: str) -> None:
    """A key that was made is there afterwards, the same, and it signs."""
    schemes, uri = place
    created = create_signer(uri, kind, schemes)
    loaded = load_signer(uri, schemes)

    assert loaded.public_key.kind == kind
    assert loaded.public_key.spki == created.public_key.spki
    check_signature(created.public_key, loaded.sign(b"probe"), b"probe", loaded.algorithm)


def test_never_replaced(place: tuple[dict[str, Backend], str]) -> None:
    """Making a key where one is changes nothing and says so."""
    schemes, uri = place
    first = create_signer(uri, "ecdsa-p256", schemes)
    with pytest.raises(RefusedError) as caught:
        create_signer(uri, "ecdsa-p256", schemes)

    assert caught.value.code == "FILE_EXISTS"
    assert load_signer(uri, schemes).public_key.spki == first.public_key.spki


def test_missing(place: tuple[dict[str, Backend], str]) -> None:
    """A key that is not there is the operator's to provide."""
    schemes, uri = place
    with pytest.raises(SettingsError) as caught:
        load_signer(uri, schemes)

    assert caught.value.code == "KEY_NOT_FOUND"


@pytest.mark.parametrize("uri", ["", "ca.pem", "/keys/ca.pem", "gopher:x", "file", "FILE:/x"])
def test_unknown_scheme(uri: str) -> None:
    """Only a known scheme is opened, and never guessed."""
    with pytest.raises(SettingsError) as caught:
        load_signer(uri)

    assert caught.value.code == "SETTINGS_INVALID"
