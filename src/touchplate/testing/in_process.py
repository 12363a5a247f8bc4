"""HTTP without a network: requests go straight into an ASGI application.

The application sees the same messages as from a server, so what it answers is what a client of the
real service gets.
"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from threading import Lock, Thread
from typing import Final
from urllib.parse import unquote, urlsplit

from touchplate.errors import MalformedError, UnavailableError
from touchplate.transport.asgi import App, Message
from touchplate.transport.http import DEFAULT_TIMEOUT, MAX_RESPONSE_BYTES, Response

CLIENT: Final = ("127.0.0.1", 1)


async def exchange(
    app: App,
    method: str,
    path: str,
    *,
    query: bytes = b"",
    headers: tuple[tuple[str, str], ...] = (),
    body: bytes | tuple[bytes, ...] = b"",
) -> Response | None:
    """Send one request, its body chunked if it is a tuple; None if the application did not answer.

    After the body the client is gone.
    """
    parts = (body,) if isinstance(body, bytes) else body
    messages: list[Message] = [
        {"type": "http.request", "body": part, "more_body": position + 1 < len(parts)}
        for position, part in enumerate(parts)
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Message = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(errors="surrogateescape"),
        "root_path": "",
        "query_string": query,
        "headers": [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in (*headers, *_framing(method, headers, body))
        ],
        "client": CLIENT,
        "server": ("127.0.0.1", 80),
    }
    await app(scope, receive, send)
    if not sent:
        return None
    pairs = tuple(
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in sent[0]["headers"]
    )
    return Response(sent[0]["status"], pairs, b"".join(each["body"] for each in sent[1:]))


def _framing(
    method: str, headers: tuple[tuple[str, str], ...], body: bytes | tuple[bytes, ...]
) -> tuple[tuple[str, str], ...]:
    """Give the header that says where the body ends, unless the caller did."""
    if any(name.lower() in ("content-length", "transfer-encoding") for name, _ in headers):
        return ()
    if isinstance(body, tuple):
        return (("transfer-encoding", "chunked"),)
    return (("content-length", str(len(body))),) if body or method == "POST" else ()


async def _cancel_all() -> None:
    """End the requests that nobody waits for any more."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class InProcessTransport:
    """A `transport.http.Transport` into the application that answers at `url`.

    Other hosts are not there (SERVICE_UNAVAILABLE). The application runs in a thread of its own;
    `close` ends it.
    """

    def __init__(self, hosts: Mapping[str, App]) -> None:
        self._hosts = dict(hosts)
        self._lock = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None

    def add(self, url: str, app: App) -> None:
        """Have an application answer at one more URL."""
        self._hosts[url] = app

    def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        timeout: timedelta = DEFAULT_TIMEOUT,
        max_bytes: int = MAX_RESPONSE_BYTES,
    ) -> Response:
        """Call the application that has this URL's origin."""
        parts = urlsplit(url)
        app = self._hosts.get(f"{parts.scheme}://{parts.netloc}")
        if app is None:
            raise UnavailableError("SERVICE_UNAVAILABLE", f"{parts.netloc} cannot be reached")
        if not any(name.lower() == "host" for name, _ in headers):
            headers = (*headers, ("host", parts.netloc))
        future = asyncio.run_coroutine_threadsafe(
            exchange(
                app,
                method,
                unquote(parts.path) or "/",
                query=parts.query.encode(),
                headers=(("host", parts.netloc), *headers),
                body=body or b"",
            ),
            self._running_loop(),
        )
        try:
            response = future.result(timeout.total_seconds())
        except TimeoutError as error:
            raise UnavailableError(
                "SERVICE_UNAVAILABLE", f"{parts.netloc} did not answer in time"
            ) from error
        if response is None:
            raise UnavailableError("SERVICE_UNAVAILABLE", f"{parts.netloc} broke off its answer")
        if len(response.body) > max_bytes:
            raise MalformedError(
                "LIMIT_EXCEEDED", f"{parts.netloc} sent more than the limit of {max_bytes} bytes"
            )
        return response

    def close(self) -> None:
        """End the thread; requests after this start it again."""
        with self._lock:
            if self._loop is not None and self._thread is not None:
                asyncio.run_coroutine_threadsafe(_cancel_all(), self._loop).result()
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()
                self._loop.close()
            self._loop = self._thread = None

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = Thread(target=self._loop.run_forever, name="in-process", daemon=True)
                self._thread.start()
            return self._loop
