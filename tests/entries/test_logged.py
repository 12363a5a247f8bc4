"""The worked examples' bodies, and a few that real logs hold, read again without their bundles."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from pathlib import Path

import pytest

from tests.entries.worked import VECTORS
from touchplate.entries.logged import check_logged
from touchplate.errors import MalformedError, TouchplateError, VerificationError
from touchplate.formats.bundle import parse_bundle

SIGNED = [
    "hashedrekord_v001",
    "hashedrekord_v002",
    "hashedrekord_v002_dsse",
    "hashedrekord_v002_ed25519ph",
    "rekord_v001",
]


def body(folder: str) -> bytes:
    """Give the body of a worked example."""
    return (VECTORS / folder / "body.json").read_bytes()


@pytest.mark.parametrize("folder", sorted(path.name for path in VECTORS.iterdir() if path.is_dir()))
def test_worked(folder: str) -> None:
    """Every worked body is sound; those that hold what was signed are proven from themselves."""
    assert check_logged(body(folder)) is (folder in SIGNED)


@pytest.mark.parametrize("folder", SIGNED[:-1])
def test_other_digest(folder: str) -> None:
    """A body with another digest does not verify, though its form holds."""
    entry = json.loads(body(folder))
    if folder.endswith("v001"):
        hashed = entry["spec"]["data"]["hash"]
        hashed["value"] = "00" + hashed["value"][2:]
    else:
        data = entry["spec"]["hashedRekordV002"]["data"]
        data["digest"] = b64encode(b"\x00" + b64decode(data["digest"])[1:]).decode()
    with pytest.raises(VerificationError) as caught:
        check_logged(json.dumps(entry).encode())
    assert caught.value.code == "SIGNATURE_INVALID"


@pytest.mark.parametrize(
    ("folder", "old", "new"),
    [
        ("hashedrekord_v001", "sha256", "sha512"),
        ("hashedrekord_v001", "sha256", "md5"),
        ("hashedrekord_v001", '"value":"', '"value":"zz'),
        ("hashedrekord_v001", '"content":"LS0t', '"content":"AAAA'),
        ("hashedrekord_v002", "SHA2_256", "SHA2_512"),
        ("hashedrekord_v002", "PKIX_ECDSA_P256_SHA_256", "PKIX_ED25519_PH"),
        ("hashedrekord_v002", "PKIX_ECDSA_P256_SHA_256", "PKIX_ECDSA_P256"),
        ("hashedrekord_v002", '"rawBytes":"', '"rawBytes":"AAAA'),
        ("hashedrekord_v002", "hashedRekordV002", "hashedRekordV003"),
        ("dsse_v001", '"kind"', '"king"'),
    ],
)
def test_malformed(folder: str, old: str, new: str) -> None:
    """What is not of its form is told, whatever else holds."""
    text = body(folder).decode()
    assert old in text
    with pytest.raises(TouchplateError):
        check_logged(text.replace(old, new).encode())


def test_not_json() -> None:
    """Bytes that are no entry are malformed."""
    with pytest.raises(MalformedError):
        check_logged(b"entry")


@pytest.mark.parametrize("case", ["happy-path-v0.3", "rekor2-happy-path"])
def test_real(conformance: Path, case: str) -> None:
    """Entries of public logs are proven from themselves."""
    path = conformance / "bundle-verify" / case / "bundle.sigstore.json"
    (entry,) = parse_bundle(path.read_bytes()).entries
    assert check_logged(entry.body)


@pytest.mark.parametrize("change", ["digest", "format", "short"])
def test_rekord_of_another_hash(change: str) -> None:
    """A rekord that does not verify over its SHA-256 may be over another hash: not proven."""
    entry = json.loads(body("rekord_v001"))
    hashed = entry["spec"]["data"]["hash"]
    if change == "format":
        entry["spec"]["signature"]["format"] = "pgp"
    else:
        hashed["value"] = "00" if change == "short" else "00" + hashed["value"][2:]
    assert check_logged(json.dumps(entry).encode()) is False


def test_rekord_key() -> None:
    """The key of a rekord has to be readable."""
    entry = json.loads(body("rekord_v001"))
    entry["spec"]["signature"]["publicKey"]["content"] = b64encode(b"no key").decode()
    with pytest.raises(TouchplateError):
        check_logged(json.dumps(entry).encode())
