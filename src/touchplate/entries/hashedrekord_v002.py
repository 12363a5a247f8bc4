"""Entry kind `hashedrekord` 0.0.2: a digest, a signature over it, and the key (Rekor v2).

The kind that a v2 log takes; an envelope is logged by the hash of its pre-authentication encoding.
Body and request: rekor-tiles `api/proto/rekor/v2`; the body is canonical JSON (RFC 8785).
"""

from binascii import b2a_base64
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
)
from touchplate.entries.protojson import read_message, read_verifier
from touchplate.errors import MalformedError, VerificationError
from touchplate.keys.algorithms import HASH_TO_PROTOBUF, Algorithm
from touchplate.keys.public import PublicKey, check_digest_signature, digest_unsupported

KIND: Final = "hashedrekord"
VERSION: Final = "0.0.2"

BODY: Final = (
    b'{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{"hashedRekordV002":{"data":'
    b'{"algorithm":"%b","digest":"%b"},"signature":{"content":"%b","verifier":'
    b'{"keyDetails":"%b","%b":{"rawBytes":"%b"}}}}}}'
)
_REQUEST: Final = (
    b'{"hashedRekordRequestV002":{"digest":"%b","signature":{"content":"%b","verifier":'
    b'{"%b":{"rawBytes":"%b"},"keyDetails":"%b"}}}}'
)

_ENTRY: Final = {"digest": "digest", "signature": "signature"}
_SIGNATURE: Final = {"content": "content", "verifier": "verifier"}


def encode_body(
    algorithm: Algorithm, digest: bytes, signature: bytes, verifier: bytes, *, is_certificate: bool
) -> bytes:
    """Write the canonical body, which is the leaf data. `algorithm` must have a hash."""
    if algorithm.hash is None:
        raise AssertionError(f"hashedrekord with {algorithm.name}, which has no hash")
    return BODY % (
        HASH_TO_PROTOBUF[algorithm.hash].encode(),
        b2a_base64(digest, newline=False),
        b2a_base64(signature, newline=False),
        algorithm.name.encode(),
        b"x509Certificate" if is_certificate else b"publicKey",
        b2a_base64(verifier, newline=False),
    )


def match(body: bytes, claim: Claim) -> None:
    """Prove that `body` is the one that the claim leads to, byte for byte."""
    for algorithm in claim.key.algorithms:
        # Only the hash that the entry names is asked for: the others may not be known.
        if algorithm.hash is not None and algorithm.name.encode() in body:
            expected = encode_body(
                algorithm,
                claim.digest(algorithm.hash),
                claim.signature,
                claim.verifier,
                is_certificate=claim.certificate is not None,
            )
            if body == expected:
                return
    _explain(body, claim)


def _explain(body: bytes, claim: Claim) -> None:
    """Raise what is wrong with a body that is not the expected one."""
    parsed = parse_body(body)
    check_kind(parsed, KIND, VERSION)
    entry = parsed.spec.require("hashedRekordV002")
    data, signature = entry.require("data"), entry.require("signature")
    verifier = signature.require("verifier")
    is_certificate = verifier.has("x509Certificate")
    der = verifier.require("x509Certificate" if is_certificate else "publicKey").bytes("rawBytes")
    check_signature(signature.bytes("content"), claim.signature)
    check_verifier(der, claim, is_certificate=is_certificate)
    algorithm = check_algorithm(verifier.string("keyDetails"), claim)
    if algorithm.hash is None or data.string("algorithm") != HASH_TO_PROTOBUF[algorithm.hash]:
        raise VerificationError(
            "ENTRY_DIGEST_MISMATCH",
            "the log entry's hash algorithm is not the one of its key",
            expected=algorithm.hash or "a hash",
            found=data.string("algorithm")[:100],
        )
    check_digest(data.bytes("digest"), claim.digest(algorithm.hash))
    raise MalformedError("ENTRY_MALFORMED", "the log entry's body is not in canonical form")


class Request(NamedTuple):
    """A v2 entry request, read and not checked."""

    digest: bytes
    signature: bytes
    verifier: bytes
    is_certificate: bool
    # Name of a `PublicKeyDetails`; "" if not given.
    key_details: str


def encode_request(claim: Claim) -> bytes:
    """Write the JSON that asks a v2 log for an entry about this claim.

    Raises DIGEST_UNSUPPORTED for a key that signs without a hash: such a log cannot check it.
    """
    for algorithm in claim.key.algorithms:
        if algorithm.hash is not None:
            break
    else:
        raise VerificationError(
            "DIGEST_UNSUPPORTED",
            f"a hashedrekord entry cannot hold a signature by {claim.key.kind}",
        )
    return _REQUEST % (
        b2a_base64(claim.digest(algorithm.hash), newline=False),
        b2a_base64(claim.signature, newline=False),
        b"publicKey" if claim.certificate is None else b"x509Certificate",
        b2a_base64(claim.verifier, newline=False),
        algorithm.name.encode(),
    )


def read_request(value: object) -> Request:
    """Read a `HashedRekordRequestV002` message; what is missing is empty (REQUEST_MALFORMED)."""
    entry = read_message(value, _ENTRY, "request")
    signature = read_message(entry.value("signature"), _SIGNATURE, "signature")
    verifier = read_verifier(signature.value("verifier"), "verifier")
    return Request(
        entry.bytes("digest"),
        signature.bytes("content"),
        verifier.der,
        verifier.is_certificate,
        verifier.key_details,
    )


class Unproven(NamedTuple):
    """A request that holds what it must, with the key it names; its signature was not checked."""

    request: Request
    key: PublicKey
    algorithm: Algorithm
    body: bytes


def prepare(request: Request, allowed: frozenset[str] = ALLOWED) -> Unproven:
    """Load the key and make the leaf data.

    Raises REQUEST_MALFORMED, KEY_UNREADABLE, ALGORITHM_REFUSED or DIGEST_UNSUPPORTED.
    """
    digest, signature, verifier, is_certificate, key_details = request
    if not signature or not digest or not verifier:
        raise MalformedError("REQUEST_MALFORMED", "digest, signature or verifier is missing")
    key = load_verifier(verifier, is_certificate=is_certificate)
    algorithm = allow_named(key, key_details, allowed)
    if algorithm.hash is None:
        raise digest_unsupported(algorithm, digest, 0)
    body = encode_body(algorithm, digest, signature, verifier, is_certificate=is_certificate)
    return Unproven(request, key, algorithm, body)


def prove(unproven: Unproven) -> Admitted:
    """Check the signature. Raises DIGEST_UNSUPPORTED (wrong length) or SIGNATURE_INVALID."""
    request, key, algorithm, body = unproven
    check_digest_signature(key, request.signature, request.digest, algorithm)
    return Admitted(KIND, VERSION, body)


def admit(request: Request, allowed: frozenset[str] = ALLOWED) -> Admitted:
    """Check a request and make the leaf data; raises as `prepare` and `prove` do."""
    return prove(prepare(request, allowed))
