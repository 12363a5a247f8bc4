"""HTTP/1.1 as uvicorn speaks it, with a bound on each request's time and on the size of its head.

The size of a body is bounded by its route (`app`), the time between requests by uvicorn. What lies
between, a client that sends one request for ever or a byte at a time, is stopped here.

An answer may come before the body is whole: it is too large, or not asked for. A client that writes
all of it first would find the connection reset and no answer (RFC 9112 §9.6). So a connection that
ends there lingers: our side of it is closed, and what comes is thrown away, within bounds.
"""

import asyncio
import resource
from collections.abc import Callable
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Descriptors kept for files, databases and outbound connections.
RESERVED_DESCRIPTORS: Final = 128


class GatheringTransport(asyncio.Transport):
    """A connection's transport that writes once what is written in one turn of the loop.

    uvicorn writes head and body of an answer apart; uvloop would send two packets with two calls.
    `lingers` is asked when it closes: true has the other side send on, until `end`.
    """

    __slots__ = ("_has_ended", "_lingers", "_loop", "_parts", "_transport")

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        lingers: Callable[[], bool],
    ) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._lingers = lingers
        self._parts: list[bytes] = []
        self._has_ended = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write at the end of this turn."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(bytes(data))

    def write_whole(self, data: bytes) -> None:
        """Write what needs no gathering, after what waits."""
        if self._parts:
            self._parts.append(data)
        else:
            self._transport.write(data)

    def close(self) -> None:
        """Write what waits and close, at once or when it has lingered."""
        if self.is_closing():
            return
        self._flush()
        self._has_ended = True
        if self._lingers():
            self._transport.write_eof()
        else:
            self._transport.close()

    def end(self) -> None:
        """Write what waits and close at once."""
        self._flush()
        self._has_ended = True
        self._transport.close()

    def is_closing(self) -> bool:
        """Say whether it is closed or will be; nothing is written after that."""
        return self._has_ended or self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401  asyncio's own
        """Tell of the socket."""
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        """Read no more for now."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        self._transport.resume_reading()

    def _flush(self) -> None:
        parts, self._parts = self._parts, []
        if parts and not self.is_closing():
            self._transport.write(parts[0] if len(parts) == 1 else b"".join(parts))


class BoundedProtocol(HttpToolsProtocol):
    """One connection. A request that is too slow, or whose head is too large, ends it."""

    # A packet that exceeds the limit is still read whole; packets have at most 256 KiB.
    max_head_bytes: ClassVar[int] = 64 * 1024
    # For a whole request. 16 MiB in it are 4 Mbit/s.
    max_seconds: ClassVar[float] = 30
    # Of a body that is not wanted any more, after the answer; four times the largest that is taken.
    max_unwanted_bytes: ClassVar[int] = 64 << 20
    # For it, and until the next part of it, on a connection that ends with the answer.
    max_linger_seconds: ClassVar[float] = 30
    max_linger_gap_seconds: ClassVar[float] = 5

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  uvicorn's own
        super().__init__(*args, **kwargs)
        self._reading_head = True
        self._reading_body = False
        self._ended_request = False
        self._head_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._is_refused = False  # what came is no request
        self._unwanted_bytes = 0
        self._lingers_until: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn
        """Begin; a client that says nothing is not waited for longer than for a request."""
        self._socket = GatheringTransport(transport, self.loop, self._linger)
        super().connection_made(self._socket)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; what is not a whole request yet has its time, and its head a size."""
        if self._lingers_until is not None:
            self._throw_away(len(data), self._lingers_until)
            return
        self._ended_request = False
        super().data_received(data)
        if self._ended_request and not (self._reading_head or self._reading_body):
            return  # answered already, maybe; what waits now is the keep-alive timer's
        if self.transport.is_closing():
            return
        # Most requests come in one packet: then this is not reached, and no timer is made.
        cycle: Any = self.cycle  # None before the first request
        is_answered = cycle is not None and cycle.response_complete
        if self._reading_body:
            # Of what was answered before it was whole, and whose connection goes on.
            self._unwanted_bytes += len(data) if is_answered else 0
        elif self._reading_head or is_answered:
            # Line ends between requests are of no head, and must not hold the connection either.
            self._head_bytes += len(data)
        else:
            return
        if self._unwanted_bytes > self.max_unwanted_bytes:
            self._socket.end()
        elif self._head_bytes > self.max_head_bytes:
            self.send_400_response("The head of the request is too large.")
        else:
            self._start_timer()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request, and end."""
        self._is_refused = True
        super().send_400_response(msg)

    def shutdown(self) -> None:
        """End after the request under way; what lingers has had its answer."""
        if self._lingers_until is None:
            super().shutdown()
        else:
            self._socket.end()

    def on_message_begin(self) -> None:
        """Note that a request begins."""
        self._begin_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Note that the head is whole."""
        self._end_head()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note that the request was whole in time."""
        self._end_message()
        super().on_message_complete()

    def _begin_head(self) -> None:
        self._reading_head = True
        self._head_bytes = 0

    def _end_head(self) -> None:
        self._reading_head = False
        self._reading_body = True

    def _end_message(self) -> None:
        self._reading_body = False
        self._ended_request = True
        self._head_bytes = 0
        self._unwanted_bytes = 0
        self._stop_timer()

    def _start_timer(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.max_seconds, self._too_slow)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        if not self.transport.is_closing():
            self._socket.end()

    def _linger(self) -> bool:
        """Say whether more may come on a connection that closes; if so, begin to wait for it.

        Of a client that sent the head only this is not known, and one that expects to be told to
        go on may go on untold. Both see the answer and our end at once, and end it then.
        """
        if not (self._reading_body or self._is_refused):
            return False
        if self.limit_concurrency is not None and len(self.connections) >= self.limit_concurrency:
            return False
        self._lingers_until = self.loop.time() + self.max_linger_seconds
        self._unwanted_bytes = 0
        self._throw_away(0, self._lingers_until)
        self.flow.resume_reading()
        return True

    def _throw_away(self, size: int, until: float) -> None:
        """Wait for more after these bytes, unless they are enough; the client may end it, too."""
        self._stop_timer()
        self._unwanted_bytes += size
        left = until - self.loop.time()
        if self._unwanted_bytes > self.max_unwanted_bytes or left <= 0:
            self._socket.end()
        else:
            seconds = min(left, self.max_linger_gap_seconds)
            self._timer = self.loop.call_later(seconds, self._socket.end)


def raise_max_connections() -> int:
    """Let this process open as many files as it may; give how many of them may be connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else max(soft, 65_536)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(16, wanted - RESERVED_DESCRIPTORS)
