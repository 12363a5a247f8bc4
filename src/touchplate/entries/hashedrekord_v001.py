"""Entry kind `hashedrekord` 0.0.1: a digest, a signature over it, and the key as PEM (Rekor v1).

It vouches for message signatures only; an envelope under this kind is refused.
"""

from binascii import b2a_base64
from typing import Final

from touchplate.entries.claim import Claim
from touchplate.entries.compare import (
    check_digest,
    check_kind,
    check_signature,
    check_verifier_pem,
)
from touchplate.entries.members import Body, parse_body
from touchplate.errors import MalformedError, VerificationError
from touchplate.formats.bundle import Envelope
from touchplate.keys.algorithms import HashName

KIND: Final = "hashedrekord"
VERSION: Final = "0.0.1"

_BODY: Final = (
    b'{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{"data":{"hash":'
    b'{"algorithm":"%b","value":"%b"}},"signature":{"content":"%b","publicKey":{"content":"%b"}}}}'
)


def encode_body(hash_name: str, digest_hex: str, signature: bytes, pem: bytes) -> bytes:
    """Write the canonical body. `digest_hex` keeps the letter case that the client sent."""
    return _BODY % (
        hash_name.encode(),
        digest_hex.encode(),
        b2a_base64(signature, newline=False),
        b2a_base64(pem, newline=False),
    )


def match(body: bytes, claim: Claim) -> None:
    """Prove that `body` is about the claim's digest, signature and key."""
    if isinstance(claim.content, Envelope):
        raise VerificationError(
            "ENTRY_KIND_UNSUPPORTED",
            "a log entry of kind hashedrekord 0.0.1 cannot vouch for an envelope",
            expected="dsse, intoto or hashedrekord 0.0.2",
            found="hashedrekord 0.0.1",
        )
    for name in _hashes(claim):
        if b'"%b"' % name.encode() in body:
            digest = claim.digest(name).hex()
            if body == encode_body(name, digest, claim.signature, claim.verifier_pem):
                return
    _compare(parse_body(body), claim)


def _hashes(claim: Claim) -> dict[HashName, None]:
    """Give the hashes that the key may be used with, the usual one first."""
    return {
        algorithm.hash: None for algorithm in claim.key.algorithms if algorithm.hash is not None
    }


def _compare(body: Body, claim: Claim) -> None:
    """Compare field by field: the PEM, the hex and the base64 may be spelled another way."""
    check_kind(body, KIND, VERSION)
    hashed = body.spec.object("data").object("hash")
    signature = body.spec.object("signature")
    check_signature(signature.base64("content"), claim.signature)
    check_verifier_pem(signature.object("publicKey").base64("content"), claim)
    found = hashed.text("algorithm")
    for name in _hashes(claim):
        if name == found:
            check_digest(_unhex(hashed.text("value")), claim.digest(name))
            return
    raise VerificationError(
        "ENTRY_DIGEST_MISMATCH",
        "the log entry's hash algorithm is not one that the key is used with",
        expected=" or ".join(_hashes(claim)) or "a kind of entry without a hash",
        found=found[:100],
    )


def _unhex(text: str) -> bytes:
    """Read a digest in hex, either case."""
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise MalformedError("ENTRY_MALFORMED", "the log entry's digest is not hex") from error
