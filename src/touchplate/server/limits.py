"""How often one client may ask: a rate with a burst, for each address or identity (GCRA).

The state is a table of fixed size in memory that the worker processes share, so the limit is one
for all of them and no number of clients makes it grow. A client that falls out of the table starts
anew, which is to its advantage.
"""

import ipaddress
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from math import ceil
from mmap import mmap
from typing import Final

from touchplate.server.rate import Rate
from touchplate.server.reading import Network
from touchplate.server.settings import LimitSettings
from touchplate.transport.asgi import TooOftenError

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a client has left under a limit."""

    name: str
    rate: Rate
    # Requests that it may send at once now, and seconds until it has all of its burst again.
    left: int
    reset: int

    def headers(self) -> Headers:
        """Publish limit and state (draft-ietf-httpapi-ratelimit-headers)."""
        return (
            ("ratelimit-policy", f'"{self.name}";q={self.rate.burst};w={self.rate.window}'),
            ("ratelimit", f'"{self.name}";r={self.left};t={self.reset}'),
        )


class ClientTable:
    """When each client may ask again; make it before worker processes are forked.

    A table of sets of four. Each place holds 64 bits of a keyed hash of the client, and the time
    when it will have used nothing ("theoretical arrival time"). Two processes that write one place
    at the same time can let one request too many pass.
    """

    WAYS: Final = 4
    MAX_CLIENTS: Final = 131_072

    def __init__(self, now_ns: Callable[[], int], max_clients: int = MAX_CLIENTS) -> None:
        self._now_ns = now_ns
        self._sets = max(1, max_clients // self.WAYS)
        self._words = memoryview(mmap(-1, self._sets * self.WAYS * 16)).cast("Q")
        # Nobody can choose names that fall into one set.
        self._key = secrets.token_bytes(16)

    def take(self, name: str, rate: Rate, client: str) -> Allowance:
        """Count one request of a client under the limit `name` (GCRA).

        Raises TooOftenError with the time to wait.
        """
        words, now = self._words, self._now_ns()
        at = self._find(f"{name} {client}", now)
        due = max(words[at + 1], now) + rate.interval_ns
        most = rate.burst * rate.interval_ns
        if due - now > most:
            spent = Allowance(name, rate, 0, ceil((due - rate.interval_ns - now) / 1e9))
            wait = ceil((due - now - most) / 1e9)
            raise TooOftenError(wait, (("retry-after", str(wait)), *spent.headers()))
        words[at + 1] = due
        left = (most - (due - now)) // rate.interval_ns
        return Allowance(name, rate, left, ceil((due - now) / 1e9))

    def _find(self, client: str, now: int) -> int:
        """Give the client's place: its own, or one that is free, or the one that misses least."""
        words = self._words
        digest = blake2b(client.encode(), digest_size=16, key=self._key).digest()
        tag = int.from_bytes(digest[:8], "big") | 1
        first = int.from_bytes(digest[8:], "big") % self._sets * self.WAYS * 2
        places = range(first, first + self.WAYS * 2, 2)
        for place in places:
            if words[place] == tag:
                return place
        place = min(places, key=lambda each: words[each + 1])
        words[place + 1] = now
        words[place] = tag
        return place


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a deployment."""

    settings: LimitSettings = field(default_factory=LimitSettings)
    # None: nothing is limited.
    table: ClientTable | None = None

    @classmethod
    def of(
        cls,
        settings: LimitSettings,
        now_ns: Callable[[], int],
        more: Iterable[Rate | None] = (),
    ) -> "Limits":
        """Make the table, if there is anything to be limited. Do so before workers are forked.

        `more` are rates that are set elsewhere.
        """
        rates = (settings.address, settings.reads, settings.identity, *more)
        return cls(settings, ClientTable(now_ns) if any(rates) else None)

    def take_request(self, method: str, address: str) -> Headers:
        """Count a request of an address; give the headers that say what is left."""
        reads = method in ("GET", "HEAD")
        rate = self.settings.reads if reads else self.settings.address
        if rate is None or self.table is None:
            return ()
        return self.table.take("reads" if reads else "address", rate, client_of(address)).headers()

    def take_identity(self, identity: str) -> None:
        """Count a certificate or an entry of an identity or key."""
        if self.settings.identity is not None and self.table is not None:
            self.table.take("identity", self.settings.identity, identity)

    def take_issuer(self, rate: Rate, issuer: str) -> None:
        """Count a certificate for an issuer that has a rate of its own."""
        if self.table is not None:
            self.table.take("issuer", rate, issuer)

    def address_of(self, peer: str, forwarded: str) -> str:
        """Give the address of the client: the peer's, or what trusted proxies say.

        `forwarded` is X-Forwarded-For, all of its lines. Each proxy adds whom it heard from at the
        end, so the last address that is no proxy of ours is the client's.
        """
        proxies = self.settings.proxies
        if not (proxies and forwarded and _is_in(peer, proxies)):
            return peer
        for each in reversed(forwarded.split(",")):
            address = each.strip()
            if not _is_address(address):
                return peer
            peer = address
            if not _is_in(address, proxies):
                break
        return peer


@lru_cache(maxsize=4096)
def client_of(address: str) -> str:
    """Give what counts as one client: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(known, ipaddress.IPv6Address):
        if known.ipv4_mapped is not None:
            return str(known.ipv4_mapped)
        return str(ipaddress.ip_network((known.packed[:8] + bytes(8), 64)))
    return address


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_in(address: str, networks: tuple[Network, ...]) -> bool:
    if not _is_address(address):
        return False
    known = ipaddress.ip_address(address)
    if isinstance(known, ipaddress.IPv6Address) and known.ipv4_mapped is not None:
        known = known.ipv4_mapped
    return any(known in network for network in networks)
