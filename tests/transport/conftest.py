"""A small real HTTP server on loopback, which answers what a test tells it to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Loopback:
    """Where the server listens, what it answers by path, and what it was asked."""

    url: str
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    @staticmethod
    def reply(status: int, body: bytes = b"", **headers: str) -> Answer:
        """Answer with a status, a body and headers (underscores stand for hyphens)."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            for name, value in headers.items():
                handler.send_header(name.replace("_", "-"), value)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)

        return answer


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    """Serve until the test ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            served.asked.append(f"{self.command} {self.path}")
            served.answers[self.path.partition("?")[0]](self)

        do_GET = do_POST = _answer  # noqa: N815  names that http.server asks for

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    served = Loopback(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield served
    server.shutdown()
    server.server_close()
    thread.join()
