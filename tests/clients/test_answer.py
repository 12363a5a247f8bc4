from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchplate.clients.answer import check_status, reason_of
from touchplate.errors import RefusedError, UnavailableError
from touchplate.transport.http import Response

URL = "https://sigstore.example.test/api"


def test_expected() -> None:
    """An expected status passes."""
    check_status(Response(201, (), b""), URL, expected=(200, 201))


@pytest.mark.parametrize("status", [429, 500, 502, 503, 599])
def test_unavailable(status: int) -> None:
    """These may pass: the caller is told when to come again."""
    with pytest.raises(UnavailableError) as caught:
        check_status(Response(status, (("Retry-After", "7"),), b""), URL)
    assert caught.value.retry_after == timedelta(seconds=7)


@pytest.mark.parametrize("status", [204, 301, 400, 401, 404, 405, 409, 418])
def test_refused(status: int) -> None:
    """These do not pass by waiting."""
    with pytest.raises(RefusedError) as caught:
        check_status(Response(status, (), b'{"code":3,"message":"no such thing"}'), URL)
    assert caught.value.code == "SERVICE_REFUSED"
    assert "no such thing" in str(caught.value)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"code":3,"message":"bad\\nproof"}', "bad proof"),
        (b'{"title":"Bad Request","detail":"bad proof"}', "bad proof"),
        (b"plain text\n", "plain text"),
        (b"<html><h1>502</h1></html>", ""),
        (b"\x1b[2J\x00cleared", "[2J cleared"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b'{"message":7}', ""),
        (b"", ""),
        (b"x" * 10_000, "x" * 300),
        (b"[" * 60_000, "[" * 300),
    ],
)
def test_reason(body: bytes, reason: str) -> None:
    """The reason is one short printable line, from whichever form the service uses."""
    assert reason_of(body) == reason


def test_token_is_not_repeated() -> None:
    """A service that repeats the token in its answer does not bring it into our errors."""
    token = "eyJhbGciOiJub25lIn0.e30.c2ln"
    with pytest.raises(RefusedError) as caught:
        check_status(Response(400, (), f"bad token {token}".encode()), URL, secret=token)
    assert token not in str(caught.value)


@given(st.binary(max_size=2000))
def test_any_body(body: bytes) -> None:
    """Whatever a server sends, the reason is printable and short."""
    reason = reason_of(body)
    assert len(reason) <= 300
    assert reason.isprintable()
