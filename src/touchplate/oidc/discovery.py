"""The keys of issuers elsewhere: discovery (OpenID Connect Discovery §4) and key sets, cached.

Nothing is fetched for an issuer that is not configured: the row, or the pattern, has matched before
`keys_of` is called. Each issuer has at most one fetch under way, in a thread of its own; a pattern
has at most `MAX_FETCHES` of them, however many issuers match it. So one that hangs delays its own
tokens to the deadline, and no others. What keeps waiting tokens from hammering an issuer is in
`FetchTimes`.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from datetime import timedelta
from threading import Lock, Thread, Timer
from typing import Final
from urllib.parse import urlsplit

from touchplate.errors import (
    MalformedError,
    RefusedError,
    SettingsError,
    TouchplateError,
    UnavailableError,
)
from touchplate.formats.jsontext import parse_json
from touchplate.oidc.issuers import Issuer
from touchplate.oidc.jwk import ALGORITHMS, MAX_JWKS, parse_jwks
from touchplate.oidc.keys import IssuerKeys
from touchplate.transport.http import HttpTransport, Transport, TransportSettings, is_loopback

MAX_DOCUMENT: Final = 64 * 1024
MAX_PATTERN_ISSUERS: Final = 100  # issuers that matched a pattern, of whom keys are kept
MAX_FETCHES: Final = 8  # at once, for the issuers of one pattern
CLUSTER: Final = "https://kubernetes.default.svc"


@dataclass(frozen=True, slots=True)
class FetchTimes:
    """How long keys are used and when they are fetched again, in seconds."""

    # For discovery document and key set together.
    deadline: float = 10.0
    # Keys older than this are fetched again by the next token.
    fresh: float = 600.0
    # If that fails the old ones are used until they are this old, and not at all afterwards.
    max_age: float = 3600.0
    # A key id that is not known fetches them again, but not more often than this.
    min_refetch: float = 10.0
    # After a failure nothing is fetched for so long, twice as long each time.
    first_retry: float = 1.0
    max_retry: float = 30.0


@dataclass(frozen=True, slots=True)
class ClusterAccess:
    """How the issuer of the Kubernetes cluster that we run in is reached."""

    certificates: str
    token: str


class Discovery:
    """Keys of the issuers of a table, and of those that match its patterns; for any thread.

    It outlives tables: a table that is read again finds the keys that are there. `cluster` gives
    certificates and token of the cluster, read anew for each fetch. `report` is told why a fetch
    failed: as often as one is made, and never what a token says.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        report: Callable[[str], None],
        *,
        private_hosts: Iterable[str] = (),
        cluster: Callable[[], ClusterAccess] | None = None,
        times: FetchTimes | None = None,
        open_transport: Callable[[TransportSettings], Transport] = HttpTransport,
    ) -> None:
        self.monotonic = monotonic
        self.report = report
        self.times = times or FetchTimes()
        self._private_hosts = frozenset(private_hosts)
        self._cluster = cluster
        self._has_cluster = False
        self._open_transport = open_transport
        self._lock = Lock()
        self._named: dict[Issuer, RemoteKeys] = {}
        self._matched: OrderedDict[Issuer, RemoteKeys] = OrderedDict()
        self._fetches: dict[str, int] = {}
        self._transports: dict[TransportSettings, Transport] = {}

    def adopt(self, issuers: Iterable[Issuer]) -> None:
        """Take note of a table that will be used: forget the keys of issuers that it has not."""
        rows = tuple(issuers)
        with self._lock:
            self._has_cluster = any(row.url == CLUSTER and not row.is_pattern for row in rows)
            kept = {_name(row) for row in rows}
            self._named = {name: keys for name, keys in self._named.items() if name in kept}
            patterns = {row.url for row in rows if row.is_pattern}
            for name in [name for name in self._matched if name.pattern not in patterns]:
                del self._matched[name]
            self._transports.clear()

    def keys_of(self, issuer: Issuer) -> "RemoteKeys":
        """Give the keys of an issuer that a table names, or that matched one of its patterns."""
        name = _name(issuer)
        with self._lock:
            kept = self._matched if issuer.pattern else self._named
            found = kept.get(name)
            if found is None:
                found = kept[name] = RemoteKeys(self, issuer)
            if not issuer.pattern:
                return found
            self._matched.move_to_end(name)
            if len(self._matched) > MAX_PATTERN_ISSUERS:
                self._matched.popitem(last=False)
            return found

    def start(self, issuer: Issuer, fetch: Callable[[], None]) -> bool:
        """Run `fetch` in a thread; False if the issuer's pattern has too many already."""
        with self._lock:
            active = self._fetches.get(issuer.pattern, 0)
            if issuer.pattern and active >= MAX_FETCHES:
                return False
            self._fetches[issuer.pattern] = active + 1

        def run() -> None:
            try:
                fetch()
            finally:
                with self._lock:
                    self._fetches[issuer.pattern] -= 1

        Thread(target=run, name="issuer keys", daemon=True).start()
        return True

    def fetch(self, issuer: Issuer) -> IssuerKeys:
        """Fetch discovery document and key set within the deadline.

        Raises UnavailableError, or TOKEN_REFUSED for an issuer that is not one.
        """
        end = self.monotonic() + self.times.deadline
        url = f"{issuer.url.removesuffix('/')}/.well-known/openid-configuration"
        document = parse_json(
            self._get(issuer, url, end, MAX_DOCUMENT),
            what="discovery document",
            max_bytes=MAX_DOCUMENT,
            error="RESPONSE_MALFORMED",
        )
        if document.get("issuer") != issuer.url:
            found = repr(document.get("issuer"))[:200]
            raise _unusable(f"its discovery document is of the issuer {found}")
        jwks_uri = document.get("jwks_uri")
        if not isinstance(jwks_uri, str):
            raise _unusable("its discovery document names no jwks_uri")
        keys = parse_jwks(self._get(issuer, jwks_uri, end, MAX_JWKS))
        listed = document.get("id_token_signing_alg_values_supported")
        algorithms = [each for each in ALGORITHMS if isinstance(listed, list) and each in listed]
        return IssuerKeys(tuple(algorithms) or ("RS256",), keys)

    def _get(self, issuer: Issuer, url: str, end: float, max_bytes: int) -> bytes:
        left = end - self.monotonic()
        if left <= 0:
            raise UnavailableError("SERVICE_UNAVAILABLE", f"{issuer.url} did not answer in time")
        settings, headers = self._access(issuer, url)
        response = self._transport(settings).request(
            "GET",
            url,
            headers=(("Accept", "application/json"), *headers),
            timeout=timedelta(seconds=left),
            max_bytes=max_bytes,
        )
        if response.status >= 500 or response.status == 429:
            raise UnavailableError("SERVICE_UNAVAILABLE", f"{url} answers {response.status}")
        if response.status != 200:
            raise _unusable(f"{url} answers {response.status}")
        return response.body

    def _access(
        self, issuer: Issuer, url: str
    ) -> tuple[TransportSettings, tuple[tuple[str, str], ...]]:
        """Say how a URL may be reached for an issuer, and what to send along."""
        host, home = urlsplit(url).hostname or "", urlsplit(issuer.url).hostname or ""
        # This machine's own services only for an issuer that is one of them.
        is_near = is_loopback(host) and is_loopback(home)
        certificates, headers = issuer.ca_certificates, list[tuple[str, str]]()
        is_private = home in self._private_hosts
        if self._is_cluster(issuer) and self._cluster is not None:
            access = self._cluster()
            certificates = f"{certificates}\n{access.certificates}"
            is_private = True
            # The pod's token is for the issuer itself, wherever its key set may be.
            if urlsplit(url)[:2] == urlsplit(issuer.url)[:2]:
                headers.append(("Authorization", f"Bearer {access.token}"))
        return (
            TransportSettings(
                more_authorities=certificates, public_only=not (is_near or is_private)
            ),
            tuple(headers),
        )

    def _is_cluster(self, issuer: Issuer) -> bool:
        is_named = not issuer.pattern
        return self._has_cluster and is_named and issuer.type == "kubernetes"

    def _transport(self, settings: TransportSettings) -> Transport:
        with self._lock:
            if settings not in self._transports:
                self._transports[settings] = self._open_transport(settings)
            return self._transports[settings]


class RemoteKeys:
    """The keys of one issuer: what was fetched last, and what comes next. A `KeySource`."""

    def __init__(self, discovery: Discovery, issuer: Issuer) -> None:
        self._discovery = discovery
        self._issuer = issuer
        self._lock = Lock()
        self._settling = Lock()
        self._keys: IssuerKeys | None = None
        self._fetched_at = 0.0
        # The last attempt: when it began, and why it failed.
        self._tried_at = float("-inf")
        self._failure: TouchplateError | None = None
        self._retry_at = 0.0
        self._delay = 0.0
        self._under_way: Future[None] | None = None

    def find(self, key_id: str | None) -> IssuerKeys:
        """Give the keys, fetched if need be, within the deadline."""
        fetching = self.prepare(key_id)
        if fetching is not None:
            left = self._tried_at + self._discovery.times.deadline - self._discovery.monotonic()
            try:
                fetching.result(max(0.0, left))
            except FutureTimeoutError as error:
                if self._keys is None:
                    text = f"the keys of {self._issuer.url} did not come in time"
                    raise UnavailableError("SERVICE_UNAVAILABLE", text) from error
        with self._lock:
            age = self._discovery.monotonic() - self._fetched_at
            if self._keys is not None and age <= self._discovery.times.max_age:
                return self._keys
            raise self._why()

    def prepare(self, key_id: str | None) -> "Future[None] | None":
        """Begin to fetch if keys are missing, old, or without this one; None: nothing to wait for.

        What is under way already is waited for, until its own deadline.
        """
        with self._lock:
            now = self._discovery.monotonic()
            needed, urgent = self._need(key_id, now)
            if not needed:
                return None
            if self._under_way is None:
                self._begin(now)
            is_late = now >= self._tried_at + self._discovery.times.deadline
            return self._under_way if urgent and not is_late else None

    def _need(self, key_id: str | None, now: float) -> tuple[bool, bool]:
        """Say whether to fetch, and whether the token has to wait for it."""
        times = self._discovery.times
        age = now - self._fetched_at
        if self._keys is None or age > times.max_age:
            return self._under_way is not None or now >= self._retry_at, True
        if age > times.fresh:
            # Once that has failed nobody waits for the next attempt: the old keys still do.
            is_due = self._under_way is not None or now >= self._retry_at
            return is_due, self._failure is None
        if self._keys.has(key_id):
            return False, False
        is_due = self._under_way is not None or now >= self._tried_at + times.min_refetch
        return is_due and now >= self._retry_at, True

    def _begin(self, now: float) -> None:
        future: Future[None] = Future()
        # Whoever waits is let go at the deadline, also where the transport cannot keep it: a name
        # that does not resolve is waited for by the system.
        timer = Timer(self._discovery.times.deadline, self._let_go, (future,))
        timer.daemon = True
        if self._discovery.start(self._issuer, lambda: self._fetch(future, timer)):
            self._under_way, self._tried_at = future, now
            timer.start()

    def _let_go(self, future: "Future[None]") -> None:
        with self._settling:
            if not future.done():
                future.set_result(None)

    def _fetch(self, future: "Future[None]", timer: Timer) -> None:
        # Stands if a bug of ours ends this thread: nobody waits for ever.
        failure: TouchplateError | None = UnavailableError("SERVICE_UNAVAILABLE", "fetching failed")
        keys: IssuerKeys | None = None
        try:
            keys = self._discovery.fetch(self._issuer)
            failure = None
        except TouchplateError as error:
            failure = error
            self._discovery.report(f"keys of issuer {self._issuer.url}: {error.code}: {error}")
        finally:
            self._take(keys, failure)
            timer.cancel()
            self._let_go(future)

    def _take(self, keys: IssuerKeys | None, failure: TouchplateError | None) -> None:
        times = self._discovery.times
        with self._lock:
            self._under_way, self._failure = None, failure
            now = self._discovery.monotonic()
            if keys is not None:
                self._keys, self._fetched_at, self._delay, self._retry_at = keys, now, 0.0, now
            else:
                self._delay = min(times.max_retry, 2 * self._delay or times.first_retry)
                self._retry_at = now + self._delay

    def _why(self) -> TouchplateError:
        """Make the error of a token whose issuer's keys cannot be had."""
        text = f"identity token: the keys of {self._issuer.url} cannot be had"
        if isinstance(self._failure, MalformedError | RefusedError | SettingsError):
            # Waiting would not help.
            return RefusedError("TOKEN_REFUSED", f"{text}: {self._failure}")
        left = max(1.0, self._retry_at - self._discovery.monotonic())
        return UnavailableError("SERVICE_UNAVAILABLE", text, retry_after=timedelta(seconds=left))


def _name(issuer: Issuer) -> Issuer:
    """Give what a change of would mean other keys, or another way to them."""
    return Issuer(
        issuer.url,
        type="kubernetes" if issuer.type == "kubernetes" else "email",
        pattern=issuer.pattern,
        ca_certificates=issuer.ca_certificates,
    )


def _unusable(reason: str) -> RefusedError:
    return RefusedError("SERVICE_REFUSED", reason)
