"""The one HTTP client: bounded in time and size, errors translated, no redirect to another host.

`Transport` is the seam that `clients/`, `trust/`, `oidc/` and `sign/` are given. `HttpTransport`
speaks to the network through urllib3 (imported at the first request), `touchplate.testing` has one
that calls a deployment in memory, `Retrying` wraps any of them. A status is an answer, no error:
`clients/` says what it means. The other direction, a server's routes, is `asgi`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import SplitResult, urljoin, urlsplit

from touchplate.errors import MalformedError, RefusedError, SettingsError, UnavailableError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    import urllib3

DEFAULT_TIMEOUT: Final = timedelta(seconds=30)
MAX_RESPONSE_BYTES: Final = 4 * 1024 * 1024
MAX_URL_CHARACTERS: Final = 2048
MAX_REDIRECTS: Final = 3
READ_BYTES: Final = 65536

_NAT64: Final = IPv6Network("64:ff9b::/96")

# CA, TSA and both logs may be asked again after these: a second try does no harm to any of them.
RETRY_STATUSES: Final = frozenset({429, 499, 500, 502, 503, 504})
RETRY_DELAYS: Final = (timedelta(seconds=1), timedelta(seconds=2), timedelta(seconds=4))
MAX_RETRY_AFTER: Final = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Response:
    """What a server answered; header names are as sent, compare them through `header`."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """Give the first header of that name, in any case."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)

    def retry_after(self) -> timedelta | None:
        """Give the delay that the server asks for; its rare form, a date, is read as none."""
        value = self.header("Retry-After")
        if value is None or not (value.isascii() and value.isdigit()) or len(value) > 6:
            return None
        return timedelta(seconds=int(value))


class Transport(Protocol):
    """One request, one answer; may be called from several threads at once.

    Raises SERVICE_UNAVAILABLE (no answer in time), LIMIT_EXCEEDED (body above `max_bytes`),
    SERVICE_REFUSED (redirect to another host, an address that is not public), SETTINGS_INVALID (a
    URL that is not allowed), RESPONSE_MALFORMED (a body in a form that nobody asked for).
    """

    def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        timeout: timedelta = DEFAULT_TIMEOUT,
        max_bytes: int = MAX_RESPONSE_BYTES,
    ) -> Response:
        """Send the request and read the whole answer within `timeout`."""


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """How this machine reaches services."""

    # Allow http:// to hosts that are not this machine. For networks that end TLS elsewhere.
    allow_http: bool = False
    # PEM file of the only authorities to trust for TLS; None means the system's.
    ca_file: str | None = None
    # PEM text of authorities to trust for TLS beside the system's.
    more_authorities: str = ""
    # Connect to nothing but public addresses: for URLs that somebody else has a say in. What a name
    # resolves to is checked, and then connected to; it is not resolved again.
    public_only: bool = False
    user_agent: str = "touchplate"


def check_url(url: str, *, allow_http: bool = False) -> SplitResult:
    """Hold `url` to be one that may be fetched: https, or http to this machine, and nothing odd."""
    if len(url) > MAX_URL_CHARACTERS:
        raise _refuse(f"URL is longer than {MAX_URL_CHARACTERS} characters")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise _refuse(f"URL {url!r} holds characters that must be percent-encoded")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise _refuse(f"URL {url!r} does not parse") from error
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise _refuse(f"URL {url!r} is not https://HOST/…")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise _refuse(f"URL for {parts.hostname} has a user name, password or fragment")
    if parts.scheme == "http" and not allow_http and not is_loopback(parts.hostname):
        raise _refuse(
            f"http:// to {parts.hostname} would be readable on the way",
            hint="use https://, or allow plain http where the network protects it (--allow-http)",
        )
    return parts


def _refuse(message: str, hint: str | None = None) -> SettingsError:
    return SettingsError("SETTINGS_INVALID", message, hint=hint)


def is_public(address: str) -> bool:
    """Answer whether an IP address is one of the public internet, also inside an IPv6 one."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        if found in _NAT64:
            found = IPv4Address(found.packed[-4:])
        else:
            found = found.ipv4_mapped or found.sixtofour or found
    return found.is_global and not found.is_multicast


def is_loopback(host: str) -> bool:
    """Answer whether the name is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class HttpTransport:
    """A `Transport` over urllib3 with kept-alive connections; safe for several threads."""

    def __init__(
        self,
        settings: TransportSettings = TransportSettings(),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is imported or connected until the first request."""
        self._settings = settings
        self._monotonic = monotonic
        self._made: urllib3.PoolManager | None = None

    def _pool(self) -> urllib3.PoolManager:
        if self._made is None:
            import urllib3  # 70 ms that most commands never need

            from touchplate.transport.deadline import bounded

            self._made = bounded(
                urllib3.PoolManager(
                    ca_certs=self._settings.ca_file,
                    cert_reqs="CERT_REQUIRED",
                    maxsize=8,
                    retries=False,
                    ssl_context=self._context(),
                ),
                public_only=self._settings.public_only,
            )
        return self._made

    def _context(self) -> ssl.SSLContext | None:
        if not self._settings.more_authorities:
            return None
        import urllib3.util.ssl_

        context = urllib3.util.ssl_.create_urllib3_context()
        context.load_default_certs()
        context.load_verify_locations(cadata=self._settings.more_authorities)
        return context

    def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        timeout: timedelta = DEFAULT_TIMEOUT,
        max_bytes: int = MAX_RESPONSE_BYTES,
    ) -> Response:
        """Send, follow redirects of GET inside the same origin, and read at most `max_bytes`."""
        origin = check_url(url, allow_http=self._settings.allow_http)
        deadline = self._monotonic() + timeout.total_seconds()
        for _ in range(MAX_REDIRECTS + 1):
            response = self._send(method, url, body, headers, deadline, max_bytes)
            location = response.header("Location")
            if response.status not in (301, 302, 303, 307, 308) or location is None:
                return response
            url = _same_origin(url, location, origin, method)
        raise RefusedError(
            "SERVICE_REFUSED", f"{origin.netloc} redirects more than {MAX_REDIRECTS} times"
        )

    def _send(
        self,
        method: str,
        url: str,
        body: bytes | None,
        headers: tuple[tuple[str, str], ...],
        deadline: float,
        max_bytes: int,
    ) -> Response:
        pool = self._pool()
        import urllib3

        where = _without_query(url)
        left = deadline - self._monotonic()
        if left <= 0:
            raise _away(f"{where} did not answer in time")
        sent = {"User-Agent": self._settings.user_agent, "Accept-Encoding": "identity"}
        sent.update(headers)
        try:
            raw = pool.request(
                method,
                url,
                body=body,
                headers=sent,
                timeout=urllib3.Timeout(total=left),
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            try:
                received = self._read(raw, where, deadline, max_bytes)
            except BaseException:
                raw.close()
                raise
            raw.release_conn()
        except urllib3.exceptions.SSLError as error:
            raise _away(f"TLS with {where} failed: {error}") from error
        except urllib3.exceptions.NewConnectionError as error:
            raise _away(f"{where} cannot be reached: {_reason(error)}") from error
        except urllib3.exceptions.TimeoutError as error:
            raise _away(f"{where} did not answer in time") from error
        except urllib3.exceptions.ProtocolError as error:
            raise _away(f"{where} broke off its answer: {_reason(error)}") from error
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise _away(f"{where} cannot be reached: {_reason(error)}") from error
        return Response(raw.status, tuple(raw.headers.items()), received)

    def _read(
        self, raw: urllib3.BaseHTTPResponse, where: str, deadline: float, max_bytes: int
    ) -> bytes:
        encoding = raw.headers.get("Content-Encoding", "identity")[:40]
        if encoding.lower() != "identity":
            # We asked for none: what is not unpacked cannot be a bomb.
            raise MalformedError("RESPONSE_MALFORMED", f"{where} answers in encoding {encoding!r}")
        parts: list[bytes] = []
        size = 0
        # read1 returns what one packet brought, so that a slow sender meets the deadline too.
        while part := raw.read1(READ_BYTES):
            size += len(part)
            if size > max_bytes:
                raise MalformedError(
                    "LIMIT_EXCEEDED", f"{where} sent more than the limit of {max_bytes} bytes"
                )
            if self._monotonic() > deadline:
                raise _away(f"{where} did not finish its answer in time")
            parts.append(part)
        return b"".join(parts)


class Retrying:
    """A `Transport` that asks again, for a service that is away or says so (signing-flow §9)."""

    def __init__(
        self,
        transport: Transport,
        sleep: Callable[[float], None] = time.sleep,
        delays: tuple[timedelta, ...] = RETRY_DELAYS,
    ) -> None:
        """Wrap `transport`; `delays` are the pauses, so one more request than there are of them."""
        self._transport = transport
        self._sleep = sleep
        self._delays = delays

    def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        timeout: timedelta = DEFAULT_TIMEOUT,
        max_bytes: int = MAX_RESPONSE_BYTES,
    ) -> Response:
        """Send; on no answer, 429 or 5xx pause (Retry-After up to 30 s wins) and send again."""
        for delay in self._delays:
            pause = delay
            try:
                response = self._transport.request(
                    method, url, body=body, headers=headers, timeout=timeout, max_bytes=max_bytes
                )
            except UnavailableError:
                pass
            else:
                if response.status not in RETRY_STATUSES:
                    return response
                pause = response.retry_after() or delay
                if pause > MAX_RETRY_AFTER:
                    return response
            self._sleep(pause.total_seconds())
        return self._transport.request(
            method, url, body=body, headers=headers, timeout=timeout, max_bytes=max_bytes
        )


def _same_origin(url: str, location: str, origin: SplitResult, method: str) -> str:
    try:
        target = urlsplit(urljoin(url, location))
    except ValueError as error:
        raise MalformedError("RESPONSE_MALFORMED", f"{origin.netloc} redirects nowhere") from error
    if method != "GET" or (target.scheme, target.netloc) != (origin.scheme, origin.netloc):
        raise RefusedError(
            "SERVICE_REFUSED",
            f"{origin.netloc} redirects {method} to {target.scheme}://{target.netloc}",
            hint="give the service's final URL",
        )
    return target.geturl()


def _away(message: str) -> UnavailableError:
    return UnavailableError("SERVICE_UNAVAILABLE", message)


def _without_query(url: str) -> str:
    """Name the address in an error without what a query may hide."""
    return url.partition("?")[0]


def _reason(error: Exception) -> str:
    """Say the reason in the words of the system, not in urllib3's object names."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__
