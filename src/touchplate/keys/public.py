"""Public keys: read one, and check a signature with it.

A key is its SubjectPublicKeyInfo DER: that is what logs hash, store and compare. Only the
encodings that Sigstore's signers write are read: named curves, uncompressed points, RSA moduli of
2048, 3072 and 4096 bits. `algorithms` names what a key may sign with.
"""

from binascii import a2b_base64
from collections.abc import Callable, Mapping
from functools import cache
from hashlib import sha256, sha512
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec

from touchplate.errors import VerificationError
from touchplate.keys.algorithms import Algorithm, for_key
from touchplate.keys.pem import encode_pem
from touchplate.keys.schemes import Scheme, schemes_for

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ed25519, mldsa, rsa

    CryptoPublicKey = (
        ec.EllipticCurvePublicKey
        | ed25519.Ed25519PublicKey
        | rsa.RSAPublicKey
        | mldsa.MLDSA44PublicKey
        | mldsa.MLDSA65PublicKey
        | mldsa.MLDSA87PublicKey
    )

MAX_KEY_BYTES: Final = 4096
"""An ML-DSA-87 key has 2614 bytes, an RSA-4096 key 550."""
MAX_RSA_EXPONENT: Final = 2**31 - 1
RSA_BITS: Final = (2048, 3072, 4096)

_RSA_ALGORITHM: Final = bytes.fromhex("300d06092a864886f70d0101010500")
_BEGIN: Final = "-----BEGIN PUBLIC KEY-----"
_END: Final = "-----END PUBLIC KEY-----"


class PublicKey:
    """A key that can be used: its bytes parsed, and its kind is one that we support.

    Two keys are equal if their SubjectPublicKeyInfo is. A plain class, since it must not be taken
    for a tuple of its parts; after `__init__` nothing assigns to it but its own `key_id`.
    """

    __slots__ = ("_key_id", "_schemes", "_verify", "algorithms", "crypto", "kind", "spki")

    spki: Final[bytes]
    """SubjectPublicKeyInfo, DER, as it was read."""
    kind: Final[str]
    """`ecdsa-p256`, `ecdsa-p384`, `ecdsa-p521`, `rsa-2048`, …, `ed25519`, `ml-dsa-65`, …"""
    algorithms: Final[tuple[Algorithm, ...]]
    """What it may sign with: its own algorithm first, deprecated ones last."""
    crypto: Final["CryptoPublicKey"]
    """The same key as an object of `cryptography`, for building certificates."""

    def __init__(
        self,
        spki: bytes,
        kind: str,
        algorithms: tuple[Algorithm, ...],
        crypto: "CryptoPublicKey",
        schemes: Mapping[int, Scheme],
    ) -> None:
        """Take the parts; the functions below make them."""
        self.spki = spki
        self._key_id: bytes | None = None
        self.kind = kind
        self.algorithms = algorithms
        self.crypto = crypto
        self._schemes = schemes
        self._verify: Callable[..., None] = crypto.verify

    @property
    def key_id(self) -> bytes:
        """SHA-256 of `spki`, computed when it is first asked for."""
        if self._key_id is None:
            self._key_id = sha256(self.spki).digest()
        return self._key_id

    def __eq__(self, other: object) -> bool:
        """Compare the SubjectPublicKeyInfo."""
        return isinstance(other, PublicKey) and self.spki == other.spki

    def __hash__(self) -> int:
        """Agree with `__eq__`."""
        return hash(self.key_id)

    def __repr__(self) -> str:
        """Name the key by its id."""
        return f"PublicKey({self.kind}, {self.key_id.hex()})"

    def allows(self, algorithm: Algorithm) -> bool:
        """Say whether a key of this kind can sign with `algorithm`, deprecated names included."""
        return algorithm.number in self._schemes

    def raw(self) -> bytes:
        """Give the bytes inside the SubjectPublicKeyInfo of an Ed25519 or ML-DSA key."""
        row = _BY_LENGTH.get(len(self.spki))
        if row is None or row.curve is not None:
            raise AssertionError(f"a {self.kind} key has no raw form")
        return self.spki[len(row.prefix) :]

    def pem(self) -> str:
        """Give the key as PEM: 64 columns, a newline at the end."""
        return encode_pem("PUBLIC KEY", self.spki).decode()


class _Row(NamedTuple):
    """A kind of key whose encoding is a fixed prefix and a fixed number of bytes."""

    kind: str
    prefix: bytes
    curve: ec.EllipticCurve | None = None


# All of these have a length of their own, so the length finds the row and the prefix proves it.
# RFC 5480 §2 (EC, the prefix ends before the point), RFC 8410 §4 (Ed25519), RFC 9881 §4 (ML-DSA).
_BY_LENGTH: Final[dict[int, _Row]] = {
    91: _Row(
        "ecdsa-p256",
        bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200"),
        ec.SECP256R1(),
    ),
    120: _Row(
        "ecdsa-p384",
        bytes.fromhex("3076301006072a8648ce3d020106052b81040022036200"),
        ec.SECP384R1(),
    ),
    158: _Row(
        "ecdsa-p521",
        bytes.fromhex("30819b301006072a8648ce3d020106052b8104002303818600"),
        ec.SECP521R1(),
    ),
    44: _Row("ed25519", bytes.fromhex("302a300506032b6570032100")),
    1334: _Row("ml-dsa-44", bytes.fromhex("30820532300b060960864801650304031103820521" + "00")),
    1974: _Row("ml-dsa-65", bytes.fromhex("308207b2300b0609608648016503040312038207a1" + "00")),
    2614: _Row("ml-dsa-87", bytes.fromhex("30820a32300b060960864801650304031303820a21" + "00")),
}


def load_public_key(der: bytes) -> PublicKey:
    """Read a DER SubjectPublicKeyInfo. Raises KEY_UNREADABLE for what we do not support."""
    row = _BY_LENGTH.get(len(der))
    try:
        if row is None or not der.startswith(row.prefix):
            return _load_rsa(der)
        if row.curve is None:
            return _build(der, row.kind, _load_raw(row, der))
        if der[len(row.prefix)] != 4:
            raise _unreadable("the elliptic curve point is not in uncompressed form")
        point = der[len(row.prefix) :]
        crypto = ec.EllipticCurvePublicKey.from_encoded_point(row.curve, point)
        return _build(der, row.kind, crypto)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _unreadable(str(error)) from error


def load_public_key_pem(text: str) -> PublicKey:
    """Read one PEM `PUBLIC KEY` block; space around the lines does not matter."""
    lines = text.split() if len(text) <= 2 * MAX_KEY_BYTES else []
    words = " ".join(lines)
    begin, end = _BEGIN + " ", " " + _END
    if not (words.startswith(begin) and words.endswith(end)):
        raise _unreadable(f"the text is not one PEM block of {_BEGIN!r}")
    try:
        encoded = words[len(begin) : -len(end)].replace(" ", "")
        der = a2b_base64(encoded, strict_mode=True)
        # As `formats.base64text`, which is above this room: no padding after a complete group.
        if len(encoded) != (len(der) + 2) // 3 * 4:
            raise ValueError("base64 with too much padding")
    except ValueError as error:
        raise _unreadable("the PEM block is not base64") from error
    return load_public_key(der)


def load_pkcs1_public_key(der: bytes) -> PublicKey:
    """Read a PKCS#1 RSAPublicKey: the form of `PKCS1_RSA_PKCS1V5` in old trusted roots."""
    if len(der) > MAX_KEY_BYTES:
        raise _unreadable(f"the key has {len(der)} bytes; at most {MAX_KEY_BYTES} are read")
    # SubjectPublicKeyInfo is the algorithm and a BIT STRING (no unused bits) of the same bytes.
    bits = b"\x03" + _length(len(der) + 1) + b"\x00" + der
    inner = _RSA_ALGORITHM + bits
    return load_public_key(b"\x30" + _length(len(inner)) + inner)


def from_crypto(key: Any) -> PublicKey:  # noqa: ANN401 - any public key of `cryptography`
    """Wrap a public key object of `cryptography`. Raises KEY_UNREADABLE for other kinds."""
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
    )

    try:
        spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (AttributeError, ValueError, TypeError) as error:
        raise _unreadable(f"{type(key).__name__} is not a public key") from error
    return load_public_key(spki)


def check_signature(key: PublicKey, signature: bytes, message: bytes, algorithm: Algorithm) -> None:
    """Prove that `key` signed `message`, or raise SIGNATURE_INVALID."""
    scheme = key._schemes.get(algorithm.number)  # noqa: SLF001 - the class is this module's
    if scheme is None:
        raise _wrong_algorithm(key, algorithm)
    try:
        if scheme.message is not None:
            key._verify(signature, message, *scheme.message)  # noqa: SLF001 - as above
            return
    except (InvalidSignature, ValueError) as error:
        raise _invalid(key, algorithm) from error
    check_digest_signature(key, signature, sha512(message).digest(), algorithm)  # Ed25519ph


def check_digest_signature(
    key: PublicKey, signature: bytes, digest: bytes, algorithm: Algorithm
) -> None:
    """Prove that `key` signed the message with this digest, under the algorithm's hash.

    Raises SIGNATURE_INVALID; and DIGEST_UNSUPPORTED if the algorithm signs the message itself, or
    a digest of another length.
    """
    scheme = key._schemes.get(algorithm.number)  # noqa: SLF001 - the class is this module's
    if scheme is None:
        raise _wrong_algorithm(key, algorithm)
    if len(digest) != scheme.digest_size or not digest:
        raise digest_unsupported(algorithm, digest, scheme.digest_size)
    try:
        if scheme.digest is not None:
            key._verify(signature, digest, *scheme.digest)  # noqa: SLF001 - as above
            return
    except (InvalidSignature, ValueError) as error:
        raise _invalid(key, algorithm) from error
    from touchplate.keys import ed25519ph

    ed25519ph.check_digest(key.raw(), signature, digest)


def digest_unsupported(algorithm: Algorithm, digest: bytes, size: int) -> VerificationError:
    """Say why this digest cannot be signed or checked with `algorithm`."""
    if not size:
        return VerificationError(
            "DIGEST_UNSUPPORTED",
            f"{algorithm.name} signs the message itself, not a digest of it",
            hint="give the artifact, not its digest",
        )
    return VerificationError(
        "DIGEST_UNSUPPORTED",
        f"{algorithm.name} signs a {algorithm.hash} digest",
        expected=f"{size} bytes",
        found=f"{len(digest)} bytes",
    )


def _load_raw(row: _Row, der: bytes) -> Any:  # noqa: ANN401 - a key object of `cryptography`
    raw = der[len(row.prefix) :]
    if row.kind == "ed25519":
        from cryptography.hazmat.primitives.asymmetric import ed25519

        return ed25519.Ed25519PublicKey.from_public_bytes(raw)
    from cryptography.hazmat.primitives.asymmetric import mldsa

    loaders: dict[str, Callable[[bytes], Any]] = {
        "ml-dsa-44": mldsa.MLDSA44PublicKey.from_public_bytes,
        "ml-dsa-65": mldsa.MLDSA65PublicKey.from_public_bytes,
        "ml-dsa-87": mldsa.MLDSA87PublicKey.from_public_bytes,
    }
    return loaders[row.kind](raw)


def _load_rsa(der: bytes) -> PublicKey:
    # 30 82 LL LL, then the algorithm rsaEncryption: every modulus of 2048 bits and more.
    if len(der) > MAX_KEY_BYTES or der[4:19] != _RSA_ALGORITHM:
        raise _unreadable("its kind is not one of ECDSA, RSA, Ed25519 and ML-DSA as we read them")
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import (
        load_der_public_key,
    )

    crypto = load_der_public_key(der)
    if not isinstance(crypto, rsa.RSAPublicKey):
        raise _unreadable("it says RSA and is not")
    if crypto.key_size not in RSA_BITS:
        raise _unreadable(f"RSA keys of {crypto.key_size} bits are not supported")
    if crypto.public_numbers().e > MAX_RSA_EXPONENT:
        raise _unreadable("the RSA exponent is above 2^31 - 1")
    return _build(der, f"rsa-{crypto.key_size}", crypto)


def _build(der: bytes, kind: str, crypto: Any) -> PublicKey:  # noqa: ANN401 - as above
    schemes, algorithms = _parts(kind)
    return PublicKey(der, kind, algorithms, crypto, schemes)


@cache
def _parts(kind: str) -> tuple[dict[int, Scheme], tuple[Algorithm, ...]]:
    return schemes_for(kind), for_key(kind)


def _length(size: int) -> bytes:
    """Give a DER length (X.690 §10.1)."""
    if size < 0x80:
        return bytes((size,))
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((0x80 | len(octets),)) + octets


def _unreadable(reason: str) -> VerificationError:
    return VerificationError("KEY_UNREADABLE", f"the public key cannot be read: {reason}")


def _wrong_algorithm(key: PublicKey, algorithm: Algorithm) -> VerificationError:
    return VerificationError(
        "SIGNATURE_INVALID",
        "the key cannot have made such a signature",
        expected=" or ".join(row.name for row in key.algorithms),
        found=algorithm.name,
    )


def _invalid(key: PublicKey, algorithm: Algorithm) -> VerificationError:
    return VerificationError(
        "SIGNATURE_INVALID",
        f"the signature does not verify as {algorithm.name} with the key {key.key_id.hex()}",
    )
