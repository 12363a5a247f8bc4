"""Entry kind `intoto` 0.0.1: an envelope's hash, its payload's hash, and one key (Rekor v1).

The signature itself is not in the leaf, so no bundle can be matched with it; cosign looks for such
entries by their content.
"""

from binascii import b2a_base64
from hashlib import sha256
from typing import Final

from touchplate.entries.admission import Admitted, check_any_hash, load_verifier_pem
from touchplate.entries.body import read_base64
from touchplate.entries.dsse_v001 import parse_envelope, read_sha256
from touchplate.errors import VerificationError
from touchplate.formats.dsse import pae
from touchplate.formats.jsontext import Fields

KIND: Final = "intoto"
VERSION: Final = "0.0.1"

_BODY: Final = (
    b'{"apiVersion":"0.0.1","kind":"intoto","spec":{"content":{"hash":{"algorithm":"sha256",'
    b'"value":"%b"},"payloadHash":{"algorithm":"sha256","value":"%b"}},"publicKey":"%b"}}'
)


def admit(spec: Fields) -> Admitted:
    """Check the `spec` of a proposed entry and make the leaf data.

    The key must have made one of the envelope's signatures. Hashes that are sent along are not
    looked at. Raises REQUEST_MALFORMED, KEY_UNREADABLE or SIGNATURE_INVALID.
    """
    text = spec.require("content").string("envelope").encode()
    key, pem = load_verifier_pem(read_base64(spec, "publicKey"))
    envelope = parse_envelope(text)
    payload = envelope.bytes("payload")
    message = pae(envelope.string("payloadType"), payload)
    failure: VerificationError | None = None
    for signature in envelope.objects("signatures"):
        try:
            check_any_hash(key, signature.bytes("sig"), message)
        except VerificationError as error:
            failure = error
        else:
            return _admitted(sha256(text).hexdigest(), sha256(payload).hexdigest(), pem, payload)
    raise failure or AssertionError("an envelope without signatures was parsed")


def restate(spec: Fields) -> Admitted | None:
    """Give the entry that `spec` is the logged form of, to find it; None if it proposes one."""
    content = spec.require("content")
    if content.string("envelope"):
        return None
    envelope_hash, payload_hash = (
        read_sha256(content.require(name)) for name in ("hash", "payloadHash")
    )
    _, pem = load_verifier_pem(read_base64(spec, "publicKey"))
    return _admitted(envelope_hash, payload_hash, pem, b"")


def _admitted(envelope_hash: str, payload_hash: str, pem: bytes, payload: bytes) -> Admitted:
    hashes = envelope_hash.encode(), payload_hash.encode()
    body = _BODY % (*hashes, b2a_base64(pem, newline=False))
    return Admitted(KIND, VERSION, body, payload)
