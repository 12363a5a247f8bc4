"""A server that does nothing: what the load generator could drive if answers cost nothing.

It finds the end of each request and writes an answer as long as the log's, on uvloop. It prints its
port, and ends with its standard input.
"""

import asyncio
import sys
from typing import cast

import uvloop

_ANSWER = b"HTTP/1.1 201 Created\r\ncontent-length: 3400\r\ncontent-type: application/json\r\n\r\n"
_WHOLE = _ANSWER + b" " * 3400
_LENGTH = b"Content-Length: "


class _Null(asyncio.Protocol):
    def __init__(self) -> None:
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer a request that is whole."""
        assert self._transport is not None
        buffer = self._buffer = self._buffer + data
        end = buffer.find(b"\r\n\r\n")
        start = buffer.find(_LENGTH) + len(_LENGTH)
        if end >= 0 and len(buffer) >= end + 4 + int(buffer[start : buffer.index(b"\r", start)]):
            self._buffer = b""
            self._transport.write(_WHOLE)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Null, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    uvloop.run(_serve())
