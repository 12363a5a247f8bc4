from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from touchplate.clients.tsa import TsaClient
from touchplate.errors import MalformedError, RefusedError, UnavailableError
from touchplate.testing import World
from touchplate.transport.http import Response

if TYPE_CHECKING:
    from tests.clients.conftest import Meddler


@pytest.fixture
def url(world: World) -> str:
    """Give the whole address of the world's timestamp authority."""
    return world.signing_config.tsa_urls[0].url


def test_stamp(world: World, url: str) -> None:
    """The timestamp is over our signature, at the authority's time, with its certificates."""
    stamp = TsaClient(url, world.transport).stamp(b"signature")

    assert stamp.token.at == world.clock()
    assert stamp.token.certificates


def test_replayed(url: str, meddler: Meddler) -> None:
    """The answer to an earlier request for the same signature is refused by its nonce."""
    client = TsaClient(url, meddler)
    kept: list[Response] = []

    def replay(response: Response) -> Response:
        kept.append(response)
        return kept[0]

    meddler.change = replay
    client.stamp(b"signature")
    with pytest.raises(MalformedError, match="nonce") as caught:
        client.stamp(b"signature")
    assert caught.value.code == "RESPONSE_MALFORMED"


def test_other_imprint(url: str, meddler: Meddler) -> None:
    """A timestamp over something else is refused."""
    other = TsaClient(url, meddler)
    kept: list[Response] = []

    def swap(response: Response) -> Response:
        kept.append(response)
        return kept[0]

    meddler.change = swap
    other.stamp(b"other")

    with pytest.raises(MalformedError, match="something else"):
        other.stamp(b"signature")


def test_rejected(url: str, meddler: Meddler) -> None:
    """A response that grants nothing is told with its status (RFC 3161 §2.4.2: 2 is rejection)."""
    meddler.answer(200, bytes.fromhex("30053003020102"))
    with pytest.raises(MalformedError, match="status 2"):
        TsaClient(url, meddler).stamp(b"signature")


@pytest.mark.parametrize("body", [b"", b"\x30", b"<html>", b"{}", b"\x30\x03\x02\x01\x00"])
def test_malformed(url: str, meddler: Meddler, body: bytes) -> None:
    """What is no timestamp response is the authority's fault."""
    meddler.answer(200, body)
    with pytest.raises(MalformedError) as caught:
        TsaClient(url, meddler).stamp(b"signature")
    assert caught.value.code == "RESPONSE_MALFORMED"


@pytest.mark.parametrize(("status", "error"), [(500, UnavailableError), (400, RefusedError)])
def test_statuses(url: str, meddler: Meddler, status: int, error: type[Exception]) -> None:
    """Away and refused are told apart."""
    meddler.answer(status)
    with pytest.raises(error):
        TsaClient(url, meddler).stamp(b"signature")
