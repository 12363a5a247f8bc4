"""A signer whose private key is elsewhere: it hashes here, asks there, and checks what comes back.

No signature leaves that the expected key does not verify: a token that was exchanged, a key under
the same name, a store that errs are all a store that is not available.

It knows how its last signature went. Who watches over a server asks `check_signer`, which signs a
probe only where nothing was signed lately.
"""

import time
from collections.abc import Callable
from hashlib import new as new_hash
from threading import Lock
from typing import Final

from touchplate.errors import TouchplateError, UnavailableError, VerificationError
from touchplate.keys.algorithms import HASH_SIZES, Algorithm
from touchplate.keys.public import (
    PublicKey,
    check_digest_signature,
    check_signature,
    digest_unsupported,
)
from touchplate.keys.signer import Signer

Ask = Callable[[bytes], bytes]

PROBE: Final = b"touchplate keys check: this is no message and proves nothing\n"
# A signature this old still says that the key signs.
PROVEN_SECONDS: Final = 10.0
# Between two probes of a key that does not.
FAILED_SECONDS: Final = 1.0


class RemoteSigner:
    """Signs with a key that `ask` reaches: digest in, signature out, as `Signer` has it.

    For Ed25519, and if it is to hash itself, `ask` gets the message. What it raises becomes
    UnavailableError, with the reason as its cause: the roles know no other failure of a signer.
    """

    __slots__ = (
        "_ask",
        "_asked_at",
        "_failure",
        "_hash",
        "_monotonic",
        "_place",
        "_probing",
        "algorithm",
        "public_key",
    )

    def __init__(
        self,
        place: str,
        public_key: PublicKey,
        ask: Ask,
        *,
        hashes_there: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._place = place
        self._ask = ask
        self._monotonic = monotonic
        # How the last signature went, and when: written together, for a reader may be between.
        self._failure: UnavailableError | None = None
        self._asked_at = float("-inf")
        self._probing = Lock()
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
        self._note(None)
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
        self._note(None)
        return signature

    def check(self) -> None:
        """Prove that the key signs, by what was signed lately or by a probe (UnavailableError).

        A failure is told until something is signed again; meanwhile there is a probe in a second at
        most, and never two at once.
        """
        with self._probing:
            failure, age = self._failure, self._monotonic() - self._asked_at
            if age > (PROVEN_SECONDS if failure is None else FAILED_SECONDS):
                self.sign(PROBE)
            elif failure is not None:
                raise failure.with_traceback(None)

    def _asked(self, data: bytes) -> bytes:
        try:
            return self._ask(data)
        except UnavailableError as error:
            self._note(error)
            raise
        except TouchplateError as error:
            failure = UnavailableError(
                "SERVICE_UNAVAILABLE", f"{self._place} does not sign: {error}", hint=error.hint
            )
            failure.__cause__ = error
            self._note(failure)
            raise failure from error

    def _note(self, failure: UnavailableError | None) -> None:
        self._failure, self._asked_at = failure, self._monotonic()

    def _wrong(self) -> UnavailableError:
        failure = UnavailableError(
            "SERVICE_UNAVAILABLE",
            f"{self._place} made a signature that its public key does not verify",
            hint="is the key that was there at the start still there?",
        )
        self._note(failure)
        return failure


def check_signer(signer: Signer) -> None:
    """Prove that a signer signs, if its key is elsewhere (UnavailableError)."""
    if isinstance(signer, RemoteSigner):
        signer.check()
