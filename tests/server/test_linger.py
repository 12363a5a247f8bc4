"""An answer that comes before the body is whole reaches the client, and what follows is bounded."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import uvicorn
import uvloop

from touchplate.server.app import App
from touchplate.server.direct import DirectProtocol
from touchplate.transport.asgi import Request, Response, Route

MAX_BODY = 1000
SECONDS = 60
# More than the buffers of both ends hold.
LARGE = 12 << 20

# In the order of the loops: of the standard library, and the one that serves.
LOOPS = (asyncio.run, uvloop.run)


class Patient(DirectProtocol):
    """With bounds that no test reaches."""

    max_linger_seconds: ClassVar[float] = 1000
    max_linger_gap_seconds: ClassVar[float] = 1000


@dataclass
class Talk:
    """A connection, seen from its client; `state` is the server's."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    state: uvicorn.server.ServerState

    async def send(self, *parts: bytes) -> None:
        """Write all of it before anything is read."""
        for part in parts:
            self.writer.write(part)
            await asyncio.wait_for(self.writer.drain(), SECONDS)

    async def status(self) -> int:
        """Read one answer."""
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), SECONDS)
        lines = head.decode().lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:] if line)
        await self.reader.readexactly(int(headers.get("content-length", "0")))
        return int(lines[0].split()[1])

    async def sees_end(self) -> None:
        """Read that the server writes no more."""
        assert await asyncio.wait_for(self.reader.read(), SECONDS) == b""

    async def is_left(self) -> None:
        """Wait until the server has let go of the connection, which this end keeps open."""
        async with asyncio.timeout(SECONDS):
            while self.state.connections:  # noqa: ASYNC110  uvicorn tells nobody
                await asyncio.sleep(0.005)

    async def write_until_refused(self, part: bytes, pause: float = 0) -> None:
        """Write on until it fails; nothing is read."""
        async with asyncio.timeout(SECONDS):
            with contextlib.suppress(ConnectionError):
                while True:
                    self.writer.write(part)
                    await self.writer.drain()
                    await asyncio.sleep(pause)


@contextlib.asynccontextmanager
async def connection(protocol: type[DirectProtocol], **options: Any) -> AsyncIterator[Talk]:
    """Connect to a server that speaks with this protocol."""

    async def answer(_: Request) -> Response:
        return Response(200, b"ok")

    config = uvicorn.Config(
        App((Route("POST", "/x", answer, MAX_BODY), Route("GET", "/x", answer))),
        http=protocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        timeout_keep_alive=1000,
        **options,
    )
    config.load()
    state = uvicorn.server.ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: protocol(config, state, {}), "127.0.0.1", 0)
    try:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        talk = Talk(reader, writer, state)
        try:
            yield talk
        finally:
            writer.transport.abort()
            await talk.is_left()
    finally:
        server.close()
        await server.wait_closed()


Scene = Callable[[Talk], Coroutine[None, None, None]]


def play(
    run: Callable[..., None],
    scene: Scene,
    protocol: type[DirectProtocol] = Patient,
    **options: Any,
) -> None:
    """Hold a conversation on one connection, in this loop."""

    async def go() -> None:
        async with connection(protocol, **options) as talk:
            await scene(talk)

    run(go())


def post(path: str, *lines: str) -> bytes:
    """Give the head of a request."""
    return "\r\n".join((f"POST {path} HTTP/1.1", "host: a", *lines, "", "")).encode()


LENGTH = f"content-length: {LARGE}"
CHUNKED = "transfer-encoding: chunked"
ONE_CHUNK = b"%x\r\n%b\r\n0\r\n\r\n" % (LARGE, bytes(LARGE))
NEXT = b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n"


@pytest.mark.slow
@pytest.mark.parametrize("run", LOOPS)
@pytest.mark.parametrize(
    ("status", "sent"),
    [
        (413, (post("/x", LENGTH), bytes(LARGE))),
        (413, (post("/x", CHUNKED), ONE_CHUNK)),
        (413, (post("/x", CHUNKED, "expect: 100-continue"), ONE_CHUNK)),
        (413, (post("/x", LENGTH, "expect: 100-continue"), bytes(LARGE))),
        (404, (post("/y", LENGTH, "connection: close"), bytes(LARGE))),
        (405, (post("/x", LENGTH, "connection: close").replace(b"POST", b"PUT"), bytes(LARGE))),
        (404, (post("/y", LENGTH).replace(b"1.1", b"1.0"), bytes(LARGE))),
        (400, (b"GET /x HTTP/1.1\r\na: ", b"b" * LARGE, b"\r\n\r\n")),
        (400, (b"\0", bytes(LARGE))),
    ],
)
def test_answer_arrives(run: Callable[..., None], status: int, sent: tuple[bytes, ...]) -> None:
    """Who writes the whole request first reads the answer then; what comes after it is none."""

    async def scene(talk: Talk) -> None:
        await talk.send(*sent, NEXT)
        found = await talk.status()
        while found == 100:
            found = await talk.status()
        assert found == status
        await talk.sees_end()
        talk.writer.close()
        await talk.is_left()

    play(run, scene)


@pytest.mark.parametrize("run", LOOPS)
@pytest.mark.parametrize("lines", [(LENGTH,), (LENGTH, "expect: 100-continue")])
def test_head_alone(run: Callable[..., None], lines: tuple[str, ...]) -> None:
    """Who has sent the head only, and waits, reads the answer and its end at once."""

    async def scene(talk: Talk) -> None:
        await talk.send(post("/x", *lines))
        assert await talk.status() == 413
        await talk.sees_end()
        talk.writer.close()
        await talk.is_left()

    play(run, scene)


@pytest.mark.parametrize("run", LOOPS)
@pytest.mark.parametrize("sent", [NEXT[:-2] + b"connection: close\r\n\r\n", b""])
def test_nothing_to_wait_for(run: Callable[..., None], sent: bytes) -> None:
    """Where no more of a request can come, the connection ends at once, whoever keeps it open."""

    async def scene(talk: Talk) -> None:
        await talk.send(sent)
        if sent:
            await talk.status()
        else:
            (protocol,) = talk.state.connections
            protocol.shutdown()
        await talk.is_left()

    play(run, scene)


@pytest.mark.parametrize("run", LOOPS)
def test_too_much(run: Callable[..., None]) -> None:
    """Who writes on for ever is cut when it has written what is thrown away at most."""

    class Strict(Patient):
        max_unwanted_bytes = 1 << 20

    async def scene(talk: Talk) -> None:
        await talk.send(post("/x", "content-length: 999999999999"))
        await talk.write_until_refused(bytes(100_000))
        await talk.is_left()

    play(run, scene, Strict)


@pytest.mark.slow
@pytest.mark.parametrize("run", LOOPS)
def test_too_slow(run: Callable[..., None]) -> None:
    """Who writes a byte at a time is cut when its time is over."""

    class Strict(Patient):
        max_linger_seconds = 0.3

    async def scene(talk: Talk) -> None:
        await talk.send(post("/x", "content-length: 999999999999"))
        await talk.write_until_refused(b"a", 0.01)
        await talk.is_left()

    play(run, scene, Strict)


@pytest.mark.slow
@pytest.mark.parametrize("run", LOOPS)
def test_silent(run: Callable[..., None]) -> None:
    """Who neither writes nor ends is left alone after a while."""

    class Strict(Patient):
        max_linger_gap_seconds = 0.2

    async def scene(talk: Talk) -> None:
        await talk.send(post("/x", LENGTH), b"a" * 10)
        assert await talk.status() == 413
        await talk.is_left()

    play(run, scene, Strict)


@pytest.mark.parametrize("run", LOOPS)
def test_full(run: Callable[..., None]) -> None:
    """Where there are too many connections already, none lingers."""

    async def scene(talk: Talk) -> None:
        await talk.send(post("/x", LENGTH))
        assert await talk.status() == 503
        await talk.is_left()

    play(run, scene, limit_concurrency=1)


@pytest.mark.parametrize("run", LOOPS)
def test_shutdown(run: Callable[..., None]) -> None:
    """A server that ends waits for nobody who has an answer."""

    async def scene(talk: Talk) -> None:
        await talk.send(post("/x", LENGTH))
        assert await talk.status() == 413
        (protocol,) = talk.state.connections
        protocol.shutdown()
        await talk.is_left()

    play(run, scene)


@pytest.mark.parametrize("run", LOOPS)
@pytest.mark.parametrize("sent", [(LENGTH, bytes(LARGE)), (CHUNKED, ONE_CHUNK)])
def test_connection_goes_on(run: Callable[..., None], sent: tuple[str, bytes]) -> None:
    """A body that nobody asked for is passed over, where the connection stays: one answer each."""
    line, body = sent

    async def scene(talk: Talk) -> None:
        for _ in range(2):
            await talk.send(post("/y", line), body, NEXT)
            assert [await talk.status(), await talk.status()] == [404, 200]

    play(run, scene)


@pytest.mark.parametrize("run", LOOPS)
def test_connection_goes_on_no_longer(run: Callable[..., None]) -> None:
    """It is passed over up to the bound; after that the connection ends."""

    class Strict(Patient):
        max_unwanted_bytes = 1 << 20

    async def scene(talk: Talk) -> None:
        await talk.send(post("/y", LENGTH))
        assert await talk.status() == 404
        await talk.write_until_refused(bytes(100_000))
        await talk.is_left()

    play(run, scene, Strict)
