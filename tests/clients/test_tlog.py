from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import new
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchplate.clients.tlog import TlogV1Client, TlogV2Client
from touchplate.clients.tlog_v1_answer import parse_answer
from touchplate.entries.claim import Claim
from touchplate.errors import MalformedError, RefusedError, TouchplateError, UnavailableError
from touchplate.formats.bundle import Envelope, EnvelopeSignature, MessageSignature
from touchplate.formats.dsse import pae
from touchplate.keys.algorithms import HashName
from touchplate.keys.signer import generate
from touchplate.testing import World
from touchplate.transport.http import Response

if TYPE_CHECKING:
    from tests.clients.conftest import Meddler

CLIENTS = (TlogV1Client, TlogV2Client)
STATEMENT = b'{"_type":"https://in-toto.io/Statement/v1"}'


def message_claim(content: bytes = b"artifact") -> Claim:
    """Sign a message with a key of its own."""
    key = generate()

    def digest(name: HashName) -> bytes:
        return new(name, content).digest()

    signature = key.sign(content)
    signed = MessageSignature("sha256", digest("sha256"), signature)
    return Claim(signed, signature, key.public_key, None, digest)


def envelope_claim() -> Claim:
    """Sign a statement with a key of its own."""
    key = generate()
    kind = "application/vnd.in-toto+json"
    message = pae(kind, STATEMENT)
    signature = key.sign(message)
    content = Envelope(STATEMENT, kind, (EnvelopeSignature(signature),))
    return Claim(content, signature, key.public_key, None, lambda name: new(name, message).digest())


@pytest.mark.slow
@pytest.mark.parametrize("make", CLIENTS)
@pytest.mark.parametrize("claim", [message_claim, envelope_claim])
def test_add(
    world: World, make: type[TlogV1Client | TlogV2Client], claim: Callable[[], Claim]
) -> None:
    """Both versions of a log take both kinds of content; v1 promises, v2 does not."""
    client = make(world.url + "/", world.transport)
    entries = [client.add(claim()) for _ in range(3)]

    assert [entry.log_index for entry in entries] == [0, 1, 2]
    assert all((entry.promise is not None) == (make is TlogV1Client) for entry in entries)
    assert all(entry.log_id == world.trusted_root.tlogs[0].log_id for entry in entries)


@pytest.mark.parametrize("make", CLIENTS)
def test_other_entry(
    world: World, meddler: Meddler, make: type[TlogV1Client | TlogV2Client]
) -> None:
    """CVE-2022-23649: a genuine entry about another signature is refused."""
    client = make(world.url, meddler)
    kept: list[Response] = []

    def swap(response: Response) -> Response:
        kept.append(response)
        return kept[0]

    meddler.change = swap
    client.add(message_claim())
    with pytest.raises(TouchplateError) as caught:
        client.add(message_claim())
    assert caught.value.code.startswith("ENTRY_")


def v1_changes() -> dict[str, Callable[[dict[str, Any]], None]]:
    """Give each way in which a v1 answer can be wrong."""

    def proof(entry: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = entry["verification"]["inclusionProof"]
        return found

    return {
        "no body": lambda entry: entry.pop("body"),
        "base64 log id": lambda entry: entry.update(logID="A" * 64 + "=="),
        "short log id": lambda entry: entry.update(logID="ab"),
        "spaced log id": lambda entry: entry.update(logID="ab " * 21 + "a"),
        "negative index": lambda entry: entry.update(logIndex=-1),
        "no verification": lambda entry: entry.pop("verification"),
        "no promise": lambda entry: entry["verification"].pop("signedEntryTimestamp"),
        "no proof": lambda entry: entry["verification"].pop("inclusionProof"),
        "no checkpoint": lambda entry: proof(entry).pop("checkpoint"),
        "no hashes": lambda entry: proof(entry).update(hashes=[]),
        "endless hashes": lambda entry: proof(entry).update(hashes=["00" * 32] * 65),
        "other hash": lambda entry: proof(entry).update(hashes=["00" * 32]),
        "other index": lambda entry: proof(entry).update(logIndex=0),
        "fraction": lambda entry: entry.update(integratedTime=1.5),
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", v1_changes())
def test_v1_malformed(world: World, meddler: Meddler, name: str) -> None:
    """An answer without a part, or with one of the wrong form, is refused."""
    client = TlogV1Client(world.url, meddler)
    client.add(message_claim())

    def change(response: Response) -> Response:
        answer = json.loads(response.body)
        v1_changes()[name](next(iter(answer.values())))
        return replace(response, body=json.dumps(answer).encode())

    meddler.change = change
    with pytest.raises(MalformedError) as caught:
        client.add(message_claim())
    assert caught.value.code == "RESPONSE_MALFORMED"


@pytest.mark.parametrize("body", [b"{}", b'{"a":{},"b":{}}', b"[]", b'{"a":[]}', b""])
def test_v1_not_one_entry(world: World, meddler: Meddler, body: bytes) -> None:
    """Exactly one entry must be in the answer."""
    meddler.answer(201, body)
    with pytest.raises(MalformedError):
        TlogV1Client(world.url, meddler).add(message_claim())


@pytest.mark.parametrize("uuid", ["", "108e9186e8c5677a"])
def test_v1_conflict(world: World, meddler: Meddler, uuid: str) -> None:
    """On 409 the entry that is there already is fetched, checked and used."""
    client = TlogV1Client(world.url, meddler)
    claim = message_claim()
    first = client.add(claim)
    answer = world.transport.request("GET", world.url + "/api/v1/log/entries?logIndex=0")
    known = next(iter(json.loads(answer.body)))
    known = uuid + known[-64:]
    conflict = Response(409, (("Location", f"/api/v1/log/entries/{known}"),), b"")
    meddler.change = lambda response: conflict if response.status == 201 else answer

    second = client.add(claim)

    assert (second.log_index, second.body) == (first.log_index, first.body)
    assert meddler.asked[-1][:2] == ("GET", f"{world.url}/api/v1/log/entries/{known}")


@pytest.mark.parametrize(
    "location",
    [
        "",
        "/api/v1/log/entries/",
        "https://elsewhere.example.test/" + "zz" * 32,
        "/../../etc/passwd",
        "/x/" + "ab" * 33,
    ],
)
def test_v1_conflict_elsewhere(world: World, meddler: Meddler, location: str) -> None:
    """Only a UUID is taken out of a Location: no other host, no other path is asked."""
    meddler.answer(409, Location=location)
    with pytest.raises(MalformedError):
        TlogV1Client(world.url, meddler).add(message_claim())
    assert len(meddler.asked) == 1


@pytest.mark.parametrize(("status", "code"), [(405, "LOG_FROZEN"), (409, "ENTRY_EXISTS")])
def test_v2_refusals(world: World, meddler: Meddler, status: int, code: str) -> None:
    """A retired log and an entry that is there already are told apart from a refusal."""
    meddler.answer(status)
    with pytest.raises(RefusedError) as caught:
        TlogV2Client(world.url, meddler).add(message_claim())
    assert caught.value.code == code


def v2_changes() -> dict[str, Callable[[dict[str, Any]], None]]:
    """Give each way in which a v2 answer can be wrong."""
    return {
        "no proof": lambda entry: entry.pop("inclusionProof"),
        "no checkpoint": lambda entry: entry["inclusionProof"].pop("checkpoint"),
        "no body": lambda entry: entry.pop("canonicalizedBody"),
        "other index": lambda entry: entry.update(logIndex="0"),
        "no hashes": lambda entry: entry["inclusionProof"].pop("hashes"),
        "bad note": lambda entry: entry["inclusionProof"]["checkpoint"].update(envelope="x"),
        "no log id": lambda entry: entry.pop("logId"),
    }


@pytest.mark.parametrize("name", v2_changes())
def test_v2_malformed(world: World, meddler: Meddler, name: str) -> None:
    """An answer without a part, or with one of the wrong form, is refused."""
    client = TlogV2Client(world.url, meddler)
    client.add(message_claim())

    def change(response: Response) -> Response:
        entry = json.loads(response.body)
        v2_changes()[name](entry)
        return replace(response, body=json.dumps(entry).encode())

    meddler.change = change
    with pytest.raises(MalformedError) as caught:
        client.add(message_claim())
    assert caught.value.code in ("RESPONSE_MALFORMED", "ENTRY_MALFORMED")


@pytest.mark.parametrize("make", CLIENTS)
@pytest.mark.parametrize(
    ("status", "error"), [(400, RefusedError), (413, RefusedError), (500, UnavailableError)]
)
def test_statuses(
    world: World,
    meddler: Meddler,
    make: type[TlogV1Client | TlogV2Client],
    status: int,
    error: type[Exception],
) -> None:
    """Away and refused are told apart."""
    meddler.answer(status)
    with pytest.raises(error):
        make(world.url, meddler).add(message_claim())


@given(st.binary(max_size=300))
def test_any_v1_answer(body: bytes) -> None:
    """Whatever a v1 log answers, a typed error comes of it."""
    with pytest.raises(MalformedError):
        parse_answer(body)
