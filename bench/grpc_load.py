"""gRPC load from one thread: a few HTTP/2 connections, each with several calls under way.

The same `LoadResult` as of `load`; a status is that of gRPC, 0 is OK, and is read from the trailers
of every call. A client of grpcio sends and receives in threads that sleep, which costs the server a
waking for each answer (see `load`), and takes more CPU than the server does. So this writes its own
frames (RFC 9113), as few as it can, and `polls` too.
"""

import gc
import re
import select
import socket
import time
from collections.abc import Sequence
from itertools import count
from struct import Struct
from typing import Final, NamedTuple

from bench.load import LoadResult

_CONNECTIONS = 4  # the calls share them
_IDLE_SECONDS = 20.0
_RECEIVE = 1 << 16

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS, _PING, _WINDOW_UPDATE = 0, 1, 4, 6, 8
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_HEADER_TABLE_SIZE, _INITIAL_WINDOW_SIZE = 1, 4
_MAX_WINDOW, _FIRST_WINDOW = (1 << 31) - 1, (1 << 16) - 1
# A frame's head is 24 bits of length, then these.
_HEAD: Final = Struct(">BBI")
_SETTING: Final = Struct(">HI")
# The server has no table for its headers (our settings), and grpc does not use Huffman's code.
_STATUS: Final = re.compile(rb"\x0bgrpc-status[\x01\x02]([0-9]{1,2})")


class _Call(NamedTuple):
    """A call under way."""

    number: int
    begun: float


class _Connection:
    """One connection and its calls."""

    def __init__(self, address: tuple[str, int], method: str) -> None:
        self.socket = socket.create_connection(address, timeout=_IDLE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.calls: dict[int, _Call] = {}
        self._streams = count(1, 2)
        self._first, self._more = _encode_headers(method, f"{address[0]}:{address[1]}")
        self._window = _FIRST_WINDOW  # what the server takes before it says more
        self._is_ready = False
        self._unread = b""
        self._written = [
            _PREFACE,
            _frame(
                *(_SETTINGS, 0, 0),
                _SETTING.pack(_HEADER_TABLE_SIZE, 0)
                + _SETTING.pack(_INITIAL_WINDOW_SIZE, _MAX_WINDOW),
            ),
            # No answers of one run fill it.
            _frame(_WINDOW_UPDATE, 0, 0, (_MAX_WINDOW - _FIRST_WINDOW).to_bytes(4, "big")),
        ]
        self.flush()
        while not self._is_ready:
            self.read()

    def write(self, number: int, message: bytes) -> None:
        """Begin a call; `flush` sends it."""
        stream = next(self._streams)
        data = b"\0" + len(message).to_bytes(4, "big") + message
        self._window -= len(data)
        if self._window < 0:
            raise RuntimeError("the server takes no more")
        headers = self._more if stream > 1 else self._first
        self._written.append(_frame(_HEADERS, _END_HEADERS, stream, headers))
        self._written.append(_frame(_DATA, _END_STREAM, stream, data))
        self.calls[stream] = _Call(number, time.perf_counter())

    def flush(self) -> None:
        """Send what was written."""
        if self._written:
            self.socket.sendall(b"".join(self._written))
            self._written.clear()

    def read(self) -> list[tuple[_Call, int]]:
        """Read what is there; give the calls that are over, and their status."""
        data = self.socket.recv(_RECEIVE)
        if not data:
            raise ConnectionError("the server closed a connection")
        data, at, ended = self._unread + data, 0, []
        while len(data) >= at + 9:
            end = at + 9 + int.from_bytes(data[at : at + 3], "big")
            if len(data) < end:
                break
            kind, flags, stream = _HEAD.unpack_from(data, at + 3)
            if kind == _HEADERS and flags & _END_STREAM:
                status = _STATUS.search(data, at + 9, end)
                if status is None:
                    raise RuntimeError(f"trailers without a status: {data[at:end]!r}")
                ended.append((self.calls.pop(stream), int(status[1])))
            elif kind not in (_DATA, _HEADERS):
                self._control(kind, flags, stream, data[at + 9 : end])
            at = end
        self._unread = data[at:]
        return ended

    def _control(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _WINDOW_UPDATE:
            # A stream's own window is never used up: it has one small message.
            self._window += int.from_bytes(payload, "big") if stream == 0 else 0
        elif kind in (_SETTINGS, _PING) and not flags & _ACK:
            self._written.append(_frame(kind, _ACK, 0, payload if kind == _PING else b""))
        elif kind == _SETTINGS:
            self._is_ready = True  # ours hold from here on
        elif kind != _PING:
            raise RuntimeError(f"the server sent a frame of kind {kind}: {payload!r}")


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + _HEAD.pack(kind, flags, stream) + payload


def _encode_headers(method: str, authority: str) -> tuple[bytes, bytes]:
    """Give the headers of a connection's first call, and of others, which refer to the first's."""
    headers = (
        *((":method", "POST"), (":scheme", "http"), (":path", method), (":authority", authority)),
        *(("te", "trailers"), ("content-type", "application/grpc"), ("grpc-timeout", "60S")),
        ("user-agent", "bench"),
    )
    # RFC 7541 §6.2.1 literals that the table keeps; §6.1 index, the newest entry is 62.
    first = b"".join(
        b"\x40%c%b%c%b" % (len(name), name.encode(), len(value), value.encode())
        for name, value in headers
    )
    return first, bytes(0x80 | 62 + place for place in reversed(range(len(headers))))


def run_calls(
    address: str, method: str, messages: Sequence[bytes], clients: int, *, polls: bool = False
) -> LoadResult:
    """Send every message once: each client sends its next one when its last one is answered."""
    host, _, port = address.rpartition(":")
    clients = min(clients, len(messages))
    connections = [
        _Connection((host, int(port)), method) for _ in range(min(_CONNECTIONS, clients))
    ]
    by_file = {each.socket.fileno(): each for each in connections}
    poller = select.epoll()
    for file in by_file:
        poller.register(file, select.EPOLLIN)
    latencies: list[float] = []
    statuses: dict[int, int] = {}
    unsent = iter(enumerate(messages))
    gc.collect()
    gc.disable()
    try:
        begun, own = time.perf_counter(), time.process_time()
        heard = begun
        for client in range(clients):
            connections[client % len(connections)].write(*next(unsent))
        for connection in connections:
            connection.flush()
        while len(latencies) < len(messages):
            ready = poller.poll(0 if polls else _IDLE_SECONDS)
            now = time.perf_counter()
            if ready:
                heard = now
            elif now - heard > _IDLE_SECONDS:
                raise TimeoutError(f"no answer came in {_IDLE_SECONDS} s")
            for file, _ in ready:
                connection = by_file[file]
                for call, status in connection.read():
                    latencies.append(time.perf_counter() - call.begun)
                    statuses[status] = statuses.get(status, 0) + 1
                    for number, message in unsent:
                        connection.write(number, message)
                        break
                connection.flush()
        seconds, own = time.perf_counter() - begun, time.process_time() - own
        return LoadResult(seconds, own, tuple(latencies), statuses, ())
    finally:
        gc.enable()
        poller.close()
        for connection in connections:
            connection.socket.close()
