"""SNTP against real servers on loopback, and against every answer that must not be believed."""

import socket
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transport.time_servers import (
    Character,
    honest,
    off_by,
    reply,
    silent,
    stamp,
    time_servers,
)
from touchplate.errors import MalformedError, UnavailableError
from touchplate.transport import ntp

SOON = timedelta(seconds=2)
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
COOKIE = b"12345678"
QUESTION = bytes(40) + COOKIE


def now() -> datetime:
    """Give the time."""
    return datetime.now(UTC)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0, 5, -5, 86_400 * 400])
def test_offset(seconds: int) -> None:
    """The offset of a server is found to within the way there and back."""
    with time_servers(off_by(timedelta(seconds=seconds))) as (server,):
        found = ntp.ask(server.source, SOON, now)

    assert abs(found.offset - timedelta(seconds=seconds)) <= found.delay / 2 + timedelta(
        milliseconds=1
    )


def test_silent() -> None:
    """Who does not answer is waited for as long as was said."""
    with time_servers(silent) as (server,), pytest.raises(UnavailableError):
        ntp.ask(server.source, timedelta(milliseconds=50), now)


def test_nobody() -> None:
    """A port that nobody listens on is no time source."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.bind(("127.0.0.1", 0))
        source = f"127.0.0.1:{channel.getsockname()[1]}"
    with pytest.raises(UnavailableError):
        ntp.ask(source, timedelta(milliseconds=50), now)


def test_no_such_host() -> None:
    """A name that does not resolve is an error of ours, not of the resolver."""
    with pytest.raises(UnavailableError):
        ntp.ask("no-such-host.invalid", timedelta(milliseconds=50), now)


def bad(**fields: object) -> Character:
    """Make a server whose packets have such a fault."""

    def answer(question: bytes, received: datetime, replied: datetime) -> bytes | None:
        return reply(question, received, replied, **fields)  # type: ignore[arg-type]  # the fields

    return answer


@pytest.mark.slow
@pytest.mark.parametrize(
    ("character", "error"),
    [
        (bad(origin=bytes(8)), MalformedError),  # not our question: sent blindly
        (bad(first=0x23), MalformedError),  # mode client: our own question, reflected
        (bad(first=0x25), MalformedError),  # mode broadcast
        (bad(first=0xE4), UnavailableError),  # leap indicator: not synchronized
        (bad(stratum=0), UnavailableError),  # kiss of death
        (bad(stratum=16), UnavailableError),  # not synchronized
        (lambda question, _, __: question, MalformedError),
        (lambda *_: b"", MalformedError),
        (lambda *given: honest(*given)[:47], MalformedError),  # type: ignore[index]  # it answers
        (lambda *given: honest(*given)[:40] + bytes(8), UnavailableError),  # type: ignore[index]  # it answers
        # Answered before it was received; and so slowly that it came before it was asked.
        (lambda q, r, t: reply(q, r, t - timedelta(seconds=1)), MalformedError),
        (lambda q, r, t: reply(q, r, t + timedelta(seconds=9)), MalformedError),
    ],
)
def test_not_believed(character: Character, error: type[Exception]) -> None:
    """What is no answer to this very question, from a server that has the time, counts not."""
    with time_servers(character) as (server,), pytest.raises(error):
        ntp.ask(server.source, SOON, now)


@pytest.mark.parametrize("year", [1970, 2026, 2035, 2036, 2037, 2100])
def test_eras(year: int) -> None:
    """The seconds start again in 2036; our own time says which round it is."""
    at = datetime(year, 2, 7, 6, 28, 15, tzinfo=UTC)
    ahead = at + timedelta(seconds=3)
    found = ntp.read_answer(reply(QUESTION, ahead, ahead), COOKIE, at, at, "x")

    assert abs(found.offset - timedelta(seconds=3)) < timedelta(microseconds=5)


@given(st.binary(max_size=80), st.integers(0, 100))
def test_any_packet(packet: bytes, seconds: int) -> None:
    """Any bytes are a measurement or one of our errors."""
    heard = AT + timedelta(seconds=seconds)
    for each in (packet, b"\x24\x01" + bytes(22) + COOKIE + packet[:16].ljust(16, b"\1")):
        try:
            found = ntp.read_answer(each, COOKIE, AT, heard, "x")
        except (MalformedError, UnavailableError):
            continue
        assert found.delay >= timedelta(0)


def test_worked_example() -> None:
    """RFC 4330 §5: the mean of the two ways, and the time that the server kept it is not delay."""
    ms = timedelta(milliseconds=1)
    packet = reply(QUESTION, AT + 1010 * ms, AT + 1015 * ms)
    found = ntp.read_answer(packet, COOKIE, AT, AT + 25 * ms, "x")

    assert stamp(AT)[:4] == (int(AT.timestamp()) + 2_208_988_800).to_bytes(4, "big")
    assert abs(found.offset - 1000 * ms) <= timedelta(microseconds=2)
    assert abs(found.delay - 20 * ms) <= timedelta(microseconds=2)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("ntp.example.org", ("ntp.example.org", 123)),
        ("ntp.example.org:1123", ("ntp.example.org", 1123)),
        ("192.0.2.1:1", ("192.0.2.1", 1)),
        ("[2001:db8::1]", ("2001:db8::1", 123)),
        ("[2001:db8::1]:99", ("2001:db8::1", 99)),
        ("2001:db8::1", ("2001:db8::1", 123)),
    ],
)
def test_sources(source: str, expected: tuple[str, int]) -> None:
    """A source is a host, with a port if it is another one."""
    assert ntp.parse_source(source) == expected


@pytest.mark.parametrize(
    "source", ["", ":1", "x:", "x:0", "x:65536", "x:1a", "a b", "u@x", "http://x", "[::1]x", "ä"]
)
def test_no_sources(source: str) -> None:
    """What is no host and port is refused."""
    with pytest.raises(ValueError, match="time source"):
        ntp.parse_source(source)
