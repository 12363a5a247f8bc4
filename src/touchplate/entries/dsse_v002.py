"""Entry kind `dsse` 0.0.2: a payload's hash, its signature and key (Rekor v2, before mid-2026).

Logs no longer take it, but they hold such entries. The whole body can be made again from a bundle.
"""

from binascii import b2a_base64
from hashlib import sha256
from typing import Final

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
from touchplate.errors import MalformedError
from touchplate.keys.algorithms import Algorithm

KIND: Final = "dsse"
VERSION: Final = "0.0.2"

_BODY: Final = (
    b'{"apiVersion":"0.0.2","kind":"dsse","spec":{"dsseV002":{"payloadHash":'
    b'{"algorithm":"SHA2_256","digest":"%b"},"signatures":[{"content":"%b","verifier":'
    b'{"keyDetails":"%b","%b":{"rawBytes":"%b"}}}]}}}'
)


def encode_body(
    algorithm: Algorithm,
    payload_hash: bytes,
    signature: bytes,
    verifier: bytes,
    *,
    is_certificate: bool,
) -> bytes:
    """Write the canonical body of an entry with one signature."""
    return _BODY % (
        b2a_base64(payload_hash, newline=False),
        b2a_base64(signature, newline=False),
        algorithm.name.encode(),
        b"x509Certificate" if is_certificate else b"publicKey",
        b2a_base64(verifier, newline=False),
    )


def match(body: bytes, claim: Claim) -> None:
    """Prove that `body` is the one that the claim leads to, byte for byte."""
    payload_hash = sha256(the_envelope(claim, "dsse 0.0.2").payload).digest()
    for algorithm in claim.key.algorithms:
        expected = encode_body(
            algorithm,
            payload_hash,
            claim.signature,
            claim.verifier,
            is_certificate=claim.certificate is not None,
        )
        if body == expected:
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
