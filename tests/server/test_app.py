"""The application: routes, limits, and what the server itself says in each API family's words."""

import asyncio
import json
import logging
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchplate.errors import (
    MalformedError,
    RefusedError,
    SettingsError,
    TouchplateError,
    UnavailableError,
)
from touchplate.server.app import App, Router
from touchplate.server.families import Fault, family_of
from touchplate.testing.in_process import exchange
from touchplate.transport import http
from touchplate.transport.asgi import Handler, Request, Response, Route


async def echo(request: Request) -> Response:
    """Answer what was asked."""
    value = {
        "params": dict(request.params),
        "query": request.query,
        "body": request.body.decode("latin-1"),
    }
    return Response(200, json.dumps(value).encode())


def failing(error: Exception) -> Handler:
    """Make a handler that fails so."""

    async def fail(_: Request) -> Response:
        raise error

    return fail


APP = App(
    (
        Route("GET", "/ct/v1/get-sth", echo),
        Route("POST", "/ct/v1/add-chain", echo, max_body=10),
        Route("GET", "/tile/{level}/{index...}", echo),
        Route("GET", "/tile/entries/{index...}", echo),
        Route("POST", "/api/v2/log/entries", echo, max_body=10),
        Route("POST", "/api/v1/log/entries", echo, max_body=10),
        Route("GET", "/api/v1/log/entries", echo),
        Route("GET", "/api/v1/log/entries/{uuid}", echo),
        Route("GET", "/healthz", echo),
    )
)


def call(
    method: str,
    path: str,
    app: App = APP,
    *,
    query: bytes = b"",
    body: bytes | tuple[bytes, ...] = b"",
    headers: tuple[tuple[str, str], ...] = (),
) -> http.Response | None:
    """Send a request."""
    return asyncio.run(exchange(app, method, path, query=query, headers=headers, body=body))


def answer(
    method: str,
    path: str,
    app: App = APP,
    *,
    query: bytes = b"",
    body: bytes | tuple[bytes, ...] = b"",
    headers: tuple[tuple[str, str], ...] = (),
) -> http.Response:
    """Send a request that must be answered."""
    found = call(method, path, app, query=query, body=body, headers=headers)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/tile/0/x001/067", {"level": "0", "index": "x001/067"}),
        ("/tile/0/000.p/5", {"level": "0", "index": "000.p/5"}),
        ("/tile/entries/000", {"index": "000"}),
        ("/api/v1/log/entries/abc", {"uuid": "abc"}),
        ("/api/v1/log/entries/abc/", {"uuid": "abc"}),
        ("/api/v1/log/entries/", {}),
    ],
)
def test_parameters(path: str, params: dict[str, str]) -> None:
    """A pattern's names get the parts of the path that stand for them."""
    found = answer("GET", path)
    assert (found.status, json.loads(found.body)["params"]) == (200, params)


@pytest.mark.parametrize(
    "path", ["/", "/tile/0", "/tile//000", "/tile/0/", "/healthz/", "/nothing", "//healthz"]
)
def test_unknown_path(path: str) -> None:
    """A path that no pattern fits is not there."""
    assert answer("GET", path).status == 404


def test_two_routes_for_one_path() -> None:
    """Two roles that claim one path are found when the deployment is built."""
    with pytest.raises(AssertionError):
        Router((Route("GET", "/a", echo), Route("GET", "/a", echo)))


def test_head() -> None:
    """HEAD is answered as GET is, without the body."""
    get, head = answer("GET", "/healthz"), answer("HEAD", "/healthz")
    assert head.body == b""
    assert (head.status, head.headers) == (get.status, get.headers)


@pytest.mark.parametrize(
    ("method", "path", "status", "content_type", "body"),
    [
        (
            "GET",
            "/api/v2/nothing",
            404,
            "application/json",
            '{"code":5,"message":"Not Found","details":[]}',
        ),
        (
            "GET",
            "/api/v2/log/entries",
            501,
            "application/json",
            '{"code":12,"message":"Method Not Allowed","details":[]}',
        ),
        (
            "GET",
            "/api/v1/log/nothing",
            404,
            "application/json",
            '{"code":404,"message":"path /api/v1/log/nothing was not found"}\n',
        ),
        (
            "PUT",
            "/api/v1/log/entries",
            405,
            "application/json",
            '{"code":405,"message":"method PUT is not allowed, but [GET,POST] are"}\n',
        ),
        (
            "GET",
            "/ct/v1/add-chain",
            405,
            "text/plain; charset=utf-8",
            "Method Not Allowed\nmethod not allowed: GET\n",
        ),
        (
            "GET",
            "/nothing",
            404,
            "application/problem+json",
            '{"type":"about:blank","title":"Not Found","status":404,"detail":"no such path"}',
        ),
    ],
)
def test_family(method: str, path: str, status: int, content_type: str, body: str) -> None:
    """A path that is not there and a wrong method are told in the form of the API's clients."""
    found = answer(method, path)
    assert (found.status, found.header("content-type"), found.body.decode()) == (
        status,
        content_type,
        body,
    )


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v2/log/entries", 400),
        ("/api/v1/log/entries", 413),
        ("/ct/v1/add-chain", 413),
    ],
)
@pytest.mark.parametrize("body", [b"x" * 11, (b"x" * 6, b"x" * 5), (b"", b"x" * 11)])
def test_body_too_large(path: str, status: int, body: bytes | tuple[bytes, ...]) -> None:
    """One byte above the limit is refused, whether the length was stated or not."""
    found = answer("POST", path, body=body)
    assert (found.status, found.header("connection")) == (status, "close")


def test_body_too_large_in_words() -> None:
    """A log names its limit; for a timestamp authority it is a request that cannot be read."""
    stamp = family_of("/api/v1/timestamp").answer(Fault(413, "", "", "POST", limit=10))
    found = answer("POST", "/ct/v1/add-chain", body=b"x" * 11)

    assert found.body == b"Request Entity Too Large\ncertificate chain exceeds 10-byte limit\n"
    assert (stamp.status, stamp.content_type) == (400, "application/timestamp-reply")
    assert stamp.body == b'{"code":400,"message":"Error generating timestamp response"}'


@pytest.mark.parametrize("body", [b"x" * 10, (b"x" * 6, b"x" * 4), (b"x" * 10, b"")])
def test_body_at_the_limit(body: bytes | tuple[bytes, ...]) -> None:
    """A body of exactly the limit is read whole."""
    found = answer("POST", "/ct/v1/add-chain", body=body)
    assert json.loads(found.body)["body"] == "x" * 10


@pytest.mark.parametrize("length", ["11", "99999999999999999999", "-1", "1e1", "²"])
def test_stated_length(length: str) -> None:
    """A length that is too large or no number is refused before the body is read."""
    found = answer("POST", "/ct/v1/add-chain", headers=(("content-length", length),))
    assert found.status == 413


def test_client_gone() -> None:
    """Nobody is answered when the client hangs up in the middle of its request."""
    headers = (("transfer-encoding", "chunked"),)
    assert call("POST", "/ct/v1/add-chain", APP, body=(), headers=headers) is None


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MalformedError("REQUEST_MALFORMED", "text"), 400),
        (RefusedError("ENTRY_REFUSED", "text"), 403),
        (RefusedError("NOT_FOUND", "text"), 404),
        (MalformedError("LIMIT_EXCEEDED", "text"), 413),
        (UnavailableError("LOG_BUSY", "secret", retry_after=timedelta(seconds=2)), 503),
        (SettingsError("KEY_NOT_FOUND", "secret"), 500),
        (ValueError("secret"), 500),
    ],
)
@pytest.mark.parametrize("prefix", ["/", "/ct/", "/api/v1/log/", "/api/v2/"])
def test_rekor_2801_error(
    error: Exception, status: int, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Each branch of errors has its status; what went wrong inside is logged and not told."""
    path = prefix + "x"
    with caplog.at_level(logging.ERROR):
        found = answer("GET", path, App((Route("GET", path, failing(error)),)))
    # The CA and the second log API say "too large" with 400, as grpc-gateway does.
    expected = 400 if (prefix, status) == ("/api/v2/", 413) else status
    assert found.status == expected
    assert b"secret" not in found.body
    assert b"Traceback" not in found.body
    assert ("secret" in caplog.text) == (status >= 500)
    if isinstance(error, UnavailableError):
        assert found.header("retry-after") == "2"


def test_problem_details_name_the_code() -> None:
    """Our own API's errors carry the stable code."""
    error: TouchplateError = RefusedError("NOT_FOUND", "no entry 7")
    found = answer("GET", "/x", App((Route("GET", "/x", failing(error)),)))
    assert json.loads(found.body) == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "no entry 7",
        "code": "NOT_FOUND",
    }


def test_cors() -> None:
    """Scripts of any origin may read, and only a request with an origin is told so."""
    headers = (("origin", "https://example.org"),)
    found = answer("GET", "/healthz", headers=headers)
    assert (found.header("access-control-allow-origin"), found.header("vary")) == ("*", "Origin")
    assert answer("GET", "/healthz").header("access-control-allow-origin") is None


def test_preflight() -> None:
    """A preflight names the methods and headers that scripts may use."""
    headers = (("origin", "https://example.org"), ("access-control-request-method", "POST"))
    found = answer("OPTIONS", "/api/v2/log/entries", headers=headers)
    assert found.status == 204
    assert found.header("content-length") is None
    assert found.header("access-control-allow-methods") == "GET, POST, HEAD"
    assert found.header("access-control-allow-origin") == "*"


def test_query() -> None:
    """A repeated field keeps all its values, a field without a value is empty."""
    found = answer("GET", "/healthz", query=b"a=1&a=%20&b")
    assert json.loads(found.body)["query"] == {"a": ["1", " "], "b": [""]}


def test_too_many_query_fields() -> None:
    """A query of more fields than the limit is refused before it is split up."""
    found = answer("GET", "/healthz", query=b"&".join([b"a=1"] * 1001))
    assert (found.status, json.loads(found.body)["code"]) == (400, "REQUEST_MALFORMED")


@given(
    method=st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "PUT", "X"]),
    path=st.builds("/".join, st.lists(st.text(max_size=8) | st.sampled_from(["", "api", "tile"]))),
    query=st.binary(max_size=40),
    body=st.binary(max_size=20),
)
def test_any_request(method: str, path: str, query: bytes, body: bytes) -> None:
    """No request makes the server fail."""
    found = call(method, "/" + path, query=query, body=body)
    assert found is not None
    assert found.status < 500 or found.status == 501
