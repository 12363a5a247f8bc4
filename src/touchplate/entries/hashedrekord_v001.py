"""Entry kind `hashedrekord` 0.0.1: a digest, a signature over it, and the key as PEM (Rekor v1).

It vouches for message signatures only; an envelope under this kind is refused.
"""

from binascii import b2a_base64
from collections.abc import Mapping
from typing import Final

from touchplate.entries.admission import ALLOWED, Admitted, allow, load_verifier_pem
from touchplate.entries.body import Body, parse_body, read_base64
from touchplate.entries.claim import Claim
from touchplate.entries.compare import (
    check_digest,
    check_kind,
    check_signature,
    check_verifier_pem,
)
from touchplate.errors import MalformedError, VerificationError
from touchplate.formats.bundle import Envelope
from touchplate.formats.jsontext import Fields
from touchplate.keys.algorithms import HASH_SIZES, HashName
from touchplate.keys.public import check_digest_signature

KIND: Final = "hashedrekord"
VERSION: Final = "0.0.1"

_BODY: Final = (
    b'{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{"data":{"hash":'
    b'{"algorithm":"%b","value":"%b"}},"signature":{"content":"%b","publicKey":{"content":"%b"}}}}'
)

_SIZES: Final[Mapping[str, int]] = dict(HASH_SIZES.items())


def encode_body(hash_name: str, digest_hex: str, signature: bytes, pem: bytes) -> bytes:
    """Write the canonical body. `digest_hex` keeps the letter case that the client sent."""
    return _encode(hash_name, digest_hex, signature, b2a_base64(pem, newline=False))


def _encode(hash_name: str, digest_hex: str, signature: bytes, pem_base64: bytes) -> bytes:
    return _BODY % (
        hash_name.encode(),
        digest_hex.encode(),
        b2a_base64(signature, newline=False),
        pem_base64,
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
            if body == _encode(name, digest, claim.signature, claim.verifier_pem_base64):
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
    hashed = body.spec.require("data").require("hash")
    signature = body.spec.require("signature")
    check_signature(read_base64(signature, "content"), claim.signature)
    check_verifier_pem(read_base64(signature.require("publicKey"), "content"), claim)
    found = hashed.string("algorithm")
    for name in _hashes(claim):
        if name == found:
            value = _unhex(hashed.string("value"), "ENTRY_MALFORMED")
            check_digest(value, claim.digest(name))
            return
    raise VerificationError(
        "ENTRY_DIGEST_MISMATCH",
        "the log entry's hash algorithm is not one that the key is used with",
        expected=" or ".join(_hashes(claim)) or "a kind of entry without a hash",
        found=found[:100],
    )


def _unhex(text: str, error: str) -> bytes:
    """Read a digest in hex, either case."""
    try:
        return bytes.fromhex(text)
    except ValueError as problem:
        raise MalformedError(error, "invalid value for hash: not hex") from problem


def encode_request(claim: Claim) -> bytes:
    """Write the JSON that asks a v1 log for an entry about this claim (DIGEST_UNSUPPORTED)."""
    for name in _hashes(claim):
        # The canonical body is a valid request: it has the same members.
        digest = claim.digest(name).hex()
        return encode_body(name, digest, claim.signature, claim.verifier_pem)
    raise VerificationError(
        "DIGEST_UNSUPPORTED", f"a hashedrekord entry cannot hold a signature by {claim.key.kind}"
    )


def admit(spec: Fields, allowed: frozenset[str] | None = ALLOWED) -> Admitted:
    """Check the `spec` of a proposed entry and make the leaf data; None allows every algorithm.

    Raises REQUEST_MALFORMED, KEY_UNREADABLE, ALGORITHM_REFUSED or SIGNATURE_INVALID. An Ed25519 key
    means Ed25519ph here: the log has only the hash.
    """
    signature = _part(spec, "signature", "missing signature")
    public_key = _part(signature, "publicKey", "missing public key")
    data = _part(spec, "data", "missing data")
    hashed = _part(data, "hash", "missing hash")
    content = read_base64(signature, "content")
    if not content:
        raise MalformedError("REQUEST_MALFORMED", "missing signature")
    name, value = hashed.string("algorithm"), hashed.string("value")
    if not value:
        raise MalformedError("REQUEST_MALFORMED", "missing hash value")
    size = _SIZES.get(name)
    digest = _unhex(value, "REQUEST_MALFORMED")
    if size is None or len(digest) != size or len(value) != 2 * size:
        raise MalformedError(
            "REQUEST_MALFORMED", "invalid value for hash", found=f"{name}:{value}"[:200]
        )
    key, pem = load_verifier_pem(read_base64(public_key, "content"))
    algorithm = allow(key, name, allowed)
    check_digest_signature(key, content, digest, algorithm)
    return Admitted(KIND, VERSION, encode_body(name, value, content, pem))


def _part(fields: Fields, name: str, otherwise: str) -> Fields:
    """Give an object, or say in upstream's words that it is missing."""
    found = fields.object(name)
    if found is None:
        raise MalformedError("REQUEST_MALFORMED", otherwise)
    return found
