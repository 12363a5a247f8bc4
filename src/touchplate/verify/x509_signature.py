"""Signatures inside X.509 and CMS: which AlgorithmIdentifiers are allowed, and checking one.

The rows are whole AlgorithmIdentifiers, compared byte for byte, so parameters cannot smuggle in
anything. SHA-1, MD5, DSA and RSA-PSS are not there.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from cryptography.exceptions import InvalidSignature

from touchplate.errors import VerificationError
from touchplate.keys.public import PublicKey
from touchplate.keys.schemes import HASH_OBJECTS

# AlgorithmIdentifier (RFC 5758 §3.2, RFC 4055 §5, RFC 8410 §3, RFC 9881 §2): kind of key, hash.
ALGORITHMS: Final[Mapping[bytes, tuple[str, str]]] = {
    bytes.fromhex("300a06082a8648ce3d040302"): ("ecdsa-", "sha256"),
    bytes.fromhex("300a06082a8648ce3d040303"): ("ecdsa-", "sha384"),
    bytes.fromhex("300a06082a8648ce3d040304"): ("ecdsa-", "sha512"),
    bytes.fromhex("300d06092a864886f70d01010b0500"): ("rsa-", "sha256"),
    bytes.fromhex("300d06092a864886f70d01010c0500"): ("rsa-", "sha384"),
    bytes.fromhex("300d06092a864886f70d01010d0500"): ("rsa-", "sha512"),
    bytes.fromhex("300b06092a864886f70d01010b"): ("rsa-", "sha256"),
    bytes.fromhex("300b06092a864886f70d01010c"): ("rsa-", "sha384"),
    bytes.fromhex("300b06092a864886f70d01010d"): ("rsa-", "sha512"),
    bytes.fromhex("300506032b6570"): ("ed25519", ""),
    bytes.fromhex("300b0609608648016503040311"): ("ml-dsa-44", ""),
    bytes.fromhex("300b0609608648016503040312"): ("ml-dsa-65", ""),
    bytes.fromhex("300b0609608648016503040313"): ("ml-dsa-87", ""),
}
# CMS names RSA without its hash, which is then the signer's digest algorithm (RFC 3370 §3.2).
RSA_ENCRYPTION: Final = (
    bytes.fromhex("300d06092a864886f70d0101010500"),
    bytes.fromhex("300b06092a864886f70d010101"),
)


def check_x509_signature(
    key: PublicKey, signature: bytes, signed: bytes, algorithm: bytes, *, code: str
) -> None:
    """Prove that `key` signed these bytes under this AlgorithmIdentifier, or raise `code`."""
    family, hash_name = ALGORITHMS.get(algorithm, ("", ""))
    if not family:
        raise VerificationError(
            code, "the signature is of an algorithm that is not allowed", found=algorithm.hex()
        )
    if not key.kind.startswith(family):
        raise VerificationError(
            code,
            "the signature's algorithm is not one of the key",
            expected=key.kind,
            found=family.rstrip("-"),
        )
    check: Any = key.crypto.verify
    try:
        check(signature, signed, *_arguments(family, hash_name))
    except (InvalidSignature, ValueError) as error:
        raise VerificationError(
            code, f"the signature does not verify with the key {key.key_id.hex()}"
        ) from error


@cache
def _arguments(family: str, hash_name: str) -> tuple[Any, ...]:
    """What the library's `verify` takes after signature and message."""
    if family == "ecdsa-":
        from cryptography.hazmat.primitives.asymmetric import ec

        return (ec.ECDSA(HASH_OBJECTS[hash_name]),)
    if family == "rsa-":
        from cryptography.hazmat.primitives.asymmetric import padding

        return (padding.PKCS1v15(), HASH_OBJECTS[hash_name])
    return ()
