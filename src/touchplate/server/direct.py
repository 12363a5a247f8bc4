"""Requests of hot routes, answered without ASGI: no task, no messages, one write.

uvicorn makes a task, a scope and two messages for each request, and an event and a timer with them.
A route that has a `direct` handler is called from the parser instead, and its answer is written
from wherever it replies. Only the plain case is taken: HTTP/1.1 on a kept connection, a length that
is stated and allowed, nothing under way, nothing asked of the connection. All else goes the usual
way, and gets the same answers.
"""

import logging
import re
from functools import lru_cache, partial
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from touchplate.server.app import App
from touchplate.server.http import BoundedProtocol, GatheringTransport
from touchplate.transport.asgi import Response, Route

log = logging.getLogger("touchplate.server")

# Of a request that asks for more than an answer, or for another one to scripts.
_NOT_PLAIN: Final = frozenset({b"expect", b"origin", b"transfer-encoding", b"upgrade"})
# What is larger is counted while it comes, which ASGI allows; few requests are.
_MAX_BODY: Final = 64 * 1024
_MAX_LENGTH_DIGITS: Final = 9
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


class _NoEvent:
    """Stands for the event of a cycle that nobody waits for."""

    def set(self) -> None:
        """Do nothing."""


class Exchange:
    """One request that is answered directly; the protocol sees a cycle of uvicorn in it."""

    __slots__ = ("chunks", "disconnected", "keep_alive", "response_complete", "route")

    message_event: Final = _NoEvent()

    def __init__(self, route: Route) -> None:
        self.route = route
        self.chunks: list[bytes] = []
        self.disconnected = False
        self.keep_alive = True
        self.response_complete = False


class DirectProtocol(BoundedProtocol):
    """One connection, some of whose requests are answered directly."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  uvicorn's own
        super().__init__(*args, **kwargs)
        self._app = cast("App", self.app)
        self._exchange: Exchange | None = None  # whose body is being read
        self._idle_since: float | None = None
        self._usual_headers: tuple[object, bytes] = (None, b"")

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None

    def on_message_begin(self) -> None:
        """Note that a request begins; what ASGI wants to know of it is put together on demand."""
        self._begin_head()
        self.url = b""
        self.expect_100_continue = False
        self.headers = []

    def on_headers_complete(self) -> None:
        """Choose the way that the request goes."""
        route = self._direct_route()
        if route is not None:
            self._end_head()
            self.cycle = self._exchange = cast("Any", Exchange(route))
            return
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        HttpToolsProtocol.on_message_begin(self)
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body; its length was stated and allowed."""
        if self._exchange is None:
            super().on_body(body)
        else:
            self._exchange.chunks.append(body)

    def on_message_complete(self) -> None:
        """Call the handler."""
        exchange = self._exchange
        if exchange is None:
            super().on_message_complete()
            return
        self._exchange = None
        self._end_message()
        chunks = exchange.chunks
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._app.call_direct(
            exchange.route, self.client, self.headers, body, partial(self._answer, exchange)
        )

    def on_response_complete(self) -> None:
        """Go on with what was pipelined, else wait for the next request, for a time.

        One timer serves many requests: that it was of no use is found out when it ends.
        """
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._wait_idle(self.timeout_keep_alive)

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection if it was idle for long enough."""
        self.timeout_keep_alive_task = None
        if self._idle_since is None:
            return  # the next answer starts it again
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._wait_idle(left)
        elif not self.transport.is_closing():
            self.transport.close()

    def _wait_idle(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            seconds, self.timeout_keep_alive_handler
        )

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = None

    def _direct_route(self) -> Route | None:
        """Give the route if the request is a plain one for a direct handler."""
        parser = self.parser
        route = self._app.direct.get((parser.get_method(), self.url))
        if route is None or self.flow.write_paused:
            return None
        cycle: Any = self.cycle  # None before the first request
        if cycle is not None and not cycle.response_complete:
            return None
        if parser.get_http_version() != "1.1" or not parser.should_keep_alive():
            return None
        if self.limit_concurrency is not None and len(self.connections) >= self.limit_concurrency:
            return None
        length = b""
        for name, value in self.headers:
            if name in _NOT_PLAIN:
                return None
            if name == b"content-length":
                length = value
        if not length.isdigit() or len(length) > _MAX_LENGTH_DIGITS:
            return None
        if int(length) > min(route.max_body, _MAX_BODY):
            return None
        if route.direct_if is not None and not route.direct_if(self.headers):
            return None
        return route

    def _answer(self, exchange: Exchange, response: Response) -> None:
        """Write an answer, whole. One that cannot be written ends this connection, and no other.

        Whoever replies may have others to reply to, so nothing is raised.
        """
        exchange.response_complete = True
        try:
            self._write_answer(exchange, response)
        except Exception:
            log.exception("an answer of %s could not be written", exchange.route.pattern)
            self._socket.end()

    def _write_answer(self, exchange: Exchange, response: Response) -> None:
        transport = cast("GatheringTransport", self.transport)
        if transport.is_closing():
            return
        usual = self.server_state.default_headers
        if self._usual_headers[0] is not usual:  # made anew each second, for the date
            lines = b"".join(b"%b: %b\r\n" % header for header in usual)
            self._usual_headers = (usual, lines)
        more = encode_headers(response.headers) if response.headers else b""
        if not exchange.keep_alive:
            more += b"connection: close\r\n"
        body = response.body
        transport.write_whole(
            b"%b%bcontent-length: %d\r\ncontent-type: %b\r\n%b\r\n%b"
            % (
                STATUS_LINE[response.status],
                self._usual_headers[1],
                len(body),
                response.content_type.encode("latin-1"),
                more,
                body,
            )
        )
        if not exchange.keep_alive:
            transport.close()
        self.on_response_complete()


@lru_cache(maxsize=64)  # most answers of a route have the same
def encode_headers(headers: tuple[tuple[str, str], ...]) -> bytes:
    """Write header lines; no value can end its line."""
    lines = []
    for name, value in headers:
        if _CONTROL.search(name) or _CONTROL.search(value):
            raise AssertionError(f"a header holds a control character: {name!r}")
        lines.append(f"{name.lower()}: {value}\r\n")
    return "".join(lines).encode("latin-1")
