"""Real NTP servers on loopback, each with a character of its own."""

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Event, Thread

from touchplate.transport.ntp import PACKET_BYTES

EPOCH = datetime(1900, 1, 1, tzinfo=UTC)
Character = Callable[[bytes, datetime, datetime], bytes | None]


def stamp(time: datetime) -> bytes:
    """Encode a time as NTP does: seconds since 1900 without their era, and a fraction."""
    since = (time - EPOCH) // timedelta(microseconds=1)
    seconds, micros = divmod(since, 1_000_000)
    return struct.pack(">II", seconds & 0xFFFFFFFF, (micros << 32) // 1_000_000)


def reply(
    question: bytes,
    received: datetime,
    replied: datetime,
    *,
    first: int = 0x24,
    stratum: int = 2,
    origin: bytes | None = None,
) -> bytes:
    """Write an answer: version 4, server, synchronized, unless told otherwise."""
    head = bytes((first, stratum)) + bytes(22)
    return head + (question[40:48] if origin is None else origin) + stamp(received) + stamp(replied)


def honest(question: bytes, received: datetime, replied: datetime) -> bytes | None:
    """Answer as it should be."""
    return reply(question, received, replied)


def off_by(offset: timedelta) -> Character:
    """Make a server whose clock is off."""

    def answer(question: bytes, received: datetime, replied: datetime) -> bytes | None:
        return reply(question, received + offset, replied + offset)

    return answer


def silent(_: bytes, __: datetime, ___: datetime) -> bytes | None:
    """Say nothing."""
    return None


class TimeServer:
    """One server; its character, and the time that it has, can be changed."""

    def __init__(self, answer: Character = honest) -> None:
        self.answer = answer
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.asked = 0
        self._channel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._channel.bind(("127.0.0.1", 0))
        self._channel.settimeout(0.05)
        self._ended = Event()
        self._thread = Thread(target=self._run)
        self._thread.start()

    @property
    def source(self) -> str:
        """Its name in settings."""
        return f"127.0.0.1:{self._channel.getsockname()[1]}"

    def close(self) -> None:
        """End it."""
        self._ended.set()
        self._thread.join()
        self._channel.close()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                question, address = self._channel.recvfrom(2048)
            except TimeoutError:
                continue
            self.asked += 1
            assert len(question) == PACKET_BYTES
            found = self.answer(question, self.now(), self.now())
            if found is not None:
                self._channel.sendto(found, address)


@contextmanager
def time_servers(*characters: Character) -> Iterator[tuple[TimeServer, ...]]:
    """Run one server for each character."""
    servers = tuple(map(TimeServer, characters))
    try:
        yield servers
    finally:
        for server in servers:
            server.close()
