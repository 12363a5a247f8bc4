"""HTTP/1.1 load from one thread: kept connections, each with at most one request under way.

It sends bytes that were prepared before and looks at as little of an answer as it can, so its own
share of the machine stays small; `LoadResult.own_seconds` says how small. A sample of the answers
is kept, to be verified after the clock has stopped. Answers are matched by Content-Length; a
chunked answer is an error, because the hot routes never send one.

A load that sleeps has to be woken, and the kernel books that on the server that sends the answer.
On a virtual machine, whose cores wake each other through the hypervisor, this was a third of all
that a short request cost the server. Clients on other machines cost it nothing of the kind. So with
a core of its own a load `polls`: it looks for answers all the time and never sleeps.
"""

import gc
import os
import random
import select
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_RECEIVE = 1 << 16
_MAX_IDLE_SECONDS = 20.0
_MAX_EVENTS = 256


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What one run of load saw."""

    seconds: float
    own_seconds: float
    """CPU of this process; if it polls, all the time there is."""
    latencies: tuple[float, ...]
    """Seconds of each request."""
    statuses: dict[int, int]
    """How many answers had each status."""
    sample: tuple[tuple[int, bytes], ...]
    """The number of a request, and the body of its answer."""

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
    """One kept connection: its request, since when that waits, and the answer so far."""

    __slots__ = ("buffer", "end", "number", "receive", "send", "since", "socket")

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=_MAX_IDLE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.send = self.socket.sendall
        self.receive = self.socket.recv
        self.buffer = b""
        self.end = 0  # of the answer's head
        self.number = 0
        self.since = 0.0

    def read(self) -> int | None:
        """Read what is there; give the status once the answer is whole, in `buffer`."""
        data = self.receive(_RECEIVE)
        if not data:
            raise ConnectionError("the server closed a kept connection")
        buffer = self.buffer = self.buffer + data if self.buffer else data
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        start = buffer.index(b"content-length: ", 0, end) + 16
        self.end = end + 4
        if len(buffer) < self.end + int(buffer[start : buffer.index(b"\r", start)]):
            return None
        return int(buffer[9:12])


class _Load:
    """Connections, and what has come back over them."""

    def __init__(
        self, address: tuple[str, int], clients: int, *, keep_every: int, polls: bool
    ) -> None:
        self.poller = select.epoll()
        self.connections: dict[int, _Connection] = {}
        for _ in range(clients):
            connection = _Connection(address)
            self.connections[connection.socket.fileno()] = connection
            self.poller.register(connection.socket, select.EPOLLIN)
        self.latencies: list[float] = []
        self.statuses: dict[int, int] = {}
        self.sample: list[tuple[int, bytes]] = []
        self._keep_every = keep_every
        self._polls = polls

    def take(self, timeout: float) -> Iterator[_Connection]:
        """Give each connection whose answer has come, before the time is over."""
        if not self._polls:
            # epoll alone would wait for whole milliseconds.
            select.select((self.poller.fileno(),), (), (), timeout)
        for descriptor, _ in self.poller.poll(0, _MAX_EVENTS):
            connection = self.connections[descriptor]
            status = connection.read()
            if status is None:
                continue
            self.latencies.append(time.perf_counter() - connection.since)
            self.statuses[status] = self.statuses.get(status, 0) + 1
            if self._keep_every and not connection.number % self._keep_every:
                self.sample.append((connection.number, connection.buffer[connection.end :]))
            connection.buffer = b""
            yield connection

    def wait(self) -> list[_Connection]:
        """Give at least one connection whose answer has come, within reason."""
        end = time.perf_counter() + _MAX_IDLE_SECONDS
        while time.perf_counter() < end:
            found = list(self.take(_MAX_IDLE_SECONDS))
            if found:
                return found
        raise TimeoutError(f"no answer came in {_MAX_IDLE_SECONDS} s")

    def result(self, seconds: float, own_seconds: float) -> LoadResult:
        return LoadResult(
            seconds, own_seconds, tuple(self.latencies), self.statuses, tuple(self.sample)
        )

    def close(self) -> None:
        for connection in self.connections.values():
            connection.socket.close()
        self.poller.close()


@contextmanager
def _loading(
    address: tuple[str, int], clients: int, *, keep_every: int, polls: bool
) -> Iterator[_Load]:
    """Have connections, and no garbage collector."""
    load = _Load(address, clients, keep_every=keep_every, polls=polls)
    gc.collect()
    gc.disable()
    try:
        yield load
    finally:
        gc.enable()
        load.close()


def run_load(
    address: tuple[str, int],
    requests: Sequence[bytes],
    clients: int,
    *,
    keep_every: int = 0,
    polls: bool = False,
) -> LoadResult:
    """Send every request once: each client sends its next one when its last one is answered."""
    clients = min(clients, len(requests))
    with _loading(address, clients, keep_every=keep_every, polls=polls) as load:
        begun, own = time.perf_counter(), time.process_time()
        sent = 0
        for connection in load.connections.values():
            _send(connection, requests, sent)
            sent += 1
        while len(load.latencies) < len(requests):
            for connection in load.wait():
                if sent < len(requests):
                    _send(connection, requests, sent)
                    sent += 1
        return load.result(time.perf_counter() - begun, time.process_time() - own)


def _send(connection: _Connection, requests: Sequence[bytes], number: int) -> None:
    connection.number = number
    connection.since = time.perf_counter()
    connection.send(requests[number])


def run_paced(
    address: tuple[str, int],
    requests: Sequence[bytes],
    rate: float,
    *,
    clients: int,
    keep_every: int = 0,
    polls: bool = False,
) -> LoadResult:
    """Send the requests when they are due, `rate` a second at random, whatever was answered.

    A request's time begins when it is due, also if no connection is free or we are late: nobody is
    spared a wait because others waited.
    """
    chance = random.Random(1)
    due, at = [], 0.0
    for _ in requests:
        at += chance.expovariate(rate)
        due.append(at)
    with _loading(address, clients, keep_every=keep_every, polls=polls) as load:
        free = list(load.connections.values())
        begun, own = time.perf_counter(), time.process_time()
        due = [begun + each for each in due]
        sent, heard = 0, begun
        while len(load.latencies) < len(requests):
            now = time.perf_counter()
            while sent < len(requests) and free and due[sent] <= now:
                connection = free.pop()
                connection.number, connection.since = sent, due[sent]
                connection.send(requests[sent])
                sent += 1
            waits = due[sent] - now if sent < len(requests) and free else _MAX_IDLE_SECONDS
            answered = list(load.take(max(0.0, waits)))
            if answered:
                heard = now
                free += answered
            elif len(free) < clients and now - heard > _MAX_IDLE_SECONDS:
                raise TimeoutError(f"no answer came in {_MAX_IDLE_SECONDS} s")
        return load.result(time.perf_counter() - begun, time.process_time() - own)


def tree_of(pid: int) -> list[int]:
    """Give a process and all its descendants."""
    found = [pid]
    for each in found:
        try:
            for task in Path(f"/proc/{each}/task").iterdir():
                found += map(int, (task / "children").read_text("ascii").split())
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended; its parent has its time
    return found


def cpu_seconds(pid: int) -> float:
    """Give the CPU seconds (user and system) of a process, its children, and those that ended."""
    ticks = 0
    for each in tree_of(pid):
        try:
            stat = Path(f"/proc/{each}/stat").read_text("ascii")
        except (FileNotFoundError, ProcessLookupError):
            continue
        ticks += sum(map(int, stat.rpartition(")")[2].split()[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def pin(pid: int, cores: Sequence[int]) -> None:
    """Let a process, its descendants and all their threads run on these cores only."""
    for each in tree_of(pid):
        for task in Path(f"/proc/{each}/task").iterdir():
            os.sched_setaffinity(int(task.name), cores)


def settle(pid: int, is_done: Callable[[], bool], seconds: float = 60.0) -> float:
    """Wait until `is_done`; give the CPU seconds of the tree by then."""
    end = time.monotonic() + seconds
    while not is_done():
        if time.monotonic() > end:
            raise TimeoutError(f"the server was not done after {seconds} s")
        time.sleep(0.02)
    return cpu_seconds(pid)
