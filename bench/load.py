"""A closed-loop HTTP/1.1 load generator: N kept connections, each with one request under way.

It sends bytes that were prepared before, so its own share of the machine stays small (about 15 µs
a request) and it can be pinned to another core than the server. Answers are matched by
Content-Length; a chunked answer is an error, because the hot routes never send one.
"""

import os
import selectors
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_RECEIVE = 1 << 16
_MAX_IDLE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What one run of load saw: seconds in all, seconds of each request, count by status."""

    seconds: float
    latencies: tuple[float, ...]
    statuses: dict[int, int]

    def percentile(self, share: float) -> float:
        """Give the latency in seconds below which `share` (0 to 1) of the requests stayed."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def post(path: str, host: str, body: bytes, content_type: str = "application/json") -> bytes:
    """Prepare the bytes of one POST on a kept connection."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class _Connection:
    """One kept connection: the bytes of the answer so far, and when its request was sent."""

    __slots__ = ("buffer", "sent_at", "socket", "wanted")

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=_MAX_IDLE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.wanted = -1
        self.sent_at = 0.0

    def send(self, request: bytes) -> None:
        self.buffer, self.wanted = b"", -1
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> int | None:
        """Read what is there; give the status once the answer is whole."""
        data = self.socket.recv(_RECEIVE)
        if not data:
            raise ConnectionError("the server closed a kept connection")
        self.buffer += data
        if self.wanted < 0:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return None
            head = self.buffer[:end].lower()
            start = head.index(b"content-length:") + 15
            stop = head.find(b"\r\n", start)
            self.wanted = end + 4 + int(head[start : stop if stop > 0 else len(head)])
        return int(self.buffer[9:12]) if len(self.buffer) >= self.wanted else None


def run_load(address: tuple[str, int], requests: Sequence[bytes], clients: int) -> LoadResult:
    """Send every request once over `clients` connections and wait for every answer."""
    poller = selectors.DefaultSelector()
    connections = [_Connection(address) for _ in range(min(clients, len(requests)))]
    waiting = iter(requests)
    latencies: list[float] = []
    statuses: dict[int, int] = {}
    begun = time.perf_counter()
    for connection in connections:
        poller.register(connection.socket, selectors.EVENT_READ, connection)
        connection.send(next(waiting))
    left = len(requests)
    while left:
        events = poller.select(_MAX_IDLE_SECONDS)
        if not events:
            raise TimeoutError(f"{left} requests had no answer in {_MAX_IDLE_SECONDS} s")
        for key, _ in events:
            connection = key.data
            status = connection.receive()
            if status is None:
                continue
            latencies.append(time.perf_counter() - connection.sent_at)
            statuses[status] = statuses.get(status, 0) + 1
            left -= 1
            request = next(waiting, None)
            if request is not None:
                connection.send(request)
    seconds = time.perf_counter() - begun
    for connection in connections:
        connection.socket.close()
    poller.close()
    return LoadResult(seconds, tuple(latencies), statuses)


def cpu_seconds(pid: int) -> float:
    """Give the CPU seconds (user and system) that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
