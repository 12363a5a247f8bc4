"""What passes between a role's `routes.py` and the server: routes, requests, responses.

A role says which paths it answers; `touchplate.server.app` finds the route, reads the body within
the route's limit, calls the handler and sends what it returns. Handlers translate their own errors:
each API family has its own form. ASGI 3 itself is spoken in `read_body` and `send_response`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar
from urllib.parse import parse_qsl

from touchplate.errors import MalformedError

DEFAULT_MAX_BODY: Final = 4 * 1024 * 1024
MAX_QUERY_FIELDS: Final = 1000

P = ParamSpec("P")
T = TypeVar("T")

# ASGI 3: a scope and its messages are dicts.
Message = MutableMapping[str, Any]
Scope = Message
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_NONE: Final[Mapping[str, str]] = MappingProxyType({})


class Request(NamedTuple):
    """One HTTP request, read whole; nothing in it has been checked but its size."""

    method: str
    # Decoded path, as the client wrote it; `params` are the parts that the pattern names.
    path: str
    params: Mapping[str, str] = _NONE
    # The part after "?", undecoded; `query` decodes it.
    query_string: bytes = b""
    # Names in lower case; of a repeated header the last one stands.
    headers: Mapping[str, str] = _NONE
    body: bytes = b""
    # Address of the client: the peer's, or what a trusted proxy says. For logs and limits only.
    client: str | None = None
    executor: Executor | None = None

    @property
    def query(self) -> dict[str, tuple[str, ...]]:
        """Give each query field with all its values; at most 1000 fields (REQUEST_MALFORMED)."""
        if not self.query_string:
            return {}
        try:
            pairs = parse_qsl(
                self.query_string.decode("ascii"),
                keep_blank_values=True,
                max_num_fields=MAX_QUERY_FIELDS,
            )
        except ValueError as error:
            raise MalformedError("REQUEST_MALFORMED", f"query string: {error}") from error
        found: dict[str, tuple[str, ...]] = {}
        for name, value in pairs:
            found[name] = (*found.get(name, ()), value)
        return found

    @property
    def media_type(self) -> str:
        """Give the content type in lower case and without its parameters; "" if none was sent."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `function` in the thread pool: signatures and disk must not hold the loop."""
        call = partial(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self.executor, call)


class Response(NamedTuple):
    """One HTTP response, whole. `headers` are those beside the content's type and length."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


Handler = Callable[[Request], Awaitable[Response]]

# Takes the answer, or what went wrong, once and in the event loop's thread.
Reply = Callable[[Response | Exception], None]
# A handler of a hot route: it takes the body, and replies now or later.
DirectHandler = Callable[[bytes, Reply], None]
# Says of a request's headers (as they were sent) whether the direct handler may take it.
HeadersCheck = Callable[[Sequence[tuple[bytes, bytes]]], bool]


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path that a handler answers.

    In `pattern` a segment `{name}` stands for one non-empty segment, and a last one `{name...}` for
    the rest of the path, slashes and all. HEAD is answered by the GET route without its body. A
    body longer than `max_body` bytes is refused with 413 before the handler runs. With
    `is_limited`, and it is, a request counts under the limits of its client.

    `direct` does what `handler` does for a path without parameters that needs nothing but the body:
    the server may call it instead, and saves the task and the messages of a call by ASGI. With
    `direct_if` it does so for requests with such headers only. `direct_for` gives the direct
    handler for a request's headers, where it needs more than the body.
    """

    method: str
    pattern: str
    handler: Handler
    max_body: int = DEFAULT_MAX_BODY
    is_limited: bool = True
    direct: DirectHandler | None = None
    direct_if: HeadersCheck | None = None
    direct_for: Callable[[Sequence[tuple[bytes, bytes]]], DirectHandler] | None = None


def waiting(direct: DirectHandler) -> Handler:
    """Give the handler that answers what `direct` replies."""

    async def answer(request: Request) -> Response:
        future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

        def reply(found: Response | Exception) -> None:
            if future.done():
                return  # the client has gone away
            if isinstance(found, Exception):
                future.set_exception(found)
            else:
                future.set_result(found)

        direct(request.body, reply)
        return await future

    return answer


async def wait(future: Future[T]) -> T:
    """Wait in a handler for work that another thread does, such as an append to a log.

    The work goes on if the client hangs up: an entry that is being written is written.
    """
    return await asyncio.shield(asyncio.wrap_future(future))


class BodyTooLargeError(Exception):
    """The body is longer than its route allows; stays between `read_body` and the server."""


class TooOftenError(Exception):
    """A client asks more often than it may; stays between a role and the server, which answers 429.

    `seconds` is when to try again; `headers` say so, and what the limit is.
    """

    def __init__(self, seconds: int, headers: tuple[tuple[str, str], ...]) -> None:
        super().__init__(f"too many requests; again in {seconds} s")
        self.seconds = seconds
        self.headers = headers


class ClientGoneError(Exception):
    """The client hung up before its request was whole; there is nobody to answer."""


async def read_body(receive: Receive, max_bytes: int) -> bytes:
    """Read a request's body, at most `max_bytes` (BodyTooLargeError)."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGoneError
    body: bytes = message.get("body", b"")
    if len(body) > max_bytes:
        raise BodyTooLargeError
    if not message.get("more_body", False):
        return body
    chunks = [body]
    size = len(body)
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > max_bytes:
            raise BodyTooLargeError
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


async def send_response(response: Response, send: Send, *, with_body: bool = True) -> None:
    """Send a response; without its body for HEAD, the length stays."""
    headers = []
    if response.status != 204:  # RFC 9110 §8.6: no length where there can be no content
        headers.append((b"content-length", str(len(response.body)).encode()))
    if response.content_type:
        headers.append((b"content-type", response.content_type.encode("latin-1")))
    headers.extend(
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in response.headers
    )
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body if with_body else b""})
