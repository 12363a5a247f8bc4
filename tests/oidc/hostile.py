"""An issuer on loopback that a test makes behave: its documents, its delays, its redirects."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

from touchplate.keys.signer import PrivateKeySigner, generate
from touchplate.oidc import OwnIssuer

DISCOVERY = "/.well-known/openid-configuration"


@dataclass
class Server:
    """A server whose paths answer what they are told to; `asked` has each request."""

    port: int
    answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    # Set when the test ends: what hangs then stops.
    ended: Event = field(default_factory=Event)

    @property
    def url(self) -> str:
        """Give the server's origin."""
        return f"http://127.0.0.1:{self.port}"

    def json(self, path: str, value: object, status: int = 200) -> None:
        """Answer with JSON."""
        self.octets(path, json.dumps(value).encode(), status)

    def octets(
        self, path: str, body: bytes, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        """Answer with octets."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            for name, value in (headers or {}).items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)

        self.answers[path] = answer

    def count(self, path: str) -> int:
        """Give how often a path was asked for."""
        return self.asked.count(path)


@dataclass
class RemoteIssuer:
    """An issuer below a path of a server, with keys that a test exchanges."""

    server: Server
    path: str = ""
    signer: PrivateKeySigner = field(default_factory=generate)

    @property
    def url(self) -> str:
        """Give the issuer."""
        return self.server.url + self.path

    @property
    def own(self) -> OwnIssuer:
        """Give what signs its tokens."""
        return OwnIssuer(self.url, self.signer)

    def document(self, **changes: Any) -> dict[str, Any]:
        """Give its discovery document with changes."""
        return {**json.loads(self.own.discovery()), **changes}

    def publish(self, jwks: object = None, **changes: Any) -> None:
        """Serve discovery document and key set."""
        self.server.json(self.path.removesuffix("/") + DISCOVERY, self.document(**changes))
        self.server.json(f"{self.path}/jwks", json.loads(self.own.jwks()) if jwks is None else jwks)


@contextmanager
def serving() -> Iterator[Server]:
    """Serve on a free port of loopback."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            server.asked.append(self.path)
            server.headers.append(dict(self.headers.items()))
            answer = server.answers.get(self.path)
            if answer is None:
                self.send_error(404)
                return
            try:
                answer(self)
            except OSError:
                self.close_connection = True  # the client has had enough

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server = Server(http.server_address[1])
    thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        http.shutdown()
        http.server_close()
        thread.join()
