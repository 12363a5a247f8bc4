"""Entry kind `dsse` 0.0.1: the hashes of an envelope, its signatures and keys (Rekor v1).

`envelopeHash` is over the envelope's JSON as its sender wrote it, which no bundle keeps: a verifier
cannot check it and takes it as it stands.
"""

from binascii import b2a_base64
from collections.abc import Sequence
from hashlib import sha256
from json import dumps
from typing import Final

from touchplate.entries.admission import Admitted, check_any_hash, load_verifier_pem
from touchplate.entries.body import Body, decode_base64, parse_body, read_base64
from touchplate.entries.claim import Claim
from touchplate.entries.compare import (
    check_digest,
    check_kind,
    check_signature,
    check_verifier_pem,
    the_envelope,
)
from touchplate.errors import MalformedError, VerificationError
from touchplate.formats.dsse import pae
from touchplate.formats.jcs import canonical_json
from touchplate.formats.jsontext import Fields, parse_json
from touchplate.keys.public import PublicKey

KIND: Final = "dsse"
VERSION: Final = "0.0.1"

_START: Final = (
    b'{"apiVersion":"0.0.1","kind":"dsse","spec":{"envelopeHash":{"algorithm":"sha256","value":"'
)
_REST: Final = b'"},"payloadHash":{"algorithm":"sha256","value":"%b"},"signatures":[%b]}}'
_SIGNATURE: Final = b'{"signature":"%b","verifier":"%b"}'
_HASH_END: Final = len(_START) + 64

_ENVELOPE: Final = b'{"payload":"%b","payloadType":%b,"signatures":[{"keyid":"","sig":"%b"}]}'
_REQUEST: Final = (
    b'{"apiVersion":"0.0.1","kind":"dsse","spec":{"proposedContent":'
    b'{"envelope":%b,"verifiers":["%b"]}}}'
)

# Of signatures and of verifiers: each pair may cost a verification.
MAX_SIGNATURES: Final = 10
MAX_ENVELOPE_BYTES: Final = 16 << 20


def encode_body(
    envelope_hash: bytes, payload_hash: bytes, signatures: tuple[tuple[bytes, bytes], ...]
) -> bytes:
    """Write the canonical body; `signatures` are base64 text and PEM, in the order given."""
    written = [(text, b2a_base64(pem, newline=False)) for text, pem in signatures]
    return _START + envelope_hash.hex().encode() + _rest(payload_hash, written)


def _rest(payload_hash: bytes, signatures: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Write what follows the envelope's hash; `signatures` and their PEM are base64 texts."""
    written = b",".join([_SIGNATURE % pair for pair in signatures])
    return _REST % (payload_hash.hex().encode(), written)


def match(body: bytes, claim: Claim) -> None:
    """Prove that `body` is about the claim's payload, signature and key."""
    envelope = the_envelope(claim, "dsse 0.0.1")
    payload_hash = sha256(envelope.payload).digest()
    signature = b2a_base64(claim.signature, newline=False)
    rest = _rest(payload_hash, [(signature, claim.verifier_pem_base64)])
    if body.startswith(_START) and body[_HASH_END:] == rest and is_hex(body[:_HASH_END][-64:]):
        return
    _compare(parse_body(body), claim, payload_hash)


def _compare(body: Body, claim: Claim, payload_hash: bytes) -> None:
    """Compare field by field: the PEM and the base64 may be spelled another way."""
    check_kind(body, KIND, VERSION)
    signature = the_signature(body.spec)
    check_signature(read_base64(signature, "signature"), claim.signature)
    check_verifier_pem(read_base64(signature, "verifier"), claim)
    check_sha256(body.spec.require("payloadHash"), payload_hash)


def the_signature(entry: Fields) -> Fields:
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


def check_sha256(hashed: Fields, expected: bytes) -> None:
    """Require a `{"algorithm":"sha256","value":hex}` member to be `expected`."""
    check_digest(bytes.fromhex(read_sha256(hashed)), expected, "payload hash")


def read_sha256(hashed: Fields) -> str:
    """Give the value of a `{"algorithm":"sha256","value":hex}` member, in the sender's case."""
    value = hashed.string("value")
    if hashed.string("algorithm") != "sha256" or not is_hex(value.encode()):
        raise hashed.wrong("value", "a SHA-256 in hex")
    return value


def is_hex(text: bytes) -> bool:
    """Say whether `text` is 64 hex digits."""
    return len(text) == 64 and not text.strip(b"0123456789abcdefABCDEF")


def encode_request(claim: Claim) -> bytes:
    """Write the JSON that asks a v1 log for an entry about this claim, which is an envelope."""
    envelope = the_envelope(claim, "dsse 0.0.1")
    text = _ENVELOPE % (
        b2a_base64(envelope.payload, newline=False),
        dumps(envelope.payload_type).encode(),
        b2a_base64(claim.signature, newline=False),
    )
    return _REQUEST % (
        dumps(text.decode()).encode(),
        b2a_base64(claim.verifier_pem, newline=False),
    )


def admit(spec: Fields) -> Admitted:
    """Check the `spec` of a proposed entry and make the leaf data.

    Each signature of the envelope must be by one of the verifiers. Raises REQUEST_MALFORMED,
    KEY_UNREADABLE or SIGNATURE_INVALID.
    """
    if spec.has("signatures") or spec.has("envelopeHash") or spec.has("payloadHash"):
        raise MalformedError(
            "REQUEST_MALFORMED", "hashes and signatures are made by the log, not proposed"
        )
    proposed = spec.require("proposedContent")
    pems = proposed.strings("verifiers")
    if not 1 <= len(pems) <= MAX_SIGNATURES:
        raise proposed.wrong("verifiers", f"1 to {MAX_SIGNATURES} keys or certificates")
    verifiers = [load_verifier_pem(decode_base64(proposed, "verifiers", pem)) for pem in pems]
    text = proposed.string("envelope").encode()
    envelope = parse_envelope(text)
    payload = envelope.bytes("payload")  # DSSE allows either base64 alphabet
    message = pae(envelope.string("payloadType"), payload)
    signed = {
        signature.string("sig").encode(): _verifier_of(signature, message, verifiers)
        for signature in envelope.objects("signatures")
    }
    body = encode_body(
        sha256(text).digest(), sha256(payload).digest(), tuple(sorted(signed.items()))
    )
    return Admitted(KIND, VERSION, body)


def restate(spec: Fields) -> Admitted | None:
    """Give the entry that `spec` is the logged form of, to find it; None if it proposes one.

    Raises REQUEST_MALFORMED, KEY_UNREADABLE.
    """
    if spec.has("proposedContent"):
        return None
    if not (spec.has("envelopeHash") and spec.has("payloadHash") and spec.has("signatures")):
        raise MalformedError(
            "REQUEST_MALFORMED",
            "either proposedContent or envelopeHash, payloadHash, and signatures must be present",
        )
    hashes = [read_sha256(spec.require(name)) for name in ("envelopeHash", "payloadHash")]
    signatures = spec.objects("signatures")
    if not 1 <= len(signatures) <= MAX_SIGNATURES:
        raise spec.wrong("signatures", f"1 to {MAX_SIGNATURES} signatures")
    logged = [
        {
            "signature": signature.string("signature"),
            "verifier": _restate_pem(read_base64(signature, "verifier")),
        }
        for signature in signatures
    ]
    stored = {
        "envelopeHash": {"algorithm": "sha256", "value": hashes[0]},
        "payloadHash": {"algorithm": "sha256", "value": hashes[1]},
        "signatures": sorted(logged, key=lambda each: each["signature"]),
    }
    body = canonical_json({"apiVersion": VERSION, "kind": KIND, "spec": stored})
    return Admitted(KIND, VERSION, body)


def _restate_pem(pem: bytes) -> str:
    return b2a_base64(load_verifier_pem(pem)[1], newline=False).decode()


def parse_envelope(text: bytes) -> Fields:
    """Read the envelope out of its JSON text, and require 1 to 10 signatures."""
    error = "REQUEST_MALFORMED"
    members = parse_json(text, what="DSSE envelope", max_bytes=MAX_ENVELOPE_BYTES, error=error)
    envelope = Fields(members, error=error, path="envelope")
    count = len(envelope.objects("signatures"))
    if not count:
        raise MalformedError(error, "DSSE envelope must contain 1 or more signatures")
    if count > MAX_SIGNATURES:
        raise envelope.wrong("signatures", f"1 to {MAX_SIGNATURES} signatures")
    return envelope


def _verifier_of(
    signature: Fields, message: bytes, verifiers: Sequence[tuple[PublicKey, bytes]]
) -> bytes:
    """Give the PEM of the verifier that made this signature."""
    content = read_base64(signature, "sig")
    if b2a_base64(content, newline=False) != signature.string("sig").encode() or not content:
        # The text itself goes into the leaf: only one spelling of it is taken.
        raise signature.wrong("sig", "standard base64")
    failure: VerificationError | None = None
    for key, pem in verifiers:
        try:
            check_any_hash(key, content, message)
        except VerificationError as error:
            failure = error
        else:
            return pem
    raise failure or AssertionError("no verifiers")
