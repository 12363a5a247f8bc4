"""Certificates put together (RFC 5280 §4.1), byte by byte, for whoever holds a `Signer`.

The reading side is `certificate.py`. `cryptography` has a builder too; it wants the private key
itself, takes longer, and cannot sign a precertificate and its certificate over the same bytes. The
tests hold the two to the same output.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from hashlib import sha1
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from touchplate.errors import MalformedError, SettingsError
from touchplate.formats import der
from touchplate.formats.certificate import Certificate
from touchplate.formats.element import DerError, expect, expect_last
from touchplate.keys.algorithms import Algorithm
from touchplate.keys.signer import Signer

# RFC 5758 §3.2, RFC 8410 §3: no parameters. RFC 4055 §5: RSA has NULL.
SIGNATURE_IDENTIFIERS: Final[Mapping[tuple[str, str | None], bytes]] = {
    ("ecdsa", "sha256"): der.sequence(der.oid("1.2.840.10045.4.3.2")),
    ("ecdsa", "sha384"): der.sequence(der.oid("1.2.840.10045.4.3.3")),
    ("ecdsa", "sha512"): der.sequence(der.oid("1.2.840.10045.4.3.4")),
    ("rsa-pkcs1", "sha256"): der.sequence(der.oid("1.2.840.113549.1.1.11"), der.null()),
    ("ed25519", None): der.sequence(der.oid("1.3.101.112")),
}

KEY_USAGE_SIGN: Final = bytes.fromhex("03020780")  # digitalSignature
KEY_USAGE_ISSUE: Final = bytes.fromhex("03020106")  # keyCertSign, cRLSign
CODE_SIGNING: Final = der.sequence(der.oid("1.3.6.1.5.5.7.3.3"))
TIME_STAMPING: Final = der.sequence(der.oid("1.3.6.1.5.5.7.3.8"))

# The same dozen extensions, over and over.
_oid = lru_cache(maxsize=128)(der.oid)

_VERSION_3: Final = der.explicit(0, der.integer(2))
MAX_SERIAL: Final = (1 << 159) - 1
# What `cryptography` raises for a certificate that is none to it, or that another one signed.
_UNREADABLE: Final = (
    ValueError,
    TypeError,
    InvalidSignature,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
)


def signature_identifier(algorithm: Algorithm) -> bytes:
    """Give the AlgorithmIdentifier of certificates signed so, or raise SETTINGS_INVALID."""
    found = SIGNATURE_IDENTIFIERS.get((algorithm.kind, algorithm.hash))
    if found is None:
        raise SettingsError("SETTINGS_INVALID", f"{algorithm.name} cannot sign certificates here")
    return found


def encode_name(organization: str, common_name: str) -> bytes:
    """Give a distinguished name of organization and common name, as UTF8String."""
    parts = (("2.5.4.10", organization), ("2.5.4.3", common_name))
    return der.sequence(
        *(der.set_of([der.sequence(der.oid(oid), der.utf8_string(text))]) for oid, text in parts)
    )


def encode_extension(oid: str, value: bytes, *, critical: bool = False) -> bytes:
    """Give one Extension; `value` is what stands inside its OCTET STRING."""
    flag = der.boolean(value=True) if critical else b""
    return der.sequence(_oid(oid), flag, der.octet_string(value))


def key_identifier(spki: bytes) -> bytes:
    """Give SHA-1 of the key's bits (RFC 5280 §4.2.1.2, method 1); a name, not a proof."""
    try:
        at, end = expect_last(spki, 0, len(spki), der.SEQUENCE)
        _, at = expect(spki, at, end, der.SEQUENCE)
        start, stop = expect_last(spki, at, end, der.BIT_STRING)
    except DerError as error:
        raise MalformedError("DER_MALFORMED", f"a SubjectPublicKeyInfo: {error}") from error
    return sha1(spki[start + 1 : stop], usedforsecurity=False).digest()


def key_usage(value: bytes) -> bytes:
    """Give keyUsage, critical."""
    return encode_extension("2.5.29.15", value, critical=True)


def extended_key_usage(value: bytes, *, critical: bool = False) -> bytes:
    """Give extKeyUsage."""
    return encode_extension("2.5.29.37", value, critical=critical)


def basic_constraints(path_length: int | None) -> bytes:
    """Give basicConstraints of an authority, critical."""
    limit = b"" if path_length is None else der.integer(path_length)
    value = der.sequence(der.boolean(value=True), limit)
    return encode_extension("2.5.29.19", value, critical=True)


def subject_key_identifier(spki: bytes) -> bytes:
    """Give subjectKeyIdentifier."""
    return encode_extension("2.5.29.14", der.octet_string(key_identifier(spki)))


def authority_key_identifier(identifier: bytes) -> bytes:
    """Give authorityKeyIdentifier with the issuer's key identifier."""
    value = der.sequence(der.octet_string(identifier, der.context(0, constructed=False)))
    return encode_extension("2.5.29.35", value)


def encode_tbs_head(
    serial: int,
    signature: bytes,
    issuer: bytes,
    validity: tuple[datetime, datetime],
    subject: bytes,
    spki: bytes,
) -> bytes:
    """Give the fields of a TBSCertificate before its extensions.

    `signature` is the AlgorithmIdentifier; issuer and subject are whole Names. An issuer's is
    copied from its certificate, for another encoding of the same words breaks chains. The serial
    has at most 20 octets (RFC 5280 §4.1.2.2).
    """
    not_before, not_after = validity
    times = encode_validity(not_before, not_after)
    return b"".join((_VERSION_3, encode_serial(serial), signature, issuer, times, subject, spki))


def encode_serial(serial: int) -> bytes:
    """Give the serial number as INTEGER; another than one of 20 octets is our bug."""
    if not 0 < serial <= MAX_SERIAL:
        raise AssertionError("a serial number is positive and of at most 20 octets")
    return der.integer(serial)


@lru_cache(maxsize=8)  # whole seconds: many certificates begin in the same one
def encode_validity(not_before: datetime, not_after: datetime) -> bytes:
    """Give the Validity of a certificate."""
    return der.sequence(der.certificate_time(not_before), der.certificate_time(not_after))


def encode_tbs(head: bytes, extensions: Iterable[bytes]) -> bytes:
    """Give a TBSCertificate: its head and its extensions in this order."""
    listed = b"".join(extensions)
    inner = der.head(der.SEQUENCE, len(listed))
    outer = der.head(0xA3, len(inner) + len(listed))
    size = len(head) + len(outer) + len(inner) + len(listed)
    return b"".join((der.head(der.SEQUENCE, size), head, outer, inner, listed))


def sign_tbs(tbs: bytes, signature: bytes, signer: Signer) -> bytes:
    """Give the certificate: the signed part, the algorithm, the signature."""
    bits = signer.sign(tbs)
    before = der.head(der.BIT_STRING, 1 + len(bits))
    size = len(tbs) + len(signature) + len(before) + 1 + len(bits)
    return b"".join((der.head(der.SEQUENCE, size), tbs, signature, before, b"\0", bits))


def sign_certificate(
    subject: bytes,
    spki: bytes,
    extensions: Iterable[bytes],
    *,
    serial: int,
    issuer: bytes,
    validity: tuple[datetime, datetime],
    signer: Signer,
) -> bytes:
    """Give a certificate that `signer` signs; see `encode_tbs_head` for the fields."""
    signature = signature_identifier(signer.algorithm)
    head = encode_tbs_head(serial, signature, issuer, validity, subject, spki)
    return sign_tbs(encode_tbs(head, extensions), signature, signer)


def sign_root(
    name: bytes,
    *,
    path_length: int,
    serial: int,
    validity: tuple[datetime, datetime],
    signer: Signer,
) -> bytes:
    """Give a certificate that `signer` signs for itself, of an authority over others."""
    spki = signer.public_key.spki
    extensions = (
        key_usage(KEY_USAGE_ISSUE),
        basic_constraints(path_length),
        subject_key_identifier(spki),
    )
    return sign_certificate(
        name, spki, extensions, serial=serial, issuer=name, validity=validity, signer=signer
    )


def find_broken_link(chain: Sequence[Certificate]) -> int | None:
    """Find the first certificate that the next one, or the last one itself, did not sign.

    Read and checked by `cryptography`, not by the code that made them. One that it does not read,
    or whose kind of signature it does not know, is not signed as far as we can say.
    """
    for place, certificate in enumerate(chain):
        above = chain[min(place + 1, len(chain) - 1)]
        try:
            x509.load_der_x509_certificate(certificate.der).verify_directly_issued_by(
                x509.load_der_x509_certificate(above.der)
            )
        except _UNREADABLE:
            return place
    return None
