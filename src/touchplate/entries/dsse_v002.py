"""Entry kind `dsse` 0.0.2: a payload's hash, its signatures and keys (Rekor v2, before mid-2026).

The reference implementation no longer takes it, but its logs hold such entries and published
JavaScript clients still send them. The whole body can be made again from a bundle.
"""

from binascii import b2a_base64
from collections.abc import Sequence
from hashlib import sha256
from typing import Final, NamedTuple

from touchplate.entries.admission import ALLOWED, Admitted, allow_named, load_verifier
from touchplate.entries.body import parse_body
from touchplate.entries.claim import Claim
from touchplate.entries.compare import (
    check_algorithm,
    check_digest,
    check_kind,
    check_signature,
    check_verifier,
    the_envelope,
)
from touchplate.entries.dsse_v001 import the_signature
from touchplate.entries.protojson import Verifier, read_message, read_verifier
from touchplate.errors import MalformedError, VerificationError
from touchplate.formats.dsse import pae
from touchplate.formats.jsontext import Fields
from touchplate.keys.algorithms import Algorithm
from touchplate.keys.public import PublicKey
from touchplate.keys.public import check_signature as check_key_signature

KIND: Final = "dsse"
VERSION: Final = "0.0.2"

# Of signatures and of verifiers: each pair may cost a verification.
MAX_SIGNATURES: Final = 10

_BODY: Final = (
    b'{"apiVersion":"0.0.2","kind":"dsse","spec":{"dsseV002":{"payloadHash":'
    b'{"algorithm":"SHA2_256","digest":"%b"},"signatures":[%b]}}}'
)
_SIGNATURE_BODY: Final = b'{"content":"%b","verifier":{"keyDetails":"%b","%b":{"rawBytes":"%b"}}}'

# Each spelling of a member of the request's messages, and its canonical name.
_REQUEST: Final = {"envelope": "envelope", "verifiers": "verifiers"}
_ENVELOPE: Final = {
    "payload": "payload",
    "payloadType": "payloadType",
    "payload_type": "payloadType",
    "signatures": "signatures",
}
_SIGNATURE: Final = {"sig": "sig", "keyid": "keyid"}


class VerifiedBy(NamedTuple):
    """A signature with the key, or the certificate, that made it."""

    signature: bytes
    verifier: bytes
    is_certificate: bool
    algorithm: Algorithm


def encode_body(payload_hash: bytes, signatures: Sequence[VerifiedBy]) -> bytes:
    """Write the canonical body: the signatures in the order of their bytes."""
    written = b",".join(
        _SIGNATURE_BODY
        % (
            b2a_base64(each.signature, newline=False),
            each.algorithm.name.encode(),
            b"x509Certificate" if each.is_certificate else b"publicKey",
            b2a_base64(each.verifier, newline=False),
        )
        for each in sorted(signatures, key=lambda each: each.signature)
    )
    return _BODY % (b2a_base64(payload_hash, newline=False), written)


def match(body: bytes, claim: Claim) -> None:
    """Prove that `body` is the one that the claim leads to, byte for byte."""
    payload_hash = sha256(the_envelope(claim, "dsse 0.0.2").payload).digest()
    for algorithm in claim.key.algorithms:
        made_by = VerifiedBy(
            claim.signature, claim.verifier, claim.certificate is not None, algorithm
        )
        if body == encode_body(payload_hash, (made_by,)):
            return
    _explain(body, claim, payload_hash)


def _explain(body: bytes, claim: Claim, payload_hash: bytes) -> None:
    """Raise what is wrong with a body that is not the expected one."""
    parsed = parse_body(body)
    check_kind(parsed, KIND, VERSION)
    entry = parsed.spec.require("dsseV002")
    signature = the_signature(entry)
    verifier = signature.require("verifier")
    is_certificate = verifier.has("x509Certificate")
    der = verifier.require("x509Certificate" if is_certificate else "publicKey").bytes("rawBytes")
    check_signature(signature.bytes("content"), claim.signature)
    check_verifier(der, claim, is_certificate=is_certificate)
    check_algorithm(verifier.string("keyDetails"), claim)
    check_digest(entry.require("payloadHash").bytes("digest"), payload_hash, "payload hash")
    raise MalformedError("ENTRY_MALFORMED", "the log entry's body is not in canonical form")


class Request(NamedTuple):
    """A v2 request to log an envelope, read and not checked."""

    payload: bytes
    payload_type: str
    signatures: tuple[bytes, ...]
    verifiers: tuple[Verifier, ...]


def read_request(value: object) -> Request:
    """Read a `DSSERequestV002` message: 1 to 10 signatures, 1 to 10 verifiers (REQUEST_MALFORMED).

    The leaf holds no key id, so those of the envelope are not looked at.
    """
    request = read_message(value, _REQUEST, "request")
    envelope = read_message(request.value("envelope"), _ENVELOPE, "envelope")
    signatures = [
        read_message(item, _SIGNATURE, f"signatures[{place}]").bytes("sig")
        for place, item in enumerate(_items(envelope, "signatures"))
    ]
    verifiers = [
        read_verifier(item, f"verifiers[{place}]")
        for place, item in enumerate(_items(request, "verifiers"))
    ]
    return Request(
        envelope.bytes("payload"),
        envelope.string("payloadType"),
        tuple(signatures),
        tuple(verifiers),
    )


def admit(request: Request, allowed: frozenset[str] = ALLOWED) -> Admitted:
    """Check a request and make the leaf data: each signature must be by one of the verifiers.

    Raises REQUEST_MALFORMED, KEY_UNREADABLE, ALGORITHM_REFUSED or SIGNATURE_INVALID.
    """
    if not all(request.signatures):
        raise MalformedError("REQUEST_MALFORMED", "a signature is empty")
    keys = [_load(verifier, allowed) for verifier in request.verifiers]
    message = pae(request.payload_type, request.payload)
    made_by = {
        signature: _verifier_of(signature, message, keys) for signature in request.signatures
    }
    payload_hash = sha256(request.payload).digest()
    return Admitted(KIND, VERSION, encode_body(payload_hash, tuple(made_by.values())))


def _items(message: Fields, name: str) -> Sequence[object]:
    value = message.value(name)
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_SIGNATURES:
        raise message.wrong(name, f"1 to {MAX_SIGNATURES} of them")
    return value


def _load(verifier: Verifier, allowed: frozenset[str]) -> tuple[PublicKey, Algorithm, Verifier]:
    key = load_verifier(verifier.der, is_certificate=verifier.is_certificate)
    return key, allow_named(key, verifier.key_details, allowed), verifier


def _verifier_of(
    signature: bytes, message: bytes, keys: Sequence[tuple[PublicKey, Algorithm, Verifier]]
) -> VerifiedBy:
    """Find the key that made this signature."""
    failure: VerificationError | None = None
    for key, algorithm, verifier in keys:
        try:
            check_key_signature(key, signature, message, algorithm)
        except VerificationError as error:
            failure = error
        else:
            return VerifiedBy(signature, verifier.der, verifier.is_certificate, algorithm)
    raise failure or AssertionError("no verifiers")
