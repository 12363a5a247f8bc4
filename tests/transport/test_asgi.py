"""Requests and responses as roles see them."""

import asyncio
from concurrent.futures import Future

import pytest

from touchplate.errors import MalformedError
from touchplate.transport.asgi import Message, Request, Response, send_response, wait


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"", {}),
        (b"a=1", {"a": ("1",)}),
        (b"a=1&b=2&a=3", {"a": ("1", "3"), "b": ("2",)}),
        (b"a&b=", {"a": ("",), "b": ("",)}),
        (b"a=%2B+%C3%A9", {"a": ("+ é",)}),
    ],
)
def test_query(query: bytes, expected: dict[str, tuple[str, ...]]) -> None:
    """Each field has all its values, in order."""
    assert Request("GET", "/", query_string=query).query == expected


@pytest.mark.parametrize("query", [b"\xff", b"&".join([b"a=1"] * 1001)])
def test_bad_query(query: bytes) -> None:
    """A query that is no ASCII, or has more fields than the limit, is malformed."""
    with pytest.raises(MalformedError) as caught:
        _ = Request("GET", "/", query_string=query).query
    assert caught.value.code == "REQUEST_MALFORMED"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("application/json", "application/json"),
        ("Application/JSON; charset=utf-8", "application/json"),
        (" text/plain ;x", "text/plain"),
        ("", ""),
    ],
)
def test_media_type(header: str, expected: str) -> None:
    """The media type is compared without case and parameters."""
    assert Request("GET", "/", headers={"content-type": header}).media_type == expected


def test_wait() -> None:
    """Work that another thread does goes on when the client that asked for it is gone."""

    async def run() -> None:
        future: Future[int] = Future()
        waiting = asyncio.create_task(wait(future))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0)
        assert not future.cancelled()
        again = asyncio.create_task(wait(future))
        await asyncio.sleep(0)
        future.set_result(7)
        assert await again == 7

    asyncio.run(run())


def test_send_response() -> None:
    """A response is sent with its length; for HEAD the length stays and the body does not."""

    async def sent(*, with_body: bool) -> list[Message]:
        messages: list[Message] = []

        async def send(message: Message) -> None:
            messages.append(message)

        response = Response(201, b"body", "text/plain", (("X-A", "b"),))
        await send_response(response, send, with_body=with_body)
        return messages

    headers = [(b"content-length", b"4"), (b"content-type", b"text/plain"), (b"x-a", b"b")]
    for with_body, body in ((True, b"body"), (False, b"")):
        start, end = asyncio.run(sent(with_body=with_body))
        assert start == {"type": "http.response.start", "status": 201, "headers": headers}
        assert end == {"type": "http.response.body", "body": body}
