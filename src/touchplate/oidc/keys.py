"""What a token is checked with: an issuer's keys and the algorithms that it signs with."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from touchplate.oidc.jwk import JsonWebKey


class IssuerKeys(NamedTuple):
    """An issuer's keys at one time."""

    # What its discovery document says; what is not in our own table is never accepted.
    algorithms: tuple[str, ...]
    keys: tuple[JsonWebKey, ...]

    def has(self, key_id: str | None) -> bool:
        """Say whether a token that names this key could be checked; one without a name could."""
        return key_id is None or any(key.key_id == key_id for key in self.keys)


class KeySource(Protocol):
    """Where an issuer's keys come from; may be asked from several threads at once."""

    def find(self, key_id: str | None) -> IssuerKeys:
        """Give the keys, for a token that names `key_id`; may wait until a deadline of its own.

        Raises UnavailableError, or RefusedError TOKEN_REFUSED for an issuer that cannot be used.
        """

    def prepare(self, key_id: str | None) -> "Future[None] | None":
        """Begin what `find` would wait for; None if it would not. The future has no error."""


@dataclass(frozen=True, slots=True)
class OwnKeys:
    """Keys that are in this process, such as those of our own issuer."""

    give: Callable[[], IssuerKeys]

    def find(self, key_id: str | None) -> IssuerKeys:
        """Give all keys; the token check chooses."""
        del key_id
        return self.give()

    def prepare(self, key_id: str | None) -> "Future[None] | None":
        """Say that there is nothing to wait for."""
        del key_id
        return None
