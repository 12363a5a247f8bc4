"""Entry kind `hashedrekord` 0.0.2: a digest, a signature over it, and the key (Rekor v2).

The one kind that a v2 log takes. An envelope is logged by the hash of its pre-authentication encoding.
Body and request: rekor-tiles `api/proto/rekor/v2`; the body is canonical JSON (RFC 8785).
"""

from binascii import b2a_base64
from typing import Final

from touchplate.entries.claim import Claim
from touchplate.entries.compare import (
    check_algorithm,
    check_digest,
    check_kind,
    check_signature,
    check_verifier,
)
from touchplate.entries.members import parse_body
from touchplate.errors import MalformedError, VerificationError
from touchplate.keys.algorithms import Algorithm, HashName

KIND: Final = "hashedrekord"
VERSION: Final = "0.0.2"

# The hash names of protobuf, as the body spells them.
HASH_NAMES: Final[dict[HashName, bytes]] = {
    "sha256": b"SHA2_256",
    "sha384": b"SHA2_384",
    "sha512": b"SHA2_512",
}

_BODY: Final = (
    b'{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{"hashedRekordV002":{"data":'
    b'{"algorithm":"%b","digest":"%b"},"signature":{"content":"%b","verifier":'
    b'{"keyDetails":"%b","%b":{"rawBytes":"%b"}}}}}}'
)


def encode_body(
    algorithm: Algorithm, digest: bytes, signature: bytes, verifier: bytes, *, is_certificate: bool
) -> bytes:
    """Write the canonical body, which is the leaf data. `algorithm` must have a hash."""
    if algorithm.hash is None:
        raise AssertionError(f"hashedrekord with {algorithm.name}, which has no hash")
    return _BODY % (
        HASH_NAMES[algorithm.hash],
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
    entry = parsed.spec.object("hashedRekordV002")
    data, signature = entry.object("data"), entry.object("signature")
    verifier = signature.object("verifier")
    is_certificate = verifier.has("x509Certificate")
    der = verifier.object("x509Certificate" if is_certificate else "publicKey").base64("rawBytes")
    check_signature(signature.base64("content"), claim.signature)
    check_verifier(der, claim, is_certificate=is_certificate)
    algorithm = check_algorithm(verifier.text("keyDetails"), claim)
    if algorithm.hash is None or data.text("algorithm") != HASH_NAMES[algorithm.hash].decode():
        raise VerificationError(
            "ENTRY_DIGEST_MISMATCH",
            "the log entry's hash algorithm is not the one of its key",
            expected=algorithm.hash or "a hash",
            found=data.text("algorithm")[:100],
        )
    check_digest(data.base64("digest"), claim.digest(algorithm.hash))
    raise MalformedError("ENTRY_MALFORMED", "the log entry's body is not in canonical form")
