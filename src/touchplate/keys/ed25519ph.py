"""Ed25519ph (RFC 8032 §5.1, empty context): sign and check a SHA-512 digest.

`cryptography` has no prehashed Ed25519, so this module uses pycryptodome, and is imported only
when such a signature is met. Pure Ed25519 is in `public`.
"""

from Crypto.Hash import SHA512
from Crypto.Signature import eddsa

from touchplate.errors import VerificationError

DIGEST_BYTES = 64


class _Digest(SHA512.SHA512Hash):
    """A SHA-512 hash of which only the result is known.

    pycryptodome tells the prehashed scheme from the pure one by the class of this argument.
    """

    def __init__(self, digest: bytes) -> None:
        super().__init__(None, None)
        self._known = digest

    def digest(self) -> bytes:
        return self._known


def check_digest(public_key: bytes, signature: bytes, digest: bytes) -> None:
    """Prove that the 32-byte key signed this SHA-512 digest, or raise SIGNATURE_INVALID."""
    try:
        scheme = eddsa.new(eddsa.import_public_key(public_key), "rfc8032")
        scheme.verify(_Digest(digest), signature)
    except ValueError as error:
        raise VerificationError(
            "SIGNATURE_INVALID", "the signature does not verify as PKIX_ED25519_PH with the key"
        ) from error


def sign_digest(seed: bytes, digest: bytes) -> bytes:
    """Sign a SHA-512 digest with the 32-byte private seed."""
    if len(digest) != DIGEST_BYTES:
        raise AssertionError("Ed25519ph signs a SHA-512 digest")
    return eddsa.new(eddsa.import_private_key(seed), "rfc8032").sign(_Digest(digest))
