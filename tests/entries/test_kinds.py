"""A logged body is about the bundle at hand, or `match` says what else it is about."""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.entries.worked import Vector
from touchplate.entries import KINDS, Claim, match
from touchplate.errors import TouchplateError
from touchplate.formats.bundle import Envelope, MessageSignature, TransparencyLogEntry
from touchplate.keys.signer import generate

Worked = Callable[[str], Vector]


def refused(entry: TransparencyLogEntry, claim: Claim) -> str:
    """Give the code with which `match` refuses."""
    with pytest.raises(TouchplateError) as caught:
        match(entry, claim)
    return caught.value.code


def canonical(value: object) -> bytes:
    """Write JSON as the log does (for values without special characters)."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def edit(body: bytes, path: str, change: Callable[[Any], Any]) -> bytes:
    """Give a body with one value changed."""
    value = json.loads(body)
    inner = value
    *steps, last = (int(step) if step.isdigit() else step for step in path.split("."))
    for step in steps:
        inner = inner[step]
    inner[last] = change(inner[last])
    return canonical(value)


def test_worked_example(vector: Vector) -> None:
    """The entry of each worked example vouches for its own bundle."""
    match(vector.entry(), vector.claim())


def test_every_kind_has_an_example() -> None:
    """The table and the worked examples name the same kinds."""
    assert set(KINDS) == {
        ("hashedrekord", "0.0.1"),
        ("hashedrekord", "0.0.2"),
        ("dsse", "0.0.1"),
        ("dsse", "0.0.2"),
        ("intoto", "0.0.2"),
    }


def test_another_signature(vector: Vector) -> None:
    """An entry of another signature over the same content does not vouch (ECDSA is randomised)."""
    claim = vector.claim()
    other = claim._replace(signature=claim.signature[:-1] + bytes([claim.signature[-1] ^ 1]))
    assert refused(vector.entry(), other) == "ENTRY_SIGNATURE_MISMATCH"


def test_cve_2026_22703_entry_of_another_artifact(vector: Vector) -> None:
    """A genuine entry of another artifact does not vouch."""
    claim = vector.claim()
    other = claim._replace(digest=lambda name: bytes(len(claim.digest(name))))
    if isinstance(claim.content, Envelope):
        other = other._replace(content=claim.content._replace(payload=b"{}"))
    assert refused(vector.entry(), other) == "ENTRY_DIGEST_MISMATCH"


def test_another_key(vector: Vector) -> None:
    """An entry of another key does not vouch, though signature and digest are the same."""
    claim = vector.claim()
    other = claim._replace(key=generate(claim.key.kind).public_key)
    assert refused(vector.entry(), other) == "ENTRY_KEY_MISMATCH"


def test_no_body(vector: Vector) -> None:
    """An entry without a body vouches for nothing."""
    assert refused(vector.entry()._replace(body=b""), vector.claim()) == "ENTRY_MALFORMED"


@pytest.mark.parametrize("kind", ["rekord", "", "hashedrekord "])
def test_unknown_kind(vector: Vector, kind: str) -> None:
    """A kind that is not in the table vouches for nothing."""
    assert refused(vector.entry()._replace(kind=kind), vector.claim()) == "ENTRY_KIND_UNSUPPORTED"


@pytest.mark.parametrize("member", ["kind", "apiVersion"])
def test_body_of_another_kind(vector: Vector, member: str) -> None:
    """The body must be of the kind that the bundle says."""
    body = edit(vector.body, member, lambda _: "0.0.9")
    assert refused(vector.entry(body), vector.claim()) == "ENTRY_KIND_MISMATCH"


@pytest.mark.parametrize(
    ("folder", "accepted"),
    [
        ("hashedrekord_v001", False),
        ("dsse_v001", True),
        ("dsse_v002", True),
        ("intoto_v002", True),
    ],
)
def test_kind_of_content(worked: Worked, folder: str, *, accepted: bool) -> None:
    """Kinds for envelopes do not vouch for messages, hashedrekord 0.0.1 not for envelopes."""
    claim = worked(folder).claim()
    message = MessageSignature(None, None, claim.signature)
    envelope = worked("dsse_v001").claim().content
    other = claim._replace(content=message if accepted else envelope)
    assert refused(worked(folder).entry(), other) == "ENTRY_KIND_UNSUPPORTED"


@pytest.mark.parametrize("folder", ["hashedrekord_v002", "hashedrekord_v002_dsse", "dsse_v002"])
def test_spelled_another_way_v2(worked: Worked, folder: str) -> None:
    """A v2 body is what a verifier rebuilds, byte for byte: another spelling is no entry."""
    vector = worked(folder)
    spelled = json.dumps(json.loads(vector.body), sort_keys=True).encode()
    assert refused(vector.entry(spelled), vector.claim()) == "ENTRY_MALFORMED"


@pytest.mark.parametrize(
    ("folder", "path"),
    [
        ("hashedrekord_v001", "spec.signature.publicKey.content"),
        ("dsse_v001", "spec.signatures.0.verifier"),
        ("intoto_v002", "spec.content.envelope.signatures.0.publicKey"),
    ],
)
def test_pem_spelled_another_way(worked: Worked, folder: str, path: str) -> None:
    """In a v1 body the PEM may have other line ends: keys are compared by DER."""
    vector = worked(folder)

    def crlf(text: str) -> str:
        return b64encode(b64decode(text).strip().replace(b"\n", b"\r\n")).decode()

    match(vector.entry(edit(vector.body, path, crlf)), vector.claim())


@pytest.mark.parametrize(
    ("folder", "path"),
    [
        ("dsse_v001", "spec.signatures"),
        ("dsse_v002", "spec.dsseV002.signatures"),
        ("intoto_v002", "spec.content.envelope.signatures"),
    ],
)
def test_two_signatures(worked: Worked, folder: str, path: str) -> None:
    """An entry of two signatures is not an entry of the bundle's one."""
    vector = worked(folder)
    body = edit(vector.body, path, lambda signatures: [*signatures, *signatures])
    assert refused(vector.entry(body), vector.claim()) == "ENTRY_SIGNATURE_MISMATCH"


def test_dsse_envelope_hash_is_free(worked: Worked) -> None:
    """No bundle keeps the envelope's own bytes, so any hash of it is taken; it must be a hash."""
    vector = worked("dsse_v001")
    path = "spec.envelopeHash.value"
    match(vector.entry(edit(vector.body, path, lambda _: "ab" * 32)), vector.claim())


def test_intoto_payload_type(worked: Worked) -> None:
    """The payload type is signed, and so must be the same."""
    vector = worked("intoto_v002")
    body = edit(vector.body, "spec.content.envelope.payloadType", lambda _: "text/plain")
    assert refused(vector.entry(body), vector.claim()) == "ENTRY_DIGEST_MISMATCH"


@pytest.mark.parametrize(
    ("details", "code"),
    [("PKIX_ECDSA_P384_SHA_384", "ENTRY_KEY_MISMATCH"), (5, "ENTRY_MALFORMED")],
)
def test_key_details(worked: Worked, details: object, code: str) -> None:
    """The key details of a v2 entry must be ones of the trusted key."""
    vector = worked("hashedrekord_v002")
    path = "spec.hashedRekordV002.signature.verifier.keyDetails"
    assert refused(vector.entry(edit(vector.body, path, lambda _: details)), vector.claim()) == code


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["hashedrekord_v002", "hashedrekord_v002_dsse", "dsse_v002"])
def test_flipped_bit_v2(worked: Worked, folder: str) -> None:
    """A v2 body that differs in any one bit vouches for nothing."""
    vector = worked(folder)
    claim = vector.claim()
    for bit in range(8 * len(vector.body)):
        body = bytearray(vector.body)
        body[bit // 8] ^= 1 << bit % 8
        with pytest.raises(TouchplateError):
            match(vector.entry(bytes(body)), claim)


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["hashedrekord_v001", "dsse_v001", "intoto_v002"])
def test_flipped_bit_v1(worked: Worked, folder: str) -> None:
    """A v1 body that differs in any one bit is refused, or only spells the same in another way."""
    vector = worked(folder)
    claim = vector.claim()
    facts = (
        claim.signature,
        claim.key.spki,
        sha256(claim.content.payload).digest()
        if isinstance(claim.content, Envelope)
        else claim.digest("sha256"),
    )
    for bit in range(8 * len(vector.body)):
        body = bytearray(vector.body)
        body[bit // 8] ^= 1 << bit % 8
        try:
            match(vector.entry(bytes(body)), claim)
        except TouchplateError:
            continue
        assert stated(json.loads(body)["spec"]) == facts


def stated(spec: dict[str, Any]) -> tuple[bytes, bytes, bytes]:
    """Read signature, key and digest of a v1 body with other code than ours."""
    if "data" in spec:
        signature, pem = spec["signature"]["content"], spec["signature"]["publicKey"]["content"]
        return b64decode(signature), spki(pem), bytes.fromhex(spec["data"]["hash"]["value"])
    if "content" in spec:
        content = spec["content"]
        (signature,) = content["envelope"]["signatures"]
        digest = bytes.fromhex(content["payloadHash"]["value"])
        return b64decode(b64decode(signature["sig"])), spki(signature["publicKey"]), digest
    (signature,) = spec["signatures"]
    digest = bytes.fromhex(spec["payloadHash"]["value"])
    return b64decode(signature["signature"]), spki(signature["verifier"]), digest


def spki(pem: str) -> bytes:
    """Give the DER of a PEM key in base64."""
    lines = b64decode(pem).replace(b"\r", b"").split(b"-----")
    return b64decode(b"".join(lines[2].split()))


@given(st.binary(min_size=1, max_size=300) | st.text(min_size=1, max_size=100).map(str.encode))
def test_garbage(worked: Worked, body: bytes) -> None:
    """Bytes that are no body are refused with one of our errors."""
    for folder in ("hashedrekord_v001", "hashedrekord_v002", "dsse_v001", "intoto_v002"):
        vector = worked(folder)
        with pytest.raises(TouchplateError):
            match(vector.entry(body), vector.claim())
