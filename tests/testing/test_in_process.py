"""HTTP without a network: what an application answers is what the client gets."""

import time
from datetime import timedelta

import pytest

from touchplate.errors import MalformedError, UnavailableError
from touchplate.server.app import App
from touchplate.testing import InProcessTransport
from touchplate.transport.asgi import Request, Response, Route

URL = "https://a.test"


async def echo(request: Request) -> Response:
    """Answer with what was asked."""
    text = f"{request.method} {request.path} {request.query} {request.headers['host']}"
    return Response(200, text.encode() + request.body, headers=(("x-a", "b"),))


async def dawdle(request: Request) -> Response:
    """Answer late."""
    await request.run(time.sleep, 1)
    return Response()


@pytest.fixture
def transport() -> InProcessTransport:
    """A transport to one small application."""
    return InProcessTransport(
        {URL: App((Route("POST", "/x y/{z}", echo), Route("GET", "/late", dawdle)))}
    )


def test_request(transport: InProcessTransport) -> None:
    """Method, decoded path, query, headers and body arrive; status, headers and body come back."""
    response = transport.request("POST", f"{URL}/x%20y/%C3%A9?q=1", body=b"!")
    assert response.body.decode() == "POST /x y/é {'q': ('1',)} a.test!"
    assert response.header("X-A") == "b"
    transport.close()


def test_other_host(transport: InProcessTransport) -> None:
    """A host that is not in the transport cannot be reached."""
    with pytest.raises(UnavailableError):
        transport.request("GET", "https://b.test/")


def test_late(transport: InProcessTransport) -> None:
    """An answer that does not come in time is none."""
    with pytest.raises(UnavailableError):
        transport.request("GET", f"{URL}/late", timeout=timedelta(milliseconds=10))
    transport.close()


def test_too_large(transport: InProcessTransport) -> None:
    """An answer above the limit is refused, as from the network."""
    with pytest.raises(MalformedError) as caught:
        transport.request("POST", f"{URL}/x%20y/z", body=b"x" * 100, max_bytes=99)
    assert caught.value.code == "LIMIT_EXCEEDED"
    transport.close()


def test_used_again(transport: InProcessTransport) -> None:
    """A transport that was closed can be used again."""
    for _ in range(2):
        assert transport.request("GET", f"{URL}/nothing").status == 404
        transport.close()
