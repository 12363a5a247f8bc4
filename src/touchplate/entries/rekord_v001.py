"""Entry kind `rekord` 0.0.1: an artifact's hash, a signature over the artifact, and its key.

The artifact itself is sent, hashed, checked and dropped. Old clients of Rekor wrote this kind; no
bundle holds it.
"""

from binascii import b2a_base64
from hashlib import sha256
from typing import Final

from touchplate.entries.admission import Admitted
from touchplate.entries.body import read_base64
from touchplate.entries.signer_key import check_signed
from touchplate.errors import MalformedError
from touchplate.formats.jsontext import Fields

KIND: Final = "rekord"
VERSION: Final = "0.0.1"

_BODY: Final = (
    b'{"apiVersion":"0.0.1","kind":"rekord","spec":{"data":{"hash":{"algorithm":"sha256","value":'
    b'"%b"}},"signature":{"content":"%b","format":"%b","publicKey":{"content":"%b"}}}}'
)


def admit(spec: Fields) -> Admitted:
    """Check the `spec` of a proposed entry and make the leaf data.

    Raises REQUEST_MALFORMED, ENTRY_REFUSED for keys of OpenPGP, KEY_UNREADABLE, LIMIT_EXCEEDED,
    ENTRY_DIGEST_MISMATCH or SIGNATURE_INVALID.
    """
    signature, data = spec.require("signature"), spec.require("data")
    content = read_base64(data, "content")
    if not content:
        raise MalformedError("REQUEST_MALFORMED", "data.content must be specified")
    digest = sha256(content).hexdigest()
    _check_hash(data, digest)
    signed = check_signed(
        signature.string("format"),
        read_base64(signature, "content"),
        read_base64(signature.require("publicKey"), "content"),
        content,
    )
    body = _BODY % (
        digest.encode(),
        b2a_base64(signed.signature, newline=False),
        signature.string("format").encode(),
        b2a_base64(signed.key, newline=False),
    )
    return Admitted(KIND, VERSION, body)


def _check_hash(data: Fields, digest: str) -> None:
    """Require that a hash beside the artifact, if there is one, is the artifact's."""
    hashed = data.object("hash")
    if hashed is None:
        return
    value = hashed.string("value")
    if hashed.string("algorithm") != "sha256" or value.lower() != digest:
        raise MalformedError("REQUEST_MALFORMED", f"SHA mismatch: {digest} != {value[:200]}")
