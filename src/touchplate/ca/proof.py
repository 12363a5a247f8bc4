"""That the caller holds the private key: a signed CSR, or a signature over the challenge.

The texts of the errors are Fulcio's, since clients show them; their order is that of its checks.
"""

from collections.abc import Mapping
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

from touchplate.ca.request import CODE, UNPARSEABLE_KEY, SigningRequest
from touchplate.errors import MalformedError, RefusedError, VerificationError
from touchplate.keys.algorithms import Algorithm
from touchplate.keys.public import PublicKey, check_signature, from_crypto

MAX_KEY: Final = 16 * 1024
MAX_CSR: Final = 64 * 1024
UNPARSEABLE_CSR: Final = "The certificate signing request could not be parsed"
INSECURE: Final = "The public key supplied in the request is insecure"
UNPROVEN: Final = "The signature supplied in the request could not be verified"

# Registry names; what Fulcio permits unless told otherwise.
DEFAULT_ALGORITHMS: Final = (
    "ecdsa-sha2-256-nistp256",
    "ecdsa-sha2-384-nistp384",
    "ecdsa-sha2-512-nistp521",
    "rsa-sign-pkcs1-2048-sha256",
    "rsa-sign-pkcs1-3072-sha256",
    "rsa-sign-pkcs1-4096-sha256",
    "ed25519",
)
# Signature algorithm of a CSR: how Go names it, its family and its hash.
_CSR_ALGORITHMS: Final[Mapping[str, tuple[str, str | None]]] = {
    "1.2.840.10045.4.3.2": ("ecdsa", "sha256"),
    "1.2.840.10045.4.3.3": ("ecdsa", "sha384"),
    "1.2.840.10045.4.3.4": ("ecdsa", "sha512"),
    "1.2.840.113549.1.1.11": ("rsa-pkcs1", "sha256"),
    "1.2.840.113549.1.1.12": ("rsa-pkcs1", "sha384"),
    "1.2.840.113549.1.1.13": ("rsa-pkcs1", "sha512"),
    "1.3.101.112": ("ed25519", None),
}
_UNRECOGNIZED: Final[Mapping[str, str]] = {
    "1.2.840.10045.4.1": "ECDSA-SHA1",
    "1.2.840.113549.1.1.5": "SHA1-RSA",
    "1.2.840.113549.1.1.10": "SHA256-RSAPSS",
}
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
    request: SigningRequest, challenge: str, allowed: tuple[str, ...] = DEFAULT_ALGORITHMS
) -> PublicKey:
    """Prove that the caller holds the key that it asks a certificate for, and give the key.

    Raises MalformedError REQUEST_MALFORMED, RefusedError ALGORITHM_REFUSED or PROOF_REFUSED.
    """
    if request.csr:
        return _check_csr(request.csr, allowed)
    return _check_key(request.public_key, request.proof, challenge, allowed)


def _check_csr(pem: bytes, allowed: tuple[str, ...]) -> PublicKey:
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
        proven = csr.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm):
        proven = False
    if not proven:
        raise RefusedError("PROOF_REFUSED", UNPROVEN)
    if algorithm not in _CSR_ALGORITHMS:
        name = _UNRECOGNIZED.get(algorithm, "0")
        raise RefusedError("ALGORITHM_REFUSED", f"unrecognized signature algorithm: {name}")
    _check_permitted(key, *_CSR_ALGORITHMS[algorithm], allowed)
    return key


def _check_key(
    material: bytes, proof: bytes, challenge: str, allowed: tuple[str, ...]
) -> PublicKey:
    """Take a key whose holder signed the challenge: its UTF-8 bytes and nothing else."""
    try:
        if len(material) > MAX_KEY:
            raise ValueError("too long")
        load = load_pem_public_key if b"-----BEGIN" in material else load_der_public_key
        crypto = load(material)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise MalformedError(CODE, UNPARSEABLE_KEY) from error
    key = _acceptable(crypto)
    algorithm = key.algorithms[0]
    try:
        _check_proof(key, proof, challenge.encode(), algorithm)
    except VerificationError as error:
        raise RefusedError("PROOF_REFUSED", UNPROVEN) from error
    _check_permitted(key, algorithm.kind, algorithm.hash, allowed)
    return key


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


def _check_permitted(
    key: PublicKey, family: str, hash_name: str | None, allowed: tuple[str, ...]
) -> None:
    for algorithm in key.algorithms:
        if (algorithm.kind, algorithm.hash) == (
            family,
            hash_name,
        ) and algorithm.registry in allowed:
            return
    go_key, go_hash = _GO_KEYS[key.kind.partition("-")[0]], _GO_HASHES[hash_name]
    raise RefusedError("ALGORITHM_REFUSED", f"signing algorithm not permitted: {go_key}, {go_hash}")


def _plain_as_der(signature: bytes, key: PublicKey) -> bytes | None:
    """Give an ECDSA signature of r and s side by side (IEEE P1363) as DER; None if it is none."""
    if len(signature) != _PLAIN_SIZES.get(key.kind):
        return None
    half = len(signature) // 2
    r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
    return encode_dss_signature(r, s)
