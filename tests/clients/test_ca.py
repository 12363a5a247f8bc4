from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchplate.clients.ca import CaClient, parse_answer
from touchplate.errors import MalformedError, RefusedError, UnavailableError
from touchplate.formats.extensions import decode_issuer
from touchplate.keys.signer import generate
from touchplate.testing import World
from touchplate.transport.http import Response

if TYPE_CHECKING:
    from tests.clients.conftest import Meddler


def test_issue(world: World) -> None:
    """The authority certifies our key for the identity in the token."""
    key = generate()

    issued = CaClient(world.url + "/", world.transport).issue(world.token("a@example.com"), key)

    assert issued.leaf.spki == key.public_key.spki
    assert [name.value for name in issued.leaf.alternative_names] == ["a@example.com"]
    assert decode_issuer(issued.leaf) == world.issuer
    assert issued.chain[0].subject_der == issued.leaf.issuer_der


def test_other_key(world: World, meddler: Meddler) -> None:
    """A certificate for another key than ours is refused, however genuine."""
    client = CaClient(world.url, meddler)
    kept: list[Response] = []

    def swap(response: Response) -> Response:
        kept.append(response)
        return kept[0]

    meddler.change = swap
    client.issue(world.token(), generate())

    with pytest.raises(MalformedError, match="another key") as caught:
        client.issue(world.token(), generate())
    assert caught.value.code == "RESPONSE_MALFORMED"


def test_bad_token(world: World) -> None:
    """A token that the authority refuses is a refusal, and is not in the text."""
    token = world.token()
    forged = token[:-4] + ("AAAA" if not token.endswith("AAAA") else "BBBB")

    with pytest.raises(RefusedError) as caught:
        CaClient(world.url, world.transport).issue(forged, generate())

    assert caught.value.code == "SERVICE_REFUSED"
    assert forged not in str(caught.value)


def test_token_stays_in_the_header(world: World, meddler: Meddler) -> None:
    """The token is sent in the Authorization header only, to the authority only."""
    token = world.token()
    CaClient(world.url, meddler).issue(token, generate())
    assert [(method, url) for method, url, _ in meddler.asked] == [
        ("POST", world.url + "/api/v2/signingCert")
    ]
    assert all(token.encode() not in body for _, _, body in meddler.asked)


def test_away(world: World, meddler: Meddler) -> None:
    """An authority that asks to be tried later is unavailable."""
    meddler.answer(503)
    with pytest.raises(UnavailableError):
        CaClient(world.url, meddler).issue(world.token(), generate())


def test_detached_sct(world: World, meddler: Meddler) -> None:
    """A certificate without an embedded SCT has no place in a bundle."""
    meddler.substitute(b"signedCertificateEmbeddedSct", b"signedCertificateDetachedSct")
    with pytest.raises(MalformedError) as caught:
        CaClient(world.url, meddler).issue(world.token(), generate())
    assert caught.value.code == "RESPONSE_MALFORMED"


@pytest.mark.parametrize("chain", [[], [""], ["not PEM"], [7], "text", None, ["x"] * 11, [None]])
def test_bad_chain(world: World, meddler: Meddler, chain: object) -> None:
    """A chain that is none, empty, or endless is malformed."""
    answer = {"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}}
    meddler.answer(200, json.dumps(answer).encode())
    with pytest.raises(MalformedError) as caught:
        CaClient(world.url, meddler).issue(world.token(), generate())
    assert caught.value.code == "RESPONSE_MALFORMED"


@given(st.binary(max_size=200))
def test_any_answer(body: bytes) -> None:
    """Whatever an authority answers, a typed error comes of it."""
    with pytest.raises(MalformedError):
        parse_answer(body)


@given(st.data())
def test_truncated_answer(data: st.DataObject) -> None:
    """A genuine answer cut anywhere is malformed, and not a crash."""
    whole = b'{"signedCertificateEmbeddedSct":{"chain":{"certificates":["a"]}}}'
    cut = data.draw(st.integers(0, len(whole)))
    with pytest.raises(MalformedError):
        parse_answer(replace(Response(200, (), whole), body=whole[:cut]).body)
