"""The ASGI application: find the route, bound the body, call the role, send the answer.

No role sees a request that is too large, and no client sees a traceback: what a handler
did not expect is logged and answered with a bare 500 in the form of its API family (`families`).
"""

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import timedelta
from time import perf_counter
from typing import Final

from touchplate.errors import TouchplateError, UnavailableError
from touchplate.server.families import Family, Fault, family_of, status_of
from touchplate.server.limits import Headers, Limits
from touchplate.transport.asgi import (
    BodyTooLargeError,
    ClientGoneError,
    Message,
    Receive,
    Request,
    Response,
    Route,
    Scope,
    Send,
    TooOftenError,
    read_body,
    send_response,
)

log = logging.getLogger("touchplate.server")

MAX_PATH_CHARACTERS: Final = 4096
_SOON: Final = timedelta(seconds=1)
# Of the bodies of all requests under way in one process, what clients have sent so far.
MAX_HELD_BYTES: Final = 256 << 20

# Seen by the metrics: method and pattern of the route (never the path itself), the status, and the
# seconds from the request to its answer; those of a body that comes late are among them.
Observer = Callable[[str, str, int, float], None]


@dataclass(slots=True)
class _Node:
    """One segment of the patterns: the next ones by name, by parameter, or the rest of the path."""

    named: dict[str, "_Node"] = field(default_factory=dict)
    any: "_Node | None" = None
    any_name: str = ""
    rest_name: str = ""
    rest: dict[str, Route] = field(default_factory=dict)
    here: dict[str, Route] = field(default_factory=dict)


class Router:
    """Finds the routes of a path. A named segment wins over a parameter, that over a rest."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._exact: dict[str, dict[str, Route]] = {}
        self._root = _Node()
        for route in routes:
            if "{" in route.pattern:
                self._place(route)
            else:
                _add(self._exact.setdefault(route.pattern, {}), route)

    def find(self, path: str) -> tuple[dict[str, Route], dict[str, str]]:
        """Give the routes by method, none if the path is unknown, and the parameters."""
        exact = self._exact.get(path)
        if exact is not None:
            return exact, {}
        params: dict[str, str] = {}
        found = _walk(self._root, path[1:].split("/"), 0, params)
        return (found or {}), params

    def _place(self, route: Route) -> None:
        node = self._root
        segments = route.pattern[1:].split("/")
        for position, segment in enumerate(segments):
            if segment.endswith("...}"):
                assert position == len(segments) - 1, route.pattern  # noqa: S101
                node.rest_name = segment[1:-4]
                _add(node.rest, route)
                return
            if segment.startswith("{"):
                node.any = node.any or _Node()
                assert node.any_name in ("", segment[1:-1]), route.pattern  # noqa: S101
                node.any_name = segment[1:-1]
                node = node.any
            else:
                node = node.named.setdefault(segment, _Node())
        _add(node.here, route)


def _add(methods: dict[str, Route], route: Route) -> None:
    assert route.method not in methods, f"two routes for {route.method} {route.pattern}"  # noqa: S101
    methods[route.method] = route


def _walk(
    node: _Node, segments: list[str], position: int, params: dict[str, str]
) -> dict[str, Route] | None:
    if position == len(segments):
        return node.here or None
    segment = segments[position]
    if (following := node.named.get(segment)) is not None:
        found = _walk(following, segments, position + 1, params)
        if found:
            return found
    if node.any is not None and segment:
        found = _walk(node.any, segments, position + 1, params)
        if found:
            params[node.any_name] = segment
            return found
    if node.rest and segment:
        params[node.rest_name] = "/".join(segments[position:])
        return node.rest
    return None


class App:
    """The whole service as one ASGI 3 application; `executor` runs handlers' blocking work.

    Above `max_active` requests under way, or `MAX_HELD_BYTES` of their bodies, more are refused
    with 503; health is always told.
    """

    def __init__(
        self,
        routes: Iterable[Route],
        executor: Executor | None = None,
        observe: Observer | None = None,
        limits: Limits | None = None,
    ) -> None:
        routes = tuple(routes)
        self._router = Router(routes)
        self.direct = {
            (route.method.encode(), route.pattern.encode()): route
            for route in routes
            if route.direct is not None or route.direct_for is not None
        }
        """Routes that `call_direct` takes, by method and path."""
        self._executor = executor
        self._observe = observe
        self._limits = limits or Limits()
        self._active = 0
        self._held = 0  # bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; other ASGI scopes are not spoken."""
        if scope["type"] != "http":
            return
        begun = perf_counter()
        try:
            pattern, response = await self._answer(scope, receive)
        except ClientGoneError:
            return
        if self._observe is not None:
            self._observe(scope["method"], pattern, response.status, perf_counter() - begun)
        await send_response(response, send, with_body=scope["method"] != "HEAD")

    def call_direct(
        self,
        route: Route,
        client: tuple[str, int] | None,
        headers: list[tuple[bytes, bytes]],
        body: bytes,
        send: Callable[[Response], None],
    ) -> None:
        """Answer a request of a direct route, which is not longer than the route allows.

        The limits, the errors and the counts are those of a call by ASGI. `send` is called once.
        """
        begun = perf_counter()
        self._active += 1
        waits = True
        state: Headers = ()

        def reply(found: Response | Exception) -> None:
            nonlocal waits
            if not waits:
                return
            waits = False
            self._active -= 1
            if isinstance(found, Exception):
                fault = _fault_of(found, route, route.method, route.pattern)
                found = family_of(fault.path).answer(fault)
            elif state:
                found = _with(found, *state)
            if self._observe is not None:
                seconds = perf_counter() - begun
                self._observe(route.method, route.pattern, found.status, seconds)
            send(found)

        try:
            scope: Scope = {"method": route.method, "client": client, "headers": headers}
            _, state = self._admit(route, scope)
            direct = route.direct if route.direct_for is None else route.direct_for(headers)
            assert direct is not None  # noqa: S101  so says `self.direct`
            direct(body, reply)
        except Exception as error:  # noqa: BLE001  as in `_serve`
            reply(error)

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[str, Response]:
        """Give the pattern of the route, empty if there is none, and the answer."""
        method: str = scope["method"]
        path: str = scope["path"]
        headers = _headers(scope)
        methods, params = self._find(path)
        route = methods.get("GET" if method == "HEAD" else method)
        if route is not None:
            response = await self._serve(route, params, scope, headers, receive)
        else:
            response = _without_route(method, path, methods, headers)
        if "origin" in headers and family_of(path).cors:
            response = _with(response, ("access-control-allow-origin", "*"), ("vary", "Origin"))
        return ("" if route is None else route.pattern), response

    def _find(self, path: str) -> tuple[dict[str, Route], dict[str, str]]:
        if len(path) > MAX_PATH_CHARACTERS or not path.startswith("/"):
            return {}, {}
        methods, params = self._router.find(path)
        if not methods and path.endswith("/") and family_of(path).trailing_slash:
            return self._router.find(path.rstrip("/"))
        return methods, params

    async def _serve(
        self,
        route: Route,
        params: dict[str, str],
        scope: Scope,
        headers: dict[str, str],
        receive: Receive,
    ) -> Response:
        self._active += 1
        held = 0

        async def hold() -> Message:
            nonlocal held
            message = await receive()
            size = len(message.get("body", b""))
            held += size
            self._held += size
            if self._held > MAX_HELD_BYTES:
                raise UnavailableError(
                    "SERVICE_UNAVAILABLE", "too many large requests at once", retry_after=_SOON
                )
            return message

        try:
            address, state = self._admit(route, scope)
            body = await _body(headers, hold, route.max_body)
            response = await route.handler(
                Request(
                    method=scope["method"],
                    path=scope["path"],
                    params=params,
                    query_string=scope.get("query_string", b""),
                    headers=headers,
                    body=body,
                    client=address,
                    executor=self._executor,
                )
            )
        except ClientGoneError:
            raise
        except Exception as error:  # noqa: BLE001  a bug must cost one answer, not the server
            fault = _fault_of(error, route, scope["method"], scope["path"])
            return family_of(fault.path).answer(fault)
        else:
            return _with(response, *state) if state else response
        finally:
            self._active -= 1
            self._held -= held

    def _admit(self, route: Route, scope: Scope) -> tuple[str | None, Headers]:
        """Hold a request to the limits; give its client's address, and headers for its answer."""
        client = scope.get("client")
        peer: str | None = client[0] if client else None
        limits = self._limits
        if not route.is_limited:
            return peer, ()
        if self._active > limits.settings.max_active:
            raise UnavailableError(
                "SERVICE_UNAVAILABLE",
                f"{self._active - 1} requests are under way",
                retry_after=_SOON,
            )
        if limits.settings.proxies and peer is not None:
            peer = limits.address_of(peer, _all_of(scope, b"x-forwarded-for"))
        return peer, limits.take_request(scope["method"], peer or "")


def _without_route(
    method: str, path: str, methods: dict[str, Route], headers: dict[str, str]
) -> Response:
    """Answer what no handler answers: OPTIONS, a wrong method, an unknown path."""
    family = family_of(path)
    if methods and method == "OPTIONS":
        return _options(methods, headers, family)
    if methods:
        allowed = tuple(sorted(methods))
        return family.answer(Fault(405, "method not allowed", path, method, allowed=allowed))
    return family.answer(Fault(404, "no such path", path[:MAX_PATH_CHARACTERS], method))


def _fault_of(error: Exception, route: Route, method: str, path: str) -> Fault:
    """Say what the client may know of an error; what is the operator's goes to the log."""
    match error:
        case BodyTooLargeError():
            text = f"Request Entity Too Large. Limit set to {route.max_body}"
            # The rest of the body is not read, so the connection cannot be used again.
            return Fault(
                413, text, path, method, headers=(("connection", "close"),), limit=route.max_body
            )
        case TooOftenError():
            return Fault(429, str(error), path, method, headers=error.headers)
        case TouchplateError():
            return _translated(error, route, path, method)
        case _:
            log.error("%s %s failed", method, route.pattern, exc_info=error)
            return Fault(500, "internal server error", path, method)


def _translated(error: TouchplateError, route: Route, path: str, method: str) -> Fault:
    status = status_of(error)
    message = str(error)
    if status >= 500:
        log.error("%s %s: %s: %s", method, route.pattern, error.code, error)
        message = "the service is not available" if status == 503 else "internal server error"
    extra: tuple[tuple[str, str], ...] = ()
    if isinstance(error, UnavailableError) and error.retry_after is not None:
        extra = (("retry-after", str(max(1, int(error.retry_after.total_seconds())))),)
    return Fault(status, message, path, method, code=error.code, headers=extra)


def _all_of(scope: Scope, name: bytes) -> str:
    """Give the values of all headers of this name, as one list."""
    pairs: list[tuple[bytes, bytes]] = scope["headers"]
    return ",".join(value.decode("latin-1") for each, value in pairs if each.lower() == name)


def _headers(scope: Scope) -> dict[str, str]:
    pairs: list[tuple[bytes, bytes]] = scope["headers"]
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in pairs}


async def _body(headers: dict[str, str], receive: Receive, max_body: int) -> bytes:
    """Read the body within the limits; a stated length above it is refused before reading."""
    stated = headers.get("content-length", "0")
    if stated == "0" and "transfer-encoding" not in headers:
        return b""
    if len(stated) > 18 or not (stated.isascii() and stated.isdigit()) or int(stated) > max_body:
        raise BodyTooLargeError
    return await read_body(receive, max_body)


def _options(methods: dict[str, Route], headers: dict[str, str], family: Family) -> Response:
    """Answer OPTIONS: a CORS preflight where scripts may read, else just what is allowed."""
    allowed = [*sorted(methods), *(["HEAD"] if "GET" in methods else [])]
    response = Response(204, content_type="", headers=(("allow", ", ".join(allowed)),))
    if not family.cors or "access-control-request-method" not in headers:
        return response
    return _with(
        response,
        ("access-control-allow-methods", "GET, POST, HEAD"),
        ("access-control-allow-headers", "accept, content-type, x-requested-with"),
        ("access-control-max-age", "600"),
    )


def _with(response: Response, *headers: tuple[str, str]) -> Response:
    return Response(
        response.status, response.body, response.content_type, (*response.headers, *headers)
    )
