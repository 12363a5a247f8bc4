"""Keys and certificates of a test's own making; a key is the same each time it is asked for.

What is made of them stands beside: `promises` (what authorities sign) and `mint` (whole bundles).
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa
from cryptography.x509.oid import NameOID, ObjectIdentifier

from touchplate.formats.certificate import Certificate, parse_certificate
from touchplate.formats.element import encode

NOW = datetime(2030, 6, 1, 12, 0, 0, tzinfo=UTC)
START, END = NOW - timedelta(days=365), NOW + timedelta(days=365)


def b64(data: bytes) -> str:
    """Give standard base64."""
    return base64.b64encode(data).decode()


def spki(key: Any) -> bytes:
    """Give the SubjectPublicKeyInfo of a private or public key."""
    public = key.public_key() if hasattr(key, "public_key") else key
    der: bytes = public.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return der


def pem(label: str, der: bytes) -> bytes:
    """Give PEM with 64 columns."""
    text = b64(der)
    lines = "\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n".encode()


def sign(key: Any, message: bytes, hasher: hashes.HashAlgorithm | None = None) -> bytes:
    """Sign as the key's own algorithm does."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(message, ec.ECDSA(hasher or hash_of(key)))
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, padding.PKCS1v15(), hasher or hashes.SHA256())
    signature: bytes = key.sign(message)
    return signature


def hash_of(key: Any) -> hashes.HashAlgorithm:
    """Give the hash that goes with the key."""
    sizes = {384: hashes.SHA384(), 521: hashes.SHA512()}
    return sizes.get(getattr(key, "key_size", 0), hashes.SHA256())


@cache
def new_key(kind: str = "p256", number: int = 0) -> Any:
    """Make a private key, the same one each time for the same kind and number."""
    del number
    makers: dict[str, Callable[[], Any]] = {
        "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
        "ed25519": ed25519.Ed25519PrivateKey.generate,
        "rsa2048": lambda: rsa.generate_private_key(65537, 2048),
        "rsa3072": lambda: rsa.generate_private_key(65537, 3072),
        "ml-dsa-65": mldsa.MLDSA65PrivateKey.generate,
    }
    return makers[kind]()


@dataclass(frozen=True)
class Held:
    """A certificate and its private key."""

    der: bytes
    key: Any

    @property
    def certificate(self) -> Certificate:
        """The certificate, read."""
        return parse_certificate(self.der)


def build(
    key: Any,
    subject: str,
    issuer: Held | None,
    *extensions: tuple[x509.ExtensionType, bool],
    begins: datetime = START,
    ends: datetime = END,
    hasher: hashes.HashAlgorithm | None = None,
    issuer_name: str | None = None,
    serial: int | None = None,
) -> Held:
    """Make a certificate; without an issuer it signs itself."""
    signer = issuer.key if issuer else key
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)] if subject else [])
    above = name
    if issuer:
        above = x509.load_der_x509_certificate(issuer.der).subject
    if issuer_name is not None:
        above = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer_name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(above)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    chosen: Any = (
        None
        if isinstance(signer, ed25519.Ed25519PrivateKey | mldsa.MLDSA65PrivateKey)
        else hasher or hash_of(signer)
    )
    der = builder.sign(signer, chosen).public_bytes(serialization.Encoding.DER)
    return Held(der, key)


def usage(*names: str) -> x509.KeyUsage:
    """Make a key usage extension with these bits."""
    fields = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{field: field in names for field in fields})


def authority(
    subject: str,
    issuer: Held | None = None,
    *,
    kind: str = "p256",
    number: int = 0,
    path_length: int | None = None,
    **times: Any,
) -> Held:
    """Make a certificate authority."""
    return build(
        new_key(kind, number),
        subject,
        issuer,
        (x509.BasicConstraints(ca=True, path_length=path_length), True),
        (usage("key_cert_sign", "crl_sign"), True),
        **times,
    )


CODE_SIGNING = x509.ExtendedKeyUsage([ObjectIdentifier("1.3.6.1.5.5.7.3.3")])
TIME_STAMPING = x509.ExtendedKeyUsage([ObjectIdentifier("1.3.6.1.5.5.7.3.8")])
FULCIO = "1.3.6.1.4.1.57264.1"


def utf8(number: int, text: str) -> tuple[x509.ExtensionType, bool]:
    """Make a Sigstore extension that holds a DER UTF8String."""
    value = encode(0x0C, text.encode())
    return x509.UnrecognizedExtension(ObjectIdentifier(f"{FULCIO}.{number}"), value), False


def raw(number: int, text: str) -> tuple[x509.ExtensionType, bool]:
    """Make a Sigstore extension that holds bare text."""
    oid = ObjectIdentifier(f"{FULCIO}.{number}")
    return x509.UnrecognizedExtension(oid, text.encode()), False


def stamper(subject: str, issuer: Held, *, number: int = 200, **changes: Any) -> Held:
    """Make the certificate of a timestamp authority."""
    return build(
        new_key("p256", number),
        subject,
        issuer,
        (usage("digital_signature"), True),
        (TIME_STAMPING, True),
        **changes,
    )
