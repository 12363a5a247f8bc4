"""HTTP/1.1 as uvicorn speaks it, with a bound on each request's time and on the size of its head.

The size of a body is bounded by its route (`app`), the time between requests by uvicorn. What lies
between, a client that sends one request for ever or a byte at a time, is stopped here.
"""

import asyncio
import resource
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Descriptors kept for files, databases and outbound connections.
RESERVED_DESCRIPTORS: Final = 128


class GatheringTransport(asyncio.Transport):
    """A connection's transport that writes once what is written in one turn of the loop.

    uvicorn writes head and body of an answer apart; uvloop would send two packets with two calls.
    """

    __slots__ = ("_loop", "_parts", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []

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
        """Write what waits and close."""
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Say whether it is closed or will be."""
        return self._transport.is_closing()

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
        if parts and not self._transport.is_closing():
            self._transport.write(parts[0] if len(parts) == 1 else b"".join(parts))


class BoundedProtocol(HttpToolsProtocol):
    """One connection. A request that is too slow, or whose head is too large, ends it."""

    # A packet that exceeds the limit is still read whole; packets have at most 256 KiB.
    max_head_bytes: ClassVar[int] = 64 * 1024
    # For a whole request. 16 MiB in it are 4 Mbit/s.
    max_seconds: ClassVar[float] = 30

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  uvicorn's own
        super().__init__(*args, **kwargs)
        self._reading_head = True
        self._reading_body = False
        self._ended_request = False
        self._head_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn
        """Begin; a client that says nothing is not waited for longer than for a request."""
        super().connection_made(GatheringTransport(transport, self.loop))
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; what is not a whole request yet has its time, and its head a size."""
        self._ended_request = False
        super().data_received(data)
        if self._ended_request and not (self._reading_head or self._reading_body):
            return  # answered already, maybe; what waits now is the keep-alive timer's
        # Line ends between requests are of no head, and must not hold the connection either.
        is_waiting = self._reading_head or self.cycle.response_complete
        if not (is_waiting or self._reading_body) or self.transport.is_closing():
            return
        # Most requests come in one packet: then this is not reached, and no timer is made.
        if is_waiting:
            self._head_bytes += len(data)
        if self._head_bytes > self.max_head_bytes:
            self.send_400_response("The head of the request is too large.")
        else:
            self._start_timer()

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
            self.transport.close()


def raise_max_connections() -> int:
    """Let this process open as many files as it may; give how many of them may be connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else max(soft, 65_536)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(16, wanted - RESERVED_DESCRIPTORS)
