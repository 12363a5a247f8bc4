"""A signer whose private key is elsewhere: it hashes here, asks there, and checks what comes back.

No signature leaves that the expected key does not verify: a token that was exchanged, a key under
the same name, a store that errs are all a store that is not available.
"""

from collections.abc import Callable
from hashlib import new as new_hash

from touchplate.errors import TouchplateError, UnavailableError, VerificationError
from touchplate.keys.algorithms import HASH_SIZES, Algorithm
from touchplate.keys.public import (
    PublicKey,
    check_digest_signature,
    check_signature,
    digest_unsupported,
)

Ask = Callable[[bytes], bytes]


class RemoteSigner:
    """Signs with a key that `ask` reaches: digest in, signature out, as `Signer` has it.

    For Ed25519, and if it is to hash itself, `ask` gets the message. What it raises becomes
    UnavailableError, with the reason as its cause: the roles know no other failure of a signer.
    """

    __slots__ = ("_ask", "_hash", "_place", "algorithm", "public_key")

    def __init__(
        self, place: str, public_key: PublicKey, ask: Ask, *, hashes_there: bool = False
    ) -> None:
        self._place = place
        self._ask = ask
        self.public_key: PublicKey = public_key
        self.algorithm: Algorithm = public_key.algorithms[0]
        self._hash = None if hashes_there else self.algorithm.hash

    def __repr__(self) -> str:
        """Name the place and the public key."""
        return f"RemoteSigner({self._place!r}, {self.public_key!r})"

    def sign(self, message: bytes) -> bytes:
        """Sign the message."""
        if self._hash is not None:
            return self.sign_digest(new_hash(self._hash, message).digest())
        signature = self._asked(message)
        try:
            check_signature(self.public_key, signature, message, self.algorithm)
        except VerificationError as error:
            raise self._wrong() from error
        return signature

    def sign_digest(self, digest: bytes) -> bytes:
        """Sign the message with this digest, or raise DIGEST_UNSUPPORTED."""
        size = HASH_SIZES[self._hash] if self._hash is not None else 0
        if len(digest) != size or not digest:
            raise digest_unsupported(self.algorithm, digest, size)
        signature = self._asked(digest)
        try:
            check_digest_signature(self.public_key, signature, digest, self.algorithm)
        except VerificationError as error:
            raise self._wrong() from error
        return signature

    def _asked(self, data: bytes) -> bytes:
        try:
            return self._ask(data)
        except UnavailableError:
            raise
        except TouchplateError as error:
            raise UnavailableError(
                "SERVICE_UNAVAILABLE", f"{self._place} does not sign: {error}", hint=error.hint
            ) from error

    def _wrong(self) -> UnavailableError:
        return UnavailableError(
            "SERVICE_UNAVAILABLE",
            f"{self._place} made a signature that its public key does not verify",
            hint="is the key that was there at the start still there?",
        )
