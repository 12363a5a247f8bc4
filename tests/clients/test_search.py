from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from touchplate.clients.search import (
    MAX_EMPTY_PAGES,
    FoundPage,
    Prover,
    SearchClient,
    parse_page,
)
from touchplate.entries.conditions import Conditions
from touchplate.errors import (
    MalformedError,
    RefusedError,
    TouchplateError,
    UnavailableError,
    VerificationError,
)
from touchplate.testing import World
from touchplate.transport.http import Response, Transport

ANN = "ann@example.com"
BOB = "bob@example.com"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Give a world with some entries of Ann and one of Bob."""
    with World() as made:
        for artifact in (b"one", b"two", b"three"):
            made.sign(artifact, ANN)
        made.sign(b"four", BOB)
        made.index.catch_up()
        yield made


def client(world: World) -> SearchClient:
    """Give a client of the world."""
    return SearchClient(world.url + "/", world.transport)


def only(world: World, *fields: tuple[str, str]) -> FoundPage:
    """Give the one page of an answer with proofs."""
    (page,) = client(world).pages(fields, 100, proofs=True)
    return page


def test_pages(world: World) -> None:
    """Pages are asked for until there are enough entries, or no more."""
    ask = client(world)

    pages = list(ask.pages((("identity", ANN),), 2, proofs=False))
    assert [entry.log_index for page in pages for entry in page.entries] == [2, 1]
    assert pages[-1].cursor
    every = list(ask.pages((), 1000, proofs=False))
    assert [entry.log_index for page in every for entry in page.entries] == [3, 2, 1, 0]


def test_proven(world: World) -> None:
    """A good answer is proven, under the checkpoint that the log signed."""
    page = only(world, ("identity", ANN))

    prover = Prover(world.trusted_root, Conditions(identities=(ANN,)))
    entries, checkpoint = prover.prove(page)

    assert checkpoint is not None
    assert checkpoint.size == 4
    assert [entry.terms.identities for entry in entries] == [(ANN,)] * 3
    assert prover.prove(FoundPage((), "", "", None)) == ((), None)


def other_entry(page: FoundPage, world: World) -> FoundPage:
    """Put an entry that was not asked for into the answer, with its good proof."""
    return page._replace(entries=only(world, ("identity", BOB)).entries)


def other_body(page: FoundPage, _: World) -> FoundPage:
    """Change a body."""
    entry = page.entries[0]
    return page._replace(entries=(entry._replace(body=entry.body.replace(b"a", b"b", 1)),))


def other_place(page: FoundPage, _: World) -> FoundPage:
    """Say that an entry is at another place."""
    return page._replace(entries=(page.entries[0]._replace(tree_index=0),))


def no_proof(page: FoundPage, _: World) -> FoundPage:
    """Leave a proof out."""
    return page._replace(entries=(page.entries[0]._replace(proof=()),))


def other_checkpoint(page: FoundPage, _: World) -> FoundPage:
    """Change the checkpoint's size."""
    return page._replace(checkpoint=page.checkpoint.replace("\n4\n", "\n5\n"))


def other_log(page: FoundPage, _: World) -> FoundPage:
    """Give a checkpoint that another log signed."""
    with World() as other:
        other.sign(b"x", ANN)
        other.index.catch_up()
        return only(other)


@pytest.mark.parametrize(
    ("lie", "code"),
    [
        (other_entry, "ENTRY_DIGEST_MISMATCH"),
        (other_body, "INCLUSION_PROOF_INVALID"),
        (other_place, "INCLUSION_PROOF_INVALID"),
        (no_proof, "INCLUSION_PROOF_INVALID"),
        (other_checkpoint, "CHECKPOINT_SIGNATURE"),
        (other_log, "CHECKPOINT_KEYHINT"),
    ],
)
def test_lies(world: World, lie: Callable[[FoundPage, World], FoundPage], code: str) -> None:
    """An answer that was made up in any part is not proven."""
    page = lie(only(world, ("identity", ANN)), world)

    with pytest.raises(VerificationError) as failure:
        Prover(world.trusted_root, Conditions(identities=(ANN,))).prove(page)
    assert failure.value.code == code


def test_terms_are_read_from_the_body(world: World) -> None:
    """What a row says beside its body is not believed."""
    page = only(world, ("identity", ANN))
    lied = page.entries[0].terms._replace(digests=("sha256:00",), identities=("eve@example.com",))
    page = page._replace(entries=(page.entries[0]._replace(terms=lied, entry_id="00" * 40),))

    ((entry,), _) = Prover(world.trusted_root, Conditions()).prove(page)

    assert entry.terms.identities == (ANN,)
    assert entry.entry_id[16:] == only(world, ("identity", ANN)).entries[0].entry_id[16:]


class Answers:
    """A transport that gives one answer, counted."""

    def __init__(self, status: int, body: object) -> None:
        self.response = Response(status, (), json.dumps(body).encode())
        self.asked = 0

    def request(self, *_: object, **__: object) -> Response:
        """Answer."""
        self.asked += 1
        return self.response


def answering(status: int, body: object) -> tuple[SearchClient, Answers]:
    """Give a client of a server that always answers this."""
    transport = Answers(status, body)
    return SearchClient("https://log.example", cast("Transport", transport)), transport


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, RefusedError), (400, RefusedError), (503, UnavailableError), (200, MalformedError)],
)
def test_statuses(status: int, kind: type[TouchplateError]) -> None:
    """A refusal, a failure and nonsense are told apart."""
    ask, _ = answering(status, ["nonsense"])

    with pytest.raises(kind):
        list(ask.pages((), 1, proofs=False))


def test_pages_without_end() -> None:
    """A server that gives the same cursor again and again, or no entries, is left."""
    ask, transport = answering(200, {"rows": [], "next": "more", "index": []})
    assert len(list(ask.pages((), 10, proofs=False))) == 2
    assert transport.asked <= MAX_EMPTY_PAGES


ROW: dict[str, Any] = {
    "entryId": "00" * 40,
    "logIndex": 1,
    "treeIndex": 1,
    "integratedTime": "2030-01-01T00:00:00Z",
    "kind": "dsse",
    "version": "0.0.1",
    "body": b64encode(b"{}").decode(),
    "proof": ["00" * 32],
}


@pytest.mark.parametrize(
    "change",
    [
        {"logIndex": -1},
        {"logIndex": None},
        {"treeIndex": "x"},
        {"proof": ["00"]},
        {"proof": ["zz" * 32]},
        {"proof": ["00" * 32] * 65},
        {"body": ""},
        {"body": "%"},
        {"identities": "a"},
        {"digests": [1]},
        {"extensions": [{"number": "x", "value": ""}]},
    ],
    ids=str,
)
def test_rows(change: dict[str, Any]) -> None:
    """A row with a member of the wrong form is refused."""
    good = json.dumps({"rows": [ROW], "checkpoint": "c", "next": None}).encode()
    assert len(parse_page(good, proofs=True, limit=1).entries) == 1

    with pytest.raises(MalformedError):
        parse_page(
            json.dumps({"rows": [ROW | change], "checkpoint": "c"}).encode(), proofs=True, limit=1
        )


@pytest.mark.parametrize(
    "answer",
    [{"rows": [ROW]}, {"rows": [ROW, ROW], "checkpoint": "c"}, {"rows": 5}, {"rows": [5]}, []],
    ids=range(5),
)
def test_answers(answer: object) -> None:
    """An answer without its checkpoint, with too many rows or none at all is refused."""
    with pytest.raises(MalformedError):
        parse_page(json.dumps(answer).encode(), proofs=True, limit=1)
