"""Signing with one private key.

`Signer` is the seam: files and tests give a `PrivateKeySigner`, other key stores
(`touchplate.keystore`) their own.
"""

from hashlib import sha512
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric import ec

from touchplate.errors import VerificationError
from touchplate.keys.algorithms import Algorithm
from touchplate.keys.public import PublicKey, digest_unsupported, from_crypto
from touchplate.keys.schemes import schemes_for

KINDS = (
    "ecdsa-p256",
    "ecdsa-p384",
    "ecdsa-p521",
    "rsa-2048",
    "rsa-3072",
    "rsa-4096",
    "ed25519",
    "ml-dsa-44",
    "ml-dsa-65",
    "ml-dsa-87",
)
"""The kinds of key that `generate` makes."""


class Signer(Protocol):
    """Signs with one key and one algorithm. Many threads may sign at once.

    A remote key store may raise UnavailableError; nothing else is raised for a message.
    """

    @property
    def public_key(self) -> PublicKey:
        """The key that checks the signatures."""

    @property
    def algorithm(self) -> Algorithm:
        """What every signature of this signer is made with."""

    def sign(self, message: bytes) -> bytes:
        """Sign the message: ECDSA as DER, Ed25519 and ML-DSA raw, RSA big-endian."""

    def sign_digest(self, digest: bytes) -> bytes:
        """Sign the message with this digest, or raise DIGEST_UNSUPPORTED."""


class PrivateKeySigner:
    """A signer over a private key in memory."""

    __slots__ = ("_key", "_scheme", "algorithm", "public_key")

    def __init__(self, key: Any, algorithm: Algorithm | None = None) -> None:  # noqa: ANN401
        """Take a private key of `cryptography`, and its own algorithm unless another is named.

        Raises KEY_UNREADABLE if the kind of key is not supported or cannot sign so.
        """
        try:
            public = key.public_key()
        except AttributeError as error:
            raise VerificationError(
                "KEY_UNREADABLE", f"{type(key).__name__} is not a private key"
            ) from error
        self.public_key: PublicKey = from_crypto(public)
        self.algorithm: Algorithm = algorithm or self.public_key.algorithms[0]
        if not self.public_key.allows(self.algorithm):
            raise VerificationError(
                "KEY_UNREADABLE",
                f"a {self.public_key.kind} key cannot sign with {self.algorithm.name}",
            )
        self._key = key
        self._scheme = schemes_for(self.public_key.kind)[self.algorithm.number]

    def __repr__(self) -> str:
        """Name the public key, never the private one."""
        return f"PrivateKeySigner({self.public_key!r}, {self.algorithm.name})"

    @property
    def crypto(self) -> Any:  # noqa: ANN401 - any private key of `cryptography`
        """The private key, for what only `cryptography` can do: building certificates, saving."""
        return self._key

    def sign(self, message: bytes) -> bytes:
        """Sign the message."""
        if self._scheme.sign_message is None:
            return self.sign_digest(sha512(message).digest())
        signature: bytes = self._key.sign(message, *self._scheme.sign_message)
        return signature

    def sign_digest(self, digest: bytes) -> bytes:
        """Sign the message with this digest, or raise DIGEST_UNSUPPORTED."""
        scheme = self._scheme
        if len(digest) != scheme.digest_size or not digest:
            raise digest_unsupported(self.algorithm, digest, scheme.digest_size)
        if scheme.sign_digest is None:
            from touchplate.keys import ed25519ph

            return ed25519ph.sign_digest(self._key.private_bytes_raw(), digest)
        signature: bytes = self._key.sign(digest, *scheme.sign_digest)
        return signature


def generate(kind: str = "ecdsa-p256", algorithm: Algorithm | None = None) -> PrivateKeySigner:
    """Make a new private key of one of `KINDS`."""
    if kind not in KINDS:
        raise VerificationError("KEY_UNREADABLE", f"no supported kind of key is named {kind!r}")
    return PrivateKeySigner(_generate(kind), algorithm)


def _generate(kind: str) -> Any:  # noqa: ANN401 - any private key of `cryptography`
    family, _, size = kind.rpartition("-")
    if family == "ecdsa":
        curve = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}[size]
        return ec.generate_private_key(curve)
    if family == "rsa":
        from cryptography.hazmat.primitives.asymmetric import rsa

        return rsa.generate_private_key(65537, int(size))
    if family == "ml-dsa":
        from cryptography.hazmat.primitives.asymmetric import mldsa

        return getattr(mldsa, f"MLDSA{size}PrivateKey").generate()
    from cryptography.hazmat.primitives.asymmetric import ed25519

    return ed25519.Ed25519PrivateKey.generate()
