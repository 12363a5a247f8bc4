"""Entry kind `intoto` 0.0.2: an attestation's hashes, signatures and keys (Rekor v1, old clients).

Two oddities of the kind: `sig` is base64 of the base64 text of the signature, and `hash`, over the
whole envelope, is the sender's word that no one checks. A verifier takes `hash` and `keyid` as they
stand.
"""

from binascii import b2a_base64
from hashlib import sha256
from typing import Final

from touchplate.entries.admission import Admitted, check_any_hash, load_verifier_pem
from touchplate.entries.body import decode_base64, parse_body, read_base64
from touchplate.entries.claim import Claim
from touchplate.entries.compare import (
    check_kind,
    check_signature,
    check_verifier_pem,
    the_envelope,
)
from touchplate.entries.dsse_v001 import MAX_SIGNATURES, check_sha256, is_hex, the_signature
from touchplate.errors import MalformedError, VerificationError
from touchplate.formats.dsse import pae
from touchplate.formats.jcs import canonical_json
from touchplate.formats.jsontext import Fields

KIND: Final = "intoto"
VERSION: Final = "0.0.2"
_BASE64: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\r\n"


def match(body: bytes, claim: Claim) -> None:
    """Prove that `body` is about the claim's payload, signature and key."""
    envelope = the_envelope(claim, "intoto 0.0.2")
    parsed = parse_body(body)
    check_kind(parsed, KIND, VERSION)
    content = parsed.spec.require("content")
    logged = content.require("envelope")
    signature = the_signature(logged)
    text = read_base64(signature, "sig")
    if text != b2a_base64(claim.signature, newline=False):
        # Some writers of this kind encoded once: what they logged is then another signature.
        is_base64 = not text.translate(None, _BASE64)
        check_signature(_twice(signature, "sig") if is_base64 else text, claim.signature)
    check_verifier_pem(read_base64(signature, "publicKey"), claim)
    check_sha256(content.require("payloadHash"), sha256(envelope.payload).digest())
    if logged.string("payloadType") != envelope.payload_type:
        raise VerificationError(
            "ENTRY_DIGEST_MISMATCH",
            "the log entry is about a payload of another type",
            expected=envelope.payload_type,
            found=logged.string("payloadType")[:200],
        )


def admit(spec: Fields) -> Admitted:
    """Check the `spec` of a proposed entry and make the leaf data.

    Each signature is checked with the key beside it. Raises REQUEST_MALFORMED, KEY_UNREADABLE or
    SIGNATURE_INVALID.
    """
    content = spec.require("content")
    envelope, hashed = content.require("envelope"), content.require("hash")
    value = hashed.string("value")
    if hashed.string("algorithm") != "sha256" or not is_hex(value.encode()):
        raise MalformedError("REQUEST_MALFORMED", "missing envelope digest")
    signatures = envelope.objects("signatures")
    if not 1 <= len(signatures) <= MAX_SIGNATURES:
        raise envelope.wrong("signatures", f"1 to {MAX_SIGNATURES} signatures")
    payload = _twice(envelope, "payload")
    message = pae(envelope.string("payloadType"), payload)
    logged = {
        "payloadType": envelope.string("payloadType"),
        "signatures": [_admit_signature(signature, message) for signature in signatures],
    }
    body = {
        "apiVersion": VERSION,
        "kind": KIND,
        "spec": {
            "content": {
                "envelope": logged,
                "hash": {"algorithm": "sha256", "value": value},
                "payloadHash": {"algorithm": "sha256", "value": sha256(payload).hexdigest()},
            }
        },
    }
    return Admitted(KIND, VERSION, canonical_json(body), payload)


def _admit_signature(signature: Fields, message: bytes) -> dict[str, str]:
    """Verify one signature and give it as the leaf holds it; the PEM is kept as it was sent."""
    pem = read_base64(signature, "publicKey")
    key, _ = load_verifier_pem(pem)
    check_any_hash(key, _twice(signature, "sig"), message)
    logged = {
        "publicKey": b2a_base64(pem, newline=False).decode(),
        "sig": b2a_base64(read_base64(signature, "sig"), newline=False).decode(),
    }
    if signature.string("keyid"):
        logged["keyid"] = signature.string("keyid")
    return logged


def _twice(fields: Fields, name: str) -> bytes:
    """Decode a member that is base64 of base64 text."""
    return decode_base64(fields, name, read_base64(fields, name).decode("latin-1"))
