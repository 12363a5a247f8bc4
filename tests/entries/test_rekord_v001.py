"""Kind `rekord` 0.0.1: what is refused of it. Its worked example is in test_proposed."""

import json
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from tests.entries.worked import ARTIFACT, Vector
from touchplate.entries.proposed import parse_proposed
from touchplate.errors import TouchplateError
from touchplate.keys.algorithms import by_name
from touchplate.keys.pem import encode_pem
from touchplate.keys.signer import generate

Worked = Callable[[str], Vector]


def admit(request: object) -> bytes:
    """Give the leaf of a proposed entry."""
    return parse_proposed(json.dumps(request).encode()).admit().body


@pytest.fixture
def request_of(worked: Worked) -> dict[str, Any]:
    """The worked example, to be changed."""
    made: dict[str, Any] = json.loads(worked("rekord_v001").request)
    return made


def refused(request: object) -> str:
    """Give the code with which a proposed entry is refused."""
    with pytest.raises(TouchplateError) as caught:
        admit(request)
    return caught.value.code


def test_hash_beside_the_artifact(worked: Worked, request_of: dict[str, Any]) -> None:
    """A hash that is sent along must be the artifact's."""
    data = request_of["spec"]["data"]
    data["hash"] = {"algorithm": "sha256", "value": sha256(ARTIFACT).hexdigest().upper()}
    assert admit(request_of) == worked("rekord_v001").body
    data["hash"]["value"] = "00" * 32
    with pytest.raises(TouchplateError, match="SHA mismatch"):
        admit(request_of)


def test_without_artifact(request_of: dict[str, Any]) -> None:
    """A hash alone is not enough: the signature is over the artifact."""
    request_of["spec"]["data"] = {
        "hash": {"algorithm": "sha256", "value": sha256(ARTIFACT).hexdigest()}
    }
    assert refused(request_of) == "REQUEST_MALFORMED"


def test_other_artifact(request_of: dict[str, Any]) -> None:
    """The signature must be over this artifact."""
    request_of["spec"]["data"]["content"] = b64encode(b"another").decode()
    assert refused(request_of) == "SIGNATURE_INVALID"


@pytest.mark.parametrize(
    ("key_format", "code"),
    [("pgp", "ENTRY_REFUSED"), ("tuf", "ENTRY_REFUSED"), ("", "ENTRY_REFUSED")],
)
def test_other_formats(request_of: dict[str, Any], key_format: str, code: str) -> None:
    """A format that is not read is refused with the names of those that are."""
    request_of["spec"]["signature"]["format"] = key_format
    with pytest.raises(TouchplateError, match="minisign, ssh, x509") as caught:
        admit(request_of)
    assert caught.value.code == code


def test_pure_ed25519(request_of: dict[str, Any]) -> None:
    """An Ed25519 key signs the artifact itself, not its hash."""
    for name, taken in (("PKIX_ED25519", True), ("PKIX_ED25519_PH", False)):
        signer = generate("ed25519", by_name(name))
        pem = b64encode(encode_pem("PUBLIC KEY", signer.public_key.spki)).decode()
        request_of["spec"]["signature"] = {
            "format": "x509",
            "content": b64encode(signer.sign(ARTIFACT)).decode(),
            "publicKey": {"content": pem},
        }
        if taken:
            assert b'"format":"x509"' in admit(request_of)
        else:
            assert refused(request_of) == "SIGNATURE_INVALID"
