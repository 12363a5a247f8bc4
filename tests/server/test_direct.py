"""What is answered directly is answered as by ASGI, on a real connection."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
import uvicorn

from touchplate.errors import RefusedError
from touchplate.server.app import App
from touchplate.server.direct import DirectProtocol, encode_headers
from touchplate.server.limits import Limits
from touchplate.server.rate import Rate
from touchplate.server.settings import LimitSettings
from touchplate.transport.asgi import Reply, Request, Response, Route, waiting

MAX_BODY = 100_000


SECONDS = 60  # what nothing takes


class Patient(DirectProtocol):
    """With limits in time that no test reaches, however slow the machine is."""

    max_head_bytes = 2000
    max_seconds = 1000


class Quick(DirectProtocol):
    """With limits that a test can wait for."""

    max_head_bytes = 2000
    max_seconds = 0.3


class Steered(asyncio.SelectorEventLoop):
    """A loop whose clock stands still, but for what it is told."""

    now = 0.0

    def time(self) -> float:
        return self.now

    @classmethod
    async def advance(cls, seconds: float) -> None:
        """Let time pass at once, and all happen that is due then."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, cls)
        loop.now += seconds
        for _ in range(20):
            await asyncio.sleep(0)


@dataclass
class Seen:
    """What the handlers and the metrics saw."""

    direct: list[bytes] = field(default_factory=list)
    usual: list[bytes] = field(default_factory=list)
    waiting: list[Reply] = field(default_factory=list)
    counted: list[tuple[str, str, int]] = field(default_factory=list)
    protocols: list[DirectProtocol] = field(default_factory=list)

    def count(self, method: str, pattern: str, status: int, seconds: float) -> None:
        """Note what the metrics are told of an answer."""
        assert 0 <= seconds < 60
        self.counted.append((method, pattern, status))


def app_of(seen: Seen, limits: Limits | None) -> App:
    """Routes that echo, wait, fail and refuse; each in both ways."""

    def route(path: str, call: Callable[[bytes, Reply], None]) -> Route:
        def direct(body: bytes, reply: Reply) -> None:
            seen.direct.append(body)
            call(body, reply)

        def usual(body: bytes, reply: Reply) -> None:
            seen.usual.append(body)
            call(body, reply)

        return Route("POST", path, waiting(usual), MAX_BODY, direct=direct)

    def fail(_: bytes, __: Reply) -> None:
        raise ZeroDivisionError

    def refuse(_: bytes, reply: Reply) -> None:
        reply(RefusedError("ENTRY_REFUSED", "not this one"))

    def twice(body: bytes, reply: Reply) -> None:
        reply(Response(200, body))
        reply(Response(500, b"again"))

    async def get(_: Request) -> Response:
        return Response(200, b"got")

    headers = (("X-Log-Index", "7"),)
    return App(
        (
            route("/echo", lambda body, reply: reply(Response(201, body, headers=headers))),
            route("/wait", lambda _, reply: seen.waiting.append(reply)),
            route("/fail", fail),
            route("/refuse", refuse),
            route("/twice", twice),
            Route("GET", "/get", get),
        ),
        None,
        seen.count,
        limits,
    )


Opened = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def connection(
    seen: Seen, limits: Limits | None, protocol: type[DirectProtocol], keep_alive: int
) -> AsyncIterator[Opened]:
    """Connect to a server."""
    config = uvicorn.Config(
        app_of(seen, limits),
        http=protocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        timeout_keep_alive=keep_alive,
    )
    config.load()
    state = uvicorn.server.ServerState()
    state.default_headers = [(b"date", b"now")]

    def make() -> DirectProtocol:
        seen.protocols.append(protocol(config, state, {}))
        return seen.protocols[-1]

    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    try:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            while state.connections:  # noqa: ASYNC110  uvicorn tells nobody
                await asyncio.sleep(0)
    finally:
        server.close()
        await server.wait_closed()


def post(path: str, body: bytes = b"hello", *more: str, length: str | None = None) -> bytes:
    """Write a request."""
    stated = f"Content-Length: {len(body) if length is None else length}"
    lines = (f"POST {path} HTTP/1.1", "Host: a", stated, *more, "", "")
    return "\r\n".join(lines).encode() + body


async def read(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """Read one answer."""
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SECONDS)).decode()
    first, *lines = head.strip().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return int(first.split()[1]), headers, body


def run(
    talk: Callable[[Seen, Opened], object],
    limits: Limits | None = None,
    *,
    protocol: type[DirectProtocol] = Patient,
    keep_alive: int = 1000,
    steered: bool = False,
) -> Seen:
    """Hold a conversation on one connection."""
    seen = Seen()

    async def go() -> None:
        async with connection(seen, limits, protocol, keep_alive) as opened:
            await talk(seen, opened)  # type: ignore[misc]  # a coroutine

    with asyncio.Runner(loop_factory=Steered if steered else None) as runner:
        runner.run(go())
    return seen


def test_answer() -> None:
    """Status, headers and body are those of the response, the date among them; it is counted."""

    async def talk(_: Seen, opened: Opened) -> None:
        for body in (b"hello", b"", b"x" * 60_000):
            opened[1].write(post("/echo", body))
            assert await read(opened[0]) == (
                201,
                {
                    "date": "now",
                    "content-length": str(len(body)),
                    "content-type": "application/json",
                    "x-log-index": "7",
                },
                body,
            )

    seen = run(talk)
    assert seen.direct == [b"hello", b"", b"x" * 60_000]
    assert seen.counted == [("POST", "/echo", 201)] * 3


@pytest.mark.parametrize(
    "request_",
    [
        post("/echo", b"hello", "Origin: https://a.example"),
        post("/echo?x=1"),
        post("/%65cho"),
        post("/echo", b"hello", "Connection: close"),
        post("/echo").replace(b"HTTP/1.1", b"HTTP/1.0"),
        b"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ],
)
def test_usual_way(request_: bytes) -> None:
    """What is not plain goes the usual way, with the same answer."""

    async def talk(_: Seen, opened: Opened) -> None:
        opened[1].write(request_)
        status, headers, body = await read(opened[0])
        assert (status, headers["x-log-index"], body) == (201, "7", b"hello")

    seen = run(talk)
    assert (seen.direct, seen.usual) == ([], [b"hello"])


def test_expect() -> None:
    """A client that asks first is told to go on."""

    async def talk(_: Seen, opened: Opened) -> None:
        opened[1].write(post("/echo", b"", "Expect: 100-continue", length="5"))
        await opened[1].drain()
        line = await asyncio.wait_for(opened[0].readuntil(b"\r\n\r\n"), SECONDS)
        assert line.startswith(b"HTTP/1.1 100 ")
        opened[1].write(b"hello")
        assert (await read(opened[0]))[2] == b"hello"

    assert run(talk).usual == [b"hello"]


def test_too_large() -> None:
    """A length above the route's limit is refused before the body is read."""

    async def talk(_: Seen, opened: Opened) -> None:
        opened[1].write(post("/echo", b"", length=str(MAX_BODY + 1)))
        assert (await read(opened[0]))[0] == 413

    seen = run(talk)
    assert seen.direct == seen.usual == []


def test_large() -> None:
    """A large body goes by ASGI, which counts what all of them hold in memory."""

    async def talk(_: Seen, opened: Opened) -> None:
        for size in (65_536, 65_537):
            opened[1].write(post("/echo", b"x" * size))
            assert (await read(opened[0]))[2] == b"x" * size

    seen = run(talk)
    assert list(map(len, seen.direct)) == [65_536]
    assert list(map(len, seen.usual)) == [65_537]


@pytest.mark.parametrize("path", ["/fail", "/refuse"])
def test_errors(path: str) -> None:
    """What a handler raises or replies is told as by ASGI, and the connection goes on."""

    async def talk(_: Seen, opened: Opened) -> None:
        answers = []
        for more in ("X: 1", "Origin: x"):
            opened[1].write(post(path, b"hello", more))
            status, headers, body = await read(opened[0])
            answers.append((status, headers["content-type"], body))
        assert answers[0] == answers[1]
        assert answers[0][0] == (500 if path == "/fail" else 403)

    seen = run(talk)
    assert (len(seen.direct), len(seen.usual)) == (1, 1)
    assert seen.counted[0] == seen.counted[1]


def test_one_answer() -> None:
    """Of two replies the first counts."""

    async def talk(_: Seen, opened: Opened) -> None:
        for _again in range(2):
            opened[1].write(post("/twice"))
            assert (await read(opened[0]))[0] == 200

    assert len(run(talk).counted) == 2


def test_pipelined() -> None:
    """Answers come in the order of the requests, however each of them was answered."""

    async def talk(seen: Seen, opened: Opened) -> None:
        get = b"GET /get HTTP/1.1\r\nHost: a\r\n\r\n"
        opened[1].write(post("/wait", b"1") + get + post("/echo", b"2") + get + post("/echo", b"3"))
        while not seen.waiting:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        seen.waiting.pop()(Response(200, b"1"))
        bodies = [(await read(opened[0]))[2] for _ in range(5)]
        assert bodies == [b"1", b"got", b"2", b"got", b"3"]

    run(talk)


@pytest.mark.slow
def test_slow_body() -> None:
    """A body that does not come in time ends the connection."""

    async def talk(_: Seen, opened: Opened) -> None:
        opened[1].write(post("/echo", b"hel", length="5"))
        assert await asyncio.wait_for(opened[0].read(), SECONDS) == b""

    assert run(talk, protocol=Quick).direct == []


def test_body_in_parts() -> None:
    """A body that comes in parts is one."""

    async def talk(_: Seen, opened: Opened) -> None:
        for part in (post("/echo", b"hel", length="5"), b"l", b"o"):
            opened[1].write(part)
            await opened[1].drain()
            await asyncio.sleep(0.02)
        assert (await read(opened[0]))[2] == b"hello"

    assert run(talk).direct == [b"hello"]


def test_answer_that_cannot_be_written(caplog: pytest.LogCaptureFixture) -> None:
    """A bug in an answer ends its connection, and is not raised to whoever replies to others."""
    replied: list[str] = []

    async def talk(seen: Seen, opened: Opened) -> None:
        reader, writer = opened
        writer.write(post("/wait"))
        while not seen.waiting:  # noqa: ASYNC110
            await asyncio.sleep(0)
        seen.waiting.pop()(Response(200, b"", "text/\u2014"))
        replied.append("went on")
        assert await asyncio.wait_for(reader.read(), SECONDS) == b""

    run(talk)
    assert replied == ["went on"]
    assert "an answer of /wait could not be written" in caplog.text


def test_gone_away() -> None:
    """Who hangs up before the answer disturbs nobody."""

    async def talk(seen: Seen, opened: Opened) -> None:
        opened[1].write(post("/wait"))
        while not seen.waiting:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        opened[1].close()
        await asyncio.sleep(0.1)
        seen.waiting.pop()(Response(201, b"late"))

    assert run(talk).counted == [("POST", "/wait", 201)]


def test_idle() -> None:
    """A connection that rests is closed after the time to keep it, counted from its last answer."""

    async def talk(_: Seen, opened: Opened) -> None:
        for _again in range(2):
            opened[1].write(post("/echo"))
            await read(opened[0])
            await Steered.advance(0.9)
            assert not opened[0].at_eof()
        await Steered.advance(0.2)
        assert await opened[0].read() == b""

    run(talk, keep_alive=1, steered=True)


def test_busy_is_not_idle() -> None:
    """A request that takes longer than the time to keep a connection is answered."""

    async def talk(seen: Seen, opened: Opened) -> None:
        opened[1].write(post("/echo"))
        await read(opened[0])
        opened[1].write(post("/wait"))
        while not seen.waiting:  # noqa: ASYNC110
            await asyncio.sleep(0)
        await Steered.advance(1.3)
        seen.waiting.pop()(Response(200, b"late"))
        assert (await read(opened[0]))[2] == b"late"
        opened[1].write(post("/echo"))
        assert (await read(opened[0]))[0] == 201

    run(talk, protocol=Quick, keep_alive=1, steered=True)


def test_end() -> None:
    """When the server ends, a request under way is answered, and the connection closed after it."""

    async def talk(seen: Seen, opened: Opened) -> None:
        opened[1].write(post("/wait"))
        while not seen.waiting:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        seen.protocols[0].shutdown()
        seen.waiting.pop()(Response(200, b"last"))
        _, headers, body = await read(opened[0])
        assert (headers["connection"], body) == ("close", b"last")
        assert await asyncio.wait_for(opened[0].read(), SECONDS) == b""

    run(talk)


def test_limited() -> None:
    """The limits of a client hold, and what is left of them is told."""
    limits = Limits.of(LimitSettings(address=Rate(1, 3600, 2)), lambda: 10**18)

    async def talk(_: Seen, opened: Opened) -> None:
        found = []
        for _again in range(3):
            opened[1].write(post("/echo"))
            status, headers, _body = await read(opened[0])
            found.append((status, headers["ratelimit"].split(";")[1]))
        assert found == [(201, "r=1"), (201, "r=0"), (429, "r=0")]

    seen = run(talk, limits)
    assert len(seen.direct) == 2


def test_no_header_ends_its_line() -> None:
    """A value with a line end in it would be a header of somebody else's."""
    assert encode_headers((("X-A", "1"),)) == b"x-a: 1\r\n"
    for bad in (("x", "1\r\ny: 2"), ("x\n", "1"), ("x", "\x00")):
        with pytest.raises(AssertionError):
            encode_headers((bad,))
