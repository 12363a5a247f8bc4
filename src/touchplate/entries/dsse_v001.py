"""Entry kind `dsse` 0.0.1: the hashes of an envelope, its signatures and keys (Rekor v1).

`envelopeHash` is over the envelope's JSON as its sender wrote it, which no bundle keeps: a verifier
cannot check it and takes it as it stands.
"""

from binascii import b2a_base64
from hashlib import sha256
from typing import Final

from touchplate.entries.claim import Claim
from touchplate.entries.compare import (
    check_digest,
    check_kind,
    check_signature,
    check_verifier_pem,
    the_envelope,
)
from touchplate.entries.members import Body, Members, parse_body
from touchplate.errors import MalformedError, VerificationError

KIND: Final = "dsse"
VERSION: Final = "0.0.1"

_START: Final = (
    b'{"apiVersion":"0.0.1","kind":"dsse","spec":{"envelopeHash":{"algorithm":"sha256","value":"'
)
_REST: Final = b'"},"payloadHash":{"algorithm":"sha256","value":"%b"},"signatures":[%b]}}'
_SIGNATURE: Final = b'{"signature":"%b","verifier":"%b"}'
_HASH_END: Final = len(_START) + 64


def encode_body(
    envelope_hash: bytes, payload_hash: bytes, signatures: tuple[tuple[bytes, bytes], ...]
) -> bytes:
    """Write the canonical body; `signatures` are pairs of base64 text and PEM, in the order given."""
    return _START + envelope_hash.hex().encode() + _rest(payload_hash, signatures)


def _rest(payload_hash: bytes, signatures: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """Write what follows the envelope's hash."""
    written = b",".join(
        _SIGNATURE % (text, b2a_base64(pem, newline=False)) for text, pem in signatures
    )
    return _REST % (payload_hash.hex().encode(), written)


def match(body: bytes, claim: Claim) -> None:
    """Prove that `body` is about the claim's payload, signature and key."""
    envelope = the_envelope(claim, "dsse 0.0.1")
    payload_hash = sha256(envelope.payload).digest()
    signature = b2a_base64(claim.signature, newline=False)
    rest = _rest(payload_hash, ((signature, claim.verifier_pem),))
    if body.startswith(_START) and body[_HASH_END:] == rest and is_hex(body[:_HASH_END][-64:]):
        return
    _compare(parse_body(body), claim, payload_hash)


def _compare(body: Body, claim: Claim, payload_hash: bytes) -> None:
    """Compare field by field: the PEM and the base64 may be spelled another way."""
    check_kind(body, KIND, VERSION)
    signature = the_signature(body.spec)
    check_signature(signature.base64("signature"), claim.signature)
    check_verifier_pem(signature.base64("verifier"), claim)
    check_sha256(body.spec.object("payloadHash"), payload_hash)


def the_signature(entry: Members) -> Members:
    """Give the entry's one signature: a verified envelope has exactly one."""
    signatures = entry.objects("signatures")
    if len(signatures) != 1:
        raise VerificationError(
            "ENTRY_SIGNATURE_MISMATCH",
            "the log entry does not hold exactly one signature",
            expected="1",
            found=str(len(signatures)),
        )
    return signatures[0]


def check_sha256(hashed: Members, expected: bytes) -> None:
    """Require a `{"algorithm":"sha256","value":hex}` member to be `expected`."""
    value = hashed.text("value").encode()
    if hashed.text("algorithm") != "sha256" or not is_hex(value):
        raise MalformedError(
            "ENTRY_MALFORMED", f"{hashed.path} of the log entry is not a SHA-256 in hex"
        )
    check_digest(bytes.fromhex(value.decode()), expected, "payload hash")


def is_hex(text: bytes) -> bool:
    """Say whether `text` is 64 hex digits."""
    return len(text) == 64 and not text.strip(b"0123456789abcdefABCDEF")
