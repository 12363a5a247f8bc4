"""Entries that public logs hold: what they took is what we would have stored."""

import json
from base64 import b64decode
from hashlib import new
from pathlib import Path

import pytest

from touchplate.entries import Claim, match
from touchplate.entries.create_entry import admit_request
from touchplate.entries.proposed import parse_proposed
from touchplate.formats.bundle import Bundle, CertificateMaterial, Envelope, parse_bundle
from touchplate.formats.dsse import pae

# Of each shape one; the whole suite runs in tests/compat.
POSITIVE = [
    "happy-path-v0.1",
    "happy-path-v0.2",
    "happy-path-v0.3",
    "happy-path-intoto-in-dsse-v3",
    "rekor2-happy-path",
    "rekor2-dsse-happy-path",
]


@pytest.fixture(params=POSITIVE)
def case(request: pytest.FixtureRequest, conformance: Path) -> tuple[Bundle, bytes]:
    """Give a good bundle and its artifact."""
    folder = conformance / "bundle-verify" / request.param
    artifact = folder / "artifact"
    if not artifact.exists():
        artifact = conformance / "bundle-verify" / "a.txt"
    return parse_bundle((folder / "bundle.sigstore.json").read_bytes()), artifact.read_bytes()


def claim_of(bundle: Bundle, artifact: bytes) -> Claim:
    """Give what the bundle claims."""
    assert isinstance(bundle.material, CertificateMaterial)
    leaf = bundle.material.leaf
    content, signed = bundle.content, artifact
    if isinstance(content, Envelope):
        signed, signature = pae(content.payload_type, content.payload), content.signatures[0]
        return Claim(
            content,
            signature.signature,
            leaf.public_key,
            leaf,
            lambda name: new(name, signed).digest(),
        )
    return Claim(
        content, content.signature, leaf.public_key, leaf, lambda name: new(name, signed).digest()
    )


def test_match(case: tuple[Bundle, bytes]) -> None:
    """The entry vouches for its bundle."""
    bundle, artifact = case
    match(bundle.entries[0], claim_of(bundle, artifact))


def test_same_leaf(case: tuple[Bundle, bytes]) -> None:
    """The request that such a bundle comes from gives the leaf that the public log has."""
    bundle, _ = case
    entry = bundle.entries[0]
    body = json.loads(entry.body)
    if entry.is_v2:
        logged = body["spec"]["hashedRekordV002"]
        request = {
            "hashedRekordRequestV002": {
                "digest": logged["data"]["digest"],
                "signature": logged["signature"],
            }
        }
        assert admit_request(json.dumps(request).encode()).body == entry.body
    elif entry.kind == "hashedrekord":
        # A stored hashedrekord has all that a proposed one needs.
        assert parse_proposed(entry.body).admit(None).body == entry.body
    else:
        assert isinstance(bundle.content, Envelope)
        (signature,) = body["spec"]["signatures"]
        assert b64decode(signature["signature"]) == bundle.content.signatures[0].signature
