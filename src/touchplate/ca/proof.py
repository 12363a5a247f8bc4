"""That the caller holds the private key: a signed CSR, or a signature over the challenge.

The texts of the errors are Fulcio's, since clients show them; their order is that of its checks.
"""

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

from touchplate.ca.request import CODE, UNPARSEABLE_KEY, SigningRequest
from touchplate.ca.settings import DEFAULT_ALGORITHMS
from touchplate.errors import MalformedError, RefusedError, VerificationError
from touchplate.keys.algorithms import Algorithm
from touchplate.keys.public import PublicKey, check_signature, from_crypto, load_public_key_pem

MAX_KEY: Final = 16 * 1024
MAX_CSR: Final = 64 * 1024
UNPARSEABLE_CSR: Final = "The certificate signing request could not be parsed"
INSECURE: Final = "The public key supplied in the request is insecure"
UNPROVEN: Final = "The signature supplied in the request could not be verified"

# What a registry name permits: a kind of key and a hash; how RSA is padded is not looked at.
_PERMITS: Final[Mapping[str, tuple[str, str | None]]] = {
    "ecdsa-sha2-256-nistp256": ("ecdsa-p256", "sha256"),
    "ecdsa-sha2-384-nistp384": ("ecdsa-p384", "sha384"),
    "ecdsa-sha2-512-nistp521": ("ecdsa-p521", "sha512"),
    "ecdsa-sha2-256-nistp384": ("ecdsa-p384", "sha256"),
    "ecdsa-sha2-256-nistp521": ("ecdsa-p521", "sha256"),
    "rsa-sign-pkcs1-2048-sha256": ("rsa-2048", "sha256"),
    "rsa-sign-pkcs1-3072-sha256": ("rsa-3072", "sha256"),
    "rsa-sign-pkcs1-4096-sha256": ("rsa-4096", "sha256"),
    "rsa-sign-pss-2048-sha256": ("rsa-2048", "sha256"),
    "rsa-sign-pss-3072-sha256": ("rsa-3072", "sha256"),
    "rsa-sign-pss-4096-sha256": ("rsa-4096", "sha256"),
    "ed25519": ("ed25519", None),
    "ed25519-ph": ("ed25519", "sha512"),
}
# Signature algorithms of a CSR, and their hash: ECDSA, RSA by PKCS#1 v1.5, Ed25519.
_CSR_ALGORITHMS: Final[Mapping[str, str | None]] = {
    "1.2.840.10045.4.3.2": "sha256",
    "1.2.840.10045.4.3.3": "sha384",
    "1.2.840.10045.4.3.4": "sha512",
    "1.2.840.113549.1.1.11": "sha256",
    "1.2.840.113549.1.1.12": "sha384",
    "1.2.840.113549.1.1.13": "sha512",
    "1.3.101.112": None,
}
_PSS: Final = "1.2.840.113549.1.1.10"
_PSS_NAMES: Final = {
    "sha256": "SHA256-RSAPSS",
    "sha384": "SHA384-RSAPSS",
    "sha512": "SHA512-RSAPSS",
}
# Hashes with which no signature proves anything.
_BROKEN: Final = frozenset({"md5", "sha1"})
_USUAL: Final = b"-----BEGIN PUBLIC KEY-----\n"
_PLAIN_SIZES: Final = {"ecdsa-p256": 64, "ecdsa-p384": 96, "ecdsa-p521": 132}
_GO_KEYS: Final[Mapping[str, str]] = {
    "ecdsa": "*ecdsa.PublicKey",
    "rsa": "*rsa.PublicKey",
    "ed25519": "ed25519.PublicKey",
}
_GO_HASHES: Final[Mapping[str | None, str]] = {
    "sha256": "SHA-256",
    "sha384": "SHA-384",
    "sha512": "SHA-512",
    None: "unknown hash value 0",
}


def check_possession(
    request: SigningRequest, challenge: str, allowed: Collection[str] = DEFAULT_ALGORITHMS
) -> PublicKey:
    """Prove that the caller holds the key that it asks a certificate for, and give the key.

    Raises MalformedError REQUEST_MALFORMED, RefusedError ALGORITHM_REFUSED or PROOF_REFUSED.
    """
    if request.csr:
        return _check_csr(request.csr, allowed)
    return _check_key(request.public_key, request.proof, challenge, allowed)


def _check_csr(pem: bytes, allowed: Collection[str]) -> PublicKey:
    """Take the key of a CSR; its subject and extensions are not looked at."""
    try:
        if len(pem) > MAX_CSR:
            raise ValueError("too long")
        csr = x509.load_pem_x509_csr(pem)
        crypto = csr.public_key()
        algorithm = csr.signature_algorithm_oid.dotted_string
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise MalformedError(CODE, UNPARSEABLE_CSR) from error
    key = _acceptable(crypto)
    try:
        hasher = csr.signature_hash_algorithm
        proven = csr.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm):
        hasher, proven = None, False
    hash_name = hasher.name if hasher else ""
    if not proven or hash_name in _BROKEN:
        raise RefusedError("PROOF_REFUSED", UNPROVEN)
    if algorithm not in _CSR_ALGORITHMS:
        name = _PSS_NAMES.get(hash_name, "0") if algorithm == _PSS else "0"
        raise RefusedError("ALGORITHM_REFUSED", f"unrecognized signature algorithm: {name}")
    _check_permitted(key, _CSR_ALGORITHMS[algorithm], allowed)
    return key


def _check_key(
    material: bytes, proof: bytes, challenge: str, allowed: Collection[str]
) -> PublicKey:
    """Take a key whose holder signed the challenge: its UTF-8 bytes and nothing else."""
    key = _load_key(material)
    algorithm = key.algorithms[0]
    try:
        _check_proof(key, proof, challenge.encode(), algorithm)
    except VerificationError as error:
        raise RefusedError("PROOF_REFUSED", UNPROVEN) from error
    _check_permitted(key, algorithm.hash, allowed)
    return key


def _load_key(material: bytes) -> PublicKey:
    """Read PEM (SubjectPublicKeyInfo, or PKCS#1 of an RSA key), else DER of the former."""
    if material.startswith(_USUAL):
        try:
            # The usual form of the usual keys, in a tenth of the time.
            key = load_public_key_pem(material.decode("ascii"))
        except (VerificationError, UnicodeDecodeError):
            pass  # the slower way says what it is
        else:
            if key.kind in _PLAIN_SIZES:
                return key
    try:
        if len(material) > MAX_KEY:
            raise ValueError("too long")
        load = load_pem_public_key if b"-----BEGIN" in material else load_der_public_key
        crypto = load(material)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise MalformedError(CODE, UNPARSEABLE_KEY) from error
    return _acceptable(crypto)


def _check_proof(key: PublicKey, proof: bytes, message: bytes, algorithm: Algorithm) -> None:
    try:
        check_signature(key, proof, message, algorithm)
    except VerificationError:
        plain = _plain_as_der(proof, key)
        if plain is None:
            raise
        check_signature(key, plain, message, algorithm)


def _acceptable(crypto: object) -> PublicKey:
    """Refuse kinds, curves and sizes of keys that are not for signing artifacts."""
    try:
        key = from_crypto(crypto)
    except VerificationError as error:
        raise RefusedError("ALGORITHM_REFUSED", INSECURE) from error
    family = key.kind.partition("-")[0]
    if family not in _GO_KEYS:
        raise RefusedError("ALGORITHM_REFUSED", INSECURE)
    if isinstance(crypto, RSAPublicKey) and crypto.public_numbers().e != 65537:
        raise RefusedError("ALGORITHM_REFUSED", INSECURE)
    return key


def _check_permitted(key: PublicKey, hash_name: str | None, allowed: Collection[str]) -> None:
    if _is_permitted(key.kind, hash_name, frozenset(allowed)):
        return
    go_key, go_hash = _GO_KEYS[key.kind.partition("-")[0]], _GO_HASHES[hash_name]
    raise RefusedError("ALGORITHM_REFUSED", f"signing algorithm not permitted: {go_key}, {go_hash}")


@lru_cache(maxsize=64)
def _is_permitted(kind: str, hash_name: str | None, allowed: frozenset[str]) -> bool:
    return any(_PERMITS.get(name) == (kind, hash_name) for name in allowed)


def _plain_as_der(signature: bytes, key: PublicKey) -> bytes | None:
    """Give an ECDSA signature of r and s side by side (IEEE P1363) as DER; None if it is none."""
    if len(signature) != _PLAIN_SIZES.get(key.kind):
        return None
    half = len(signature) // 2
    r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
    return encode_dss_signature(r, s)
