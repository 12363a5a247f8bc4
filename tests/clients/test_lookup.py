"""One entry by its name: found in the right tree, and held against what was asked."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from touchplate.clients.lookup import Looked, LookupClient, prove, read_word
from touchplate.errors import MalformedError, RefusedError, UnavailableError, VerificationError
from touchplate.formats.entry_name import EntryName, name_entry
from touchplate.sign import Signed
from touchplate.testing import World
from touchplate.transport.http import Response
from touchplate.verify import Artifact

ANN = "ann@example.com"


@dataclass(frozen=True)
class Rotated:
    """A world with three trees, and what was signed: two in the first, one in each other."""

    world: World
    signed: tuple[Signed, ...]


@pytest.fixture(scope="module")
def rotated() -> Iterator[Rotated]:
    """Give a log that was rotated twice."""
    with World() as world:
        signed = []
        for number, version in enumerate((1, 2, None, 1, None, 2)):
            if version is None:
                world.rotate()
                continue
            signer = world.signer(ANN, tlog_version=version)
            signed.append(signer.sign(Artifact.from_bytes(b"%d" % number)))
        yield Rotated(world, tuple(signed))


def client(rotated: Rotated) -> LookupClient:
    """Give a client of the world."""
    return LookupClient(rotated.world.url + "/", rotated.world.transport)


def found(rotated: Rotated, word: str) -> Looked:
    """Look up what is there."""
    looked = client(rotated).find(read_word(word))
    assert looked is not None
    return looked


def test_by_each_name(rotated: Rotated) -> None:
    """The name of a bundle's entry, its number over all trees and its UUID lead to that entry."""
    names = []
    for number, each in enumerate(rotated.signed):
        (entry,) = each.bundle.entries
        name = name_entry(entry)
        looked = found(rotated, str(name))

        assert (looked.entry.body, looked.entry.name) == (entry.body, str(name))
        assert looked.entry.log_index == number
        for word in (str(number), looked.entry.entry_id, looked.entry.entry_id[-64:].upper()):
            assert found(rotated, word).entry == looked.entry
        checkpoint = prove(looked, rotated.world.trusted_root)
        assert checkpoint.origin.endswith(str(int(looked.entry.entry_id[:16], 16)))
        names.append((entry.log_index, looked.entry.tree_index))
    # What the bundle says is the one for v1, the other for v2.
    assert names == [(0, 0), (1, 1), (2, 0), (0, 0)]


def test_not_there(rotated: Rotated) -> None:
    """A tree, an index and a number that are not there are not found."""
    first = found(rotated, "0").entry.entry_id[:16]

    for word in ("4", f"{first}:2", "0000000000000007:0", "ab" * 32):
        assert client(rotated).find(read_word(word)) is None


@pytest.mark.parametrize("word", ["", "-1", "1.0", "a" * 63, "a" * 81, "a:1", "1" * 19, "/x"])
def test_no_word(word: str) -> None:
    """What names no entry is told before anybody is asked."""
    with pytest.raises(MalformedError) as caught:
        read_word(word)
    assert caught.value.code == "REQUEST_MALFORMED"


@dataclass(frozen=True)
class Altered:
    """A transport that changes what comes."""

    rotated: Rotated
    change: Callable[[Response], Response]

    def request(self, method: str, url: str, **words: Any) -> Response:
        """Ask the world, and change its answer."""
        return self.change(self.rotated.world.transport.request(method, url, **words))


def ask(rotated: Rotated, wanted: int | str | EntryName, change: Callable[[Any], Any]) -> Looked:
    """Look up with the JSON of each answer changed."""

    def altered(response: Response) -> Response:
        body = json.dumps(change(json.loads(response.body))).encode()
        return Response(response.status, response.headers, body)

    looked = LookupClient(rotated.world.url, Altered(rotated, altered)).find(wanted)
    assert looked is not None
    return looked


def one(**changes: Any) -> Callable[[Any], Any]:
    """Change members of the one entry."""

    def change(members: dict[str, dict[str, Any]]) -> object:
        return {key: entry | changes for key, entry in members.items()}

    return change


@pytest.mark.parametrize(
    "change",
    [
        one(logIndex=1),
        one(body="e30="),
        one(verification={}),
        lambda members: {key[:-1] + "g": entry for key, entry in members.items()},
        lambda members: {key.swapcase()[:16] + "0" * 64: entry for key, entry in members.items()},
        lambda members: {**members, "more": {}},
        lambda _: {},
        lambda _: [],
    ],
)
def test_another_entry(rotated: Rotated, change: Callable[[Any], Any]) -> None:
    """An answer that is not the entry asked for is refused."""
    with pytest.raises(MalformedError) as caught:
        ask(rotated, 0, change)
    assert caught.value.code == "RESPONSE_MALFORMED"


def test_another_name(rotated: Rotated) -> None:
    """So is one that has another UUID, or another place in its tree."""
    first, second = found(rotated, "0").entry, found(rotated, "1").entry
    answer = rotated.world.transport.request(
        "GET", f"{rotated.world.url}/api/v1/log/entries/{second.entry_id}"
    )

    def swap(members: dict[str, Any]) -> object:
        return members if "treeID" in members else json.loads(answer.body)

    for word in (first.entry_id, first.entry_id[-64:], first.name):
        with pytest.raises(MalformedError, match="another entry"):
            ask(rotated, read_word(word), swap)


@pytest.mark.parametrize(
    "info",
    [
        {"inactiveShards": [1]},
        {"inactiveShards": [], "treeID": "1", "treeSize": "many"},
        {"inactiveShards": [{"treeID": 5, "treeSize": 1}]},
    ],
)
def test_odd_info(rotated: Rotated, info: dict[str, Any]) -> None:
    """A log that does not say how its trees follow each other is not understood."""
    with pytest.raises(MalformedError) as caught:
        ask(rotated, EntryName(1, 0), lambda _: info)
    assert caught.value.code == "RESPONSE_MALFORMED"


@pytest.mark.parametrize(
    ("status", "error"), [(501, RefusedError), (503, UnavailableError), (400, RefusedError)]
)
def test_refused(rotated: Rotated, status: int, error: type[Exception]) -> None:
    """A log without this API, or that refuses or cannot, is told from one without the entry."""
    transport = Altered(rotated, lambda _: Response(status, (), b"{}"))
    with pytest.raises(error):
        LookupClient(rotated.world.url, transport).find(0)


def test_proof(rotated: Rotated) -> None:
    """A proof of another key's log, and one that leads elsewhere, prove nothing."""
    looked = found(rotated, "1")
    with World() as other, pytest.raises(VerificationError):
        prove(looked, other.trusted_root)
    moved = looked._replace(entry=looked.entry._replace(tree_index=0))
    with pytest.raises(VerificationError) as caught:
        prove(moved, rotated.world.trusted_root)
    assert caught.value.code == "INCLUSION_PROOF_INVALID"
