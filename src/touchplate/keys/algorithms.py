"""The signature algorithms of Sigstore, one row each (`PublicKeyDetails` of protobuf-specs).

A verifier takes the algorithm from the key that it trusts, never from the bundle; the table says
which algorithms a kind of key has. LMS and LM-OTS (14, 15) are not implemented.
"""

from typing import Final, Literal, NamedTuple

from touchplate.errors import VerificationError

HashName = Literal["sha256", "sha384", "sha512"]

# protobuf-specs HashAlgorithm; SHA3 (4, 5) is deprecated there and not supported.
HASH_SIZES: Final[dict[HashName, int]] = {"sha256": 32, "sha384": 48, "sha512": 64}
HASH_FROM_PROTOBUF: Final[dict[str, HashName]] = {
    "SHA2_256": "sha256",
    "SHA2_384": "sha384",
    "SHA2_512": "sha512",
}
HASH_TO_PROTOBUF: Final[dict[HashName, str]] = {
    name: protobuf for protobuf, name in HASH_FROM_PROTOBUF.items()
}
HASH_NUMBERS: Final[dict[int, str]] = {1: "SHA2_256", 2: "SHA2_384", 3: "SHA2_512"}

Family = Literal["ecdsa", "rsa-pkcs1", "rsa-pss", "ed25519", "ed25519ph", "ml-dsa"]


class Algorithm(NamedTuple):
    """One way to sign: a kind of key, a scheme and a hash."""

    name: str
    """Name in `PublicKeyDetails`, e.g. `PKIX_ECDSA_P256_SHA_256`."""
    number: int
    """Number in `PublicKeyDetails`."""
    registry: str
    """Name in the algorithm registry, e.g. `ecdsa-sha2-256-nistp256`; empty if it has none."""
    kind: Family
    """The scheme."""
    hash: HashName | None
    """The hash that the scheme takes the message through; None if it takes the message itself."""
    key_kind: str
    """The `PublicKey.kind` that it belongs to; `rsa` is any size."""
    deprecated: bool = False
    """Verified for the sake of old signatures; not for new ones."""


ALGORITHMS: Final[tuple[Algorithm, ...]] = (
    Algorithm("PKCS1_RSA_PKCS1V5", 1, "", "rsa-pkcs1", "sha256", "rsa", deprecated=True),
    Algorithm("PKCS1_RSA_PSS", 2, "", "rsa-pss", "sha256", "rsa", deprecated=True),
    Algorithm("PKIX_RSA_PKCS1V5", 3, "", "rsa-pkcs1", "sha256", "rsa", deprecated=True),
    Algorithm("PKIX_RSA_PSS", 4, "", "rsa-pss", "sha256", "rsa", deprecated=True),
    Algorithm(
        "PKIX_ECDSA_P256_SHA_256", 5, "ecdsa-sha2-256-nistp256", "ecdsa", "sha256", "ecdsa-p256"
    ),
    # The nonce's origin does not show in the signature: 6 verifies as 5.
    Algorithm(
        "PKIX_ECDSA_P256_HMAC_SHA_256", 6, "", "ecdsa", "sha256", "ecdsa-p256", deprecated=True
    ),
    Algorithm("PKIX_ED25519", 7, "ed25519", "ed25519", None, "ed25519"),
    Algorithm("PKIX_ED25519_PH", 8, "ed25519-ph", "ed25519ph", "sha512", "ed25519"),
    Algorithm(
        "PKIX_RSA_PKCS1V15_2048_SHA256",
        9,
        "rsa-sign-pkcs1-2048-sha256",
        "rsa-pkcs1",
        "sha256",
        "rsa-2048",
    ),
    Algorithm(
        "PKIX_RSA_PKCS1V15_3072_SHA256",
        10,
        "rsa-sign-pkcs1-3072-sha256",
        "rsa-pkcs1",
        "sha256",
        "rsa-3072",
    ),
    Algorithm(
        "PKIX_RSA_PKCS1V15_4096_SHA256",
        11,
        "rsa-sign-pkcs1-4096-sha256",
        "rsa-pkcs1",
        "sha256",
        "rsa-4096",
    ),
    Algorithm(
        "PKIX_ECDSA_P384_SHA_384", 12, "ecdsa-sha2-384-nistp384", "ecdsa", "sha384", "ecdsa-p384"
    ),
    Algorithm(
        "PKIX_ECDSA_P521_SHA_512", 13, "ecdsa-sha2-512-nistp521", "ecdsa", "sha512", "ecdsa-p521"
    ),
    Algorithm(
        "PKIX_RSA_PSS_2048_SHA256",
        16,
        "rsa-sign-pss-2048-sha256",
        "rsa-pss",
        "sha256",
        "rsa-2048",
    ),
    Algorithm(
        "PKIX_RSA_PSS_3072_SHA256",
        17,
        "rsa-sign-pss-3072-sha256",
        "rsa-pss",
        "sha256",
        "rsa-3072",
    ),
    Algorithm(
        "PKIX_RSA_PSS_4096_SHA256",
        18,
        "rsa-sign-pss-4096-sha256",
        "rsa-pss",
        "sha256",
        "rsa-4096",
    ),
    # Older signers used SHA-256 with every curve.
    Algorithm("PKIX_ECDSA_P384_SHA_256", 19, "", "ecdsa", "sha256", "ecdsa-p384", deprecated=True),
    Algorithm("PKIX_ECDSA_P521_SHA_256", 20, "", "ecdsa", "sha256", "ecdsa-p521", deprecated=True),
    Algorithm("ML_DSA_65", 21, "ml-dsa-65", "ml-dsa", None, "ml-dsa-65"),
    Algorithm("ML_DSA_87", 22, "ml-dsa-87", "ml-dsa", None, "ml-dsa-87"),
    Algorithm("ML_DSA_44", 23, "ml-dsa-44", "ml-dsa", None, "ml-dsa-44"),
)

BY_NAME: Final[dict[str, Algorithm]] = {row.name: row for row in ALGORITHMS}
BY_NUMBER: Final[dict[int, Algorithm]] = {row.number: row for row in ALGORITHMS}
NAMES: Final[dict[int, str]] = {row.number: row.name for row in ALGORITHMS}
"""Number to name, as `Fields.enum` takes it."""


def by_name(name: str) -> Algorithm:
    """Give the algorithm of this `PublicKeyDetails` name, or raise KEY_UNREADABLE."""
    found = BY_NAME.get(name)
    if found is None:
        raise VerificationError("KEY_UNREADABLE", f"no supported key algorithm is named {name!r}")
    return found


def by_number(number: int) -> Algorithm:
    """Give the algorithm of this `PublicKeyDetails` number, or raise KEY_UNREADABLE."""
    found = BY_NUMBER.get(number)
    if found is None:
        raise VerificationError("KEY_UNREADABLE", f"no supported key algorithm has number {number}")
    return found


def by_registry(name: str) -> Algorithm:
    """Give the algorithm of this registry name (as flags and settings use it), or raise."""
    for row in ALGORITHMS:
        if name and row.registry == name:
            return row
    raise VerificationError("KEY_UNREADABLE", f"no supported algorithm is registered as {name!r}")


def for_key(key_kind: str) -> tuple[Algorithm, ...]:
    """Give the distinct algorithms of a kind of key: its own first, deprecated ones last."""
    rows = [row for row in ALGORITHMS if row.key_kind == key_kind]
    distinct = {(row.kind, row.hash): row for row in reversed(rows)}
    return tuple(sorted(distinct.values(), key=lambda row: (row.deprecated, row.number)))
