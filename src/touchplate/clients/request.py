"""A certificate signing request (PKCS #10, RFC 2986) without a subject, by any `Signer`."""

from __future__ import annotations

from typing import Final

from touchplate.errors import VerificationError
from touchplate.formats import der
from touchplate.keys.pem import encode_pem
from touchplate.keys.signer import Signer

# AlgorithmIdentifier of the request's own signature: RFC 5758 §3.2, RFC 8017, RFC 8410, RFC 9881.
_PARAMETERS_ABSENT: Final = {
    ("ecdsa", "sha256"): "1.2.840.10045.4.3.2",
    ("ecdsa", "sha384"): "1.2.840.10045.4.3.3",
    ("ecdsa", "sha512"): "1.2.840.10045.4.3.4",
    ("ed25519", None): "1.3.101.112",
}
_PARAMETERS_NULL: Final = {("rsa-pkcs1", "sha256"): "1.2.840.113549.1.1.11"}
_EXTENSION_REQUEST: Final = "1.2.840.113549.1.9.14"
_BASIC_CONSTRAINTS: Final = "2.5.29.19"
_CRITICAL: Final = der.tlv(der.BOOLEAN, b"\xff")


def certificate_request(key: Signer) -> bytes:
    """Give the DER of a request for `key` that says CA:FALSE and names nobody.

    An address in a subject would have to be an IA5String, which cannot hold every one; the token
    says who asks.
    """
    extension = der.sequence(
        der.oid(_BASIC_CONSTRAINTS), _CRITICAL, der.octet_string(der.sequence())
    )
    attribute = der.sequence(der.oid(_EXTENSION_REQUEST), der.set_of((der.sequence(extension),)))
    # Attributes are [0] IMPLICIT SET OF, always there.
    attributes = der.implicit(0, der.set_of((attribute,)))
    body = der.sequence(der.integer(0), der.sequence(), key.public_key.spki, attributes)
    return der.sequence(body, _algorithm(key), der.bit_string(key.sign(body)))


def certificate_request_pem(key: Signer) -> str:
    """Give the request as PEM text."""
    return encode_pem("CERTIFICATE REQUEST", certificate_request(key)).decode()


def _algorithm(key: Signer) -> bytes:
    used = (key.algorithm.kind, key.algorithm.hash)
    if used in _PARAMETERS_ABSENT:
        return der.sequence(der.oid(_PARAMETERS_ABSENT[used]))
    if used in _PARAMETERS_NULL:
        return der.sequence(der.oid(_PARAMETERS_NULL[used]), der.null())
    raise VerificationError(
        "KEY_UNREADABLE", f"a certificate cannot be requested with {key.algorithm.name}"
    )
