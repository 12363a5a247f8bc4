"""Ask a time server how far our clock is from its own: SNTP over UDP (RFC 4330, RFC 5905).

One question and one answer, nothing is set. The question says nothing about us: what stands where
our time would is random, and an answer that does not repeat it is not one (RFC 5905 §8).
"""

import secrets
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from touchplate.errors import MalformedError, UnavailableError

PORT: Final = 123
PACKET_BYTES: Final = 48
MAX_PACKET: Final = 2048  # extension fields and a signature, which we do not look at
MAX_STRATUM: Final = 15
CODE: Final = "TIME_MALFORMED"

_EPOCH: Final = datetime(1900, 1, 1, tzinfo=UTC)
_ERA: Final = timedelta(seconds=1 << 32)
_QUESTION: Final = bytes((0x23,)) + bytes(39)  # version 4, client
_SERVER: Final = 4
_UNSYNCHRONIZED: Final = 3


class Measurement(NamedTuple):
    """How far our clock is from a server's."""

    # The server's time less ours.
    offset: timedelta
    # The way there and back; the offset is off by at most half of it.
    delay: timedelta


def ask(source: str, timeout: timedelta, now: Callable[[], datetime]) -> Measurement:
    """Ask `HOST`, `HOST:PORT` or `[IPv6]:PORT` once; `now` is our clock.

    Raises UnavailableError SERVICE_UNAVAILABLE (no answer in time, or one that says that it has no
    time to give), MalformedError TIME_MALFORMED.
    """
    host, port = parse_source(source)
    cookie = secrets.token_bytes(8)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[
            0
        ]
        with socket.socket(family, kind, protocol) as channel:
            channel.settimeout(timeout.total_seconds())
            # Connected: only this address is heard.
            channel.connect(address)
            sent_at = now()
            channel.send(_QUESTION + cookie)
            packet = channel.recv(MAX_PACKET)
            heard_at = now()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UnavailableError("SERVICE_UNAVAILABLE", f"time source {source}: {reason}") from error
    return read_answer(packet, cookie, sent_at, heard_at, source)


def read_answer(
    packet: bytes, cookie: bytes, sent_at: datetime, heard_at: datetime, source: str
) -> Measurement:
    """Read an answer to the question with this cookie (RFC 4330 §5).

    Raises as `ask` does.
    """
    if len(packet) < PACKET_BYTES:
        raise MalformedError(CODE, f"time source {source}: an answer of {len(packet)} bytes")
    leap, mode, stratum = packet[0] >> 6, packet[0] & 7, packet[1]
    if mode != _SERVER or packet[24:32] != cookie:
        raise MalformedError(CODE, f"time source {source}: no answer to what we asked")
    if leap == _UNSYNCHRONIZED or not 1 <= stratum <= MAX_STRATUM or not any(packet[40:48]):
        # Stratum 0 is a "kiss of death": the server asks to be left alone.
        raise UnavailableError("SERVICE_UNAVAILABLE", f"time source {source} has no time to give")
    received, replied = (_time(packet[at : at + 8], sent_at) for at in (32, 40))
    delay = (heard_at - sent_at) - (replied - received)
    if delay < timedelta(0) or replied < received:
        raise MalformedError(CODE, f"time source {source}: the answer took less than no time")
    return Measurement(((received - sent_at) + (replied - heard_at)) / 2, delay)


def parse_source(source: str) -> tuple[str, int]:
    """Read `HOST`, `HOST:PORT`, `[IPv6]` or `[IPv6]:PORT` (ValueError)."""
    host, port = source, ""
    if source.startswith("["):
        host, _, rest = source[1:].partition("]")
        port = rest.removeprefix(":")
        if rest and not rest.startswith(":"):
            raise ValueError(f"time source {source[:100]!r}")
    elif source.count(":") == 1:
        host, _, port = source.partition(":")
    if not host or not host.isascii() or any(each <= " " or each in "/@" for each in host):
        raise ValueError(f"time source {source[:100]!r}")
    if not port and source.endswith(":"):
        raise ValueError(f"time source {source[:100]!r}")
    if port and not (port.isascii() and port.isdigit() and 1 <= int(port[:9]) <= 65535):
        raise ValueError(f"time source {source[:100]!r}")
    return host, int(port) if port else PORT


def _time(stamp: bytes, near: datetime) -> datetime:
    """Read a 64-bit timestamp of the era that is nearest to our own time (RFC 5905 §6)."""
    seconds, fraction = int.from_bytes(stamp[:4], "big"), int.from_bytes(stamp[4:], "big")
    time = _EPOCH + timedelta(seconds=seconds, microseconds=fraction * 1_000_000 >> 32)
    eras = round((near - time) / _ERA)
    return time + eras * _ERA
