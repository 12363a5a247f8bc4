"""Entry kind `intoto` 0.0.2: an attestation's hashes, signatures and keys (Rekor v1, old clients).

Two oddities of the kind: `sig` is base64 of the base64 text of the signature, and `hash`, over the whole
envelope, is the sender's word that no one checks. A verifier takes `hash` and `keyid` as they stand.
"""

from binascii import b2a_base64
from hashlib import sha256
from typing import Final

from touchplate.entries.claim import Claim
from touchplate.entries.compare import (
    check_kind,
    check_signature,
    check_verifier_pem,
    the_envelope,
)
from touchplate.entries.dsse_v001 import check_sha256, the_signature
from touchplate.entries.members import parse_body
from touchplate.errors import VerificationError

KIND: Final = "intoto"
VERSION: Final = "0.0.2"


def match(body: bytes, claim: Claim) -> None:
    """Prove that `body` is about the claim's payload, signature and key."""
    envelope = the_envelope(claim, "intoto 0.0.2")
    parsed = parse_body(body)
    check_kind(parsed, KIND, VERSION)
    content = parsed.spec.object("content")
    logged = content.object("envelope")
    signature = the_signature(logged)
    text = signature.base64("sig")
    if text != b2a_base64(claim.signature, newline=False):
        check_signature(signature.decode(text.decode("latin-1"), "sig"), claim.signature)
    check_verifier_pem(signature.base64("publicKey"), claim)
    check_sha256(content.object("payloadHash"), sha256(envelope.payload).digest())
    if logged.text("payloadType") != envelope.payload_type:
        raise VerificationError(
            "ENTRY_DIGEST_MISMATCH",
            "the log entry is about a payload of another type",
            expected=envelope.payload_type,
            found=logged.text("payloadType")[:200],
        )
