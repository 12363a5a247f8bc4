"""A request is bounded in time, and its head in size, on a real connection."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import ClassVar

import pytest
import uvicorn

from touchplate.server.app import App
from touchplate.server.http import BoundedProtocol, raise_max_connections
from touchplate.transport.asgi import Request, Response, Route

SECONDS = 60  # longer than any of them may take
GET = b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n"


class Quick(BoundedProtocol):
    """With limits that a test can wait for."""

    max_head_bytes = 1000
    max_seconds: ClassVar[float] = 0.2
    max_linger_seconds = 0.3


class Patient(BoundedProtocol):
    """With limits that no test reaches, however slow the machine is."""

    max_seconds: ClassVar[float] = 1000


async def answer(_: Request) -> Response:
    """Answer at once."""
    return Response(200, b"ok")


async def answer_late(_: Request) -> Response:
    """Answer after longer than a request may take."""
    await asyncio.sleep(0.5)
    return Response(200, b"ok")


@contextlib.asynccontextmanager
async def connection(
    protocol: type[BoundedProtocol] = Quick,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect to a server that speaks with this protocol."""
    app = App(
        (
            Route("GET", "/x", answer),
            Route("POST", "/x", answer),
            Route("GET", "/slow", answer_late),
        )
    )
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        timeout_keep_alive=1,
    )
    config.load()
    state = uvicorn.server.ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: protocol(config, state, {}), "127.0.0.1", 0)
    try:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            while state.connections:  # noqa: ASYNC110  uvicorn tells nobody
                await asyncio.sleep(0.01)
    finally:
        server.close()
        await server.wait_closed()


async def read_answer(reader: asyncio.StreamReader) -> bytes:
    """Read one answer's status line and the rest of it."""
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(2)
    return head.split(b"\r\n")[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "parts", [(GET,), (GET[:5], GET[5:]), (GET, GET), (GET + GET[:9], GET[9:])]
)
def test_requests(parts: tuple[bytes, ...]) -> None:
    """Requests that are whole in time are answered, one after the other on one connection."""

    async def run() -> None:
        async with connection(Patient) as (reader, writer):
            for part in parts:
                writer.write(part)
                await asyncio.sleep(0.05)
            for _ in range(b"".join(parts).count(GET)):
                assert await read_answer(reader) == b"HTTP/1.1 200 OK"

    asyncio.run(run())


def test_one_packet() -> None:
    """Head and body of an answer leave together."""

    async def run() -> None:
        async with connection(Patient) as (reader, writer):
            writer.write(GET)
            assert (await reader.read(65536)).endswith(b"\r\n\r\nok")

    asyncio.run(run())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("start", "after"),
    [
        (b"", b""),
        (b"GET", b""),
        (b"GET /x HTTP/1.1\r\nhost: a\r\n", b""),
        (b"\r\n", b""),
        (GET + b"GET", b" /x"),
        (GET + b"\r\n", b"\r\n"),
        (GET, b"\r\n"),
        (GET, b"G"),
        (GET, b""),
    ],
)
def test_slow_head(start: bytes, after: bytes) -> None:
    """A client that never ends the head of a request, or says nothing, is not waited for."""

    async def run() -> None:
        async with connection() as (reader, writer):
            writer.write(start)
            if start.startswith(GET):
                await read_answer(reader)
                writer.write(after)
            assert await asyncio.wait_for(reader.read(), SECONDS) == b""

    asyncio.run(run())


@pytest.mark.slow
def test_drip() -> None:
    """A head that comes a byte at a time has no more time than another."""

    async def run() -> None:
        async with connection() as (reader, writer):
            began = asyncio.get_running_loop().time()
            with contextlib.suppress(ConnectionError):
                while not reader.at_eof():
                    writer.write(b"a")
                    await writer.drain()
                    await asyncio.sleep(0.02)
            assert asyncio.get_running_loop().time() - began < SECONDS

    asyncio.run(run())


@pytest.mark.parametrize("line", [b"a: b\r\n", b"a" * 300, b""])
def test_large_head(line: bytes) -> None:
    """A head above the limit ends the connection, many small headers as one large one."""

    async def run() -> None:
        async with connection() as (reader, writer):
            head = b"GET /" + b"x" * (0 if line else 1001)
            writer.write(head + (b"x HTTP/1.1\r\n" if line else b""))
            with contextlib.suppress(ConnectionError):
                for _ in range(1001 // len(line) + 1 if line else 0):
                    writer.write(line)
                    await writer.drain()
                answered = await asyncio.wait_for(reader.read(), SECONDS)
                assert answered.startswith(b"HTTP/1.1 400")

    asyncio.run(run())


@pytest.mark.slow
@pytest.mark.parametrize("body", [b"", b"a", b"ab"])
def test_body(body: bytes) -> None:
    """A body has the time of its request and no more; one that is whole in time is answered."""

    async def run() -> None:
        async with connection(Patient if len(body) == 2 else Quick) as (reader, writer):
            writer.write(b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n")
            await asyncio.sleep(0.05)
            writer.write(body)
            if len(body) == 2:
                assert await read_answer(reader) == b"HTTP/1.1 200 OK"
            assert await asyncio.wait_for(reader.read(), SECONDS) == b""

    asyncio.run(run())


@pytest.mark.slow
def test_slow_answer() -> None:
    """An answer may take longer than a request."""

    async def run() -> None:
        async with connection() as (reader, writer):
            writer.write(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n")
            assert await read_answer(reader) == b"HTTP/1.1 200 OK"

    asyncio.run(run())


def test_max_connections() -> None:
    """Some descriptors are always left for files."""
    assert raise_max_connections() == raise_max_connections() > 0
