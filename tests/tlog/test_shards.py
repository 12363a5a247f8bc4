"""Several trees: virtual indexes, lookups over all of them, and each with its own key."""

import json
from base64 import b64decode
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.tlog.clients import ENTRIES, check_entry, create, fault, opened
from tests.tlog.service import Service
from touchplate.errors import SettingsError, UnavailableError
from touchplate.keys.public import load_public_key_pem
from touchplate.tlog import Shards, TransparencyLog


@pytest.fixture
def trees(envelopes: list[dict[str, Any]]) -> Iterator[tuple[Service, Service, Service]]:
    """Two frozen trees, of three and two entries, and an active one with four.

    The first envelope is in all of them, the second only in the second tree.
    """
    services = Service(tree_id=7), Service(), Service()
    first, second, active = services
    for number in (0, 2, 3):
        create(first, envelopes[number])
    for number in (1, 0):
        create(second, envelopes[number])
    for number in (4, 0, 5, 6):
        create(active, envelopes[number])
    for each in (first, second):
        each.tiles.freeze("Log frozen")
    active.restart(first.log, second.log)
    yield services
    for each in services:
        each.close()


def owner(services: tuple[Service, ...], name: str) -> Service:
    """Give the tree that an entry id names."""
    (found,) = [each for each in services if name.startswith(f"{each.key.tree_id:016x}")]
    return found


def test_virtual_index(trees: tuple[Service, Service, Service]) -> None:
    """Indexes run over the trees, oldest first; proofs and promises are each tree's own."""
    *_, active = trees
    sizes = [3, 2, 4]
    expected = [(tree, index) for tree, size in enumerate(sizes) for index in range(size)]
    for virtual, (tree, index) in enumerate(expected):
        ((name, entry),) = active.get(f"{ENTRIES}?logIndex={virtual}").items()
        assert owner(trees, name) is trees[tree]
        check_entry(trees[tree], name, entry)
        assert entry["logIndex"] == virtual
        assert entry["verification"]["inclusionProof"]["logIndex"] == index
        assert entry["verification"]["inclusionProof"]["treeSize"] == sizes[tree]
    assert active.call("GET", f"{ENTRIES}?logIndex={len(expected)}").status == 404


def test_new_entry(trees: tuple[Service, Service, Service], envelopes: list[Any]) -> None:
    """A new entry goes to the active tree, and its promise is about the virtual index."""
    *_, active = trees
    response = active.call("POST", ENTRIES, envelopes[7])
    ((name, entry),) = json.loads(response.body).items()
    check_entry(active, name, entry)
    assert (entry["logIndex"], entry["verification"]["inclusionProof"]["logIndex"]) == (9, 4)


def test_find(trees: tuple[Service, Service, Service], envelopes: list[Any]) -> None:
    """A UUID is looked for in the active tree first, an entry id in its tree alone."""
    first, second, active = trees
    name = create(active, envelopes[0])
    assert list(active.get(f"{ENTRIES}/{name[16:]}")) == [name]
    older = f"{first.key.tree_id:016x}{name[16:]}"
    assert list(active.get(f"{ENTRIES}/{older}")) == [older]
    only = create_name(second, envelopes[1])
    assert list(active.get(f"{ENTRIES}/{only[16:]}")) == [only]
    assert active.call("GET", f"{ENTRIES}/{active.key.tree_id:016x}{only[16:]}").status == 404


def create_name(service: Service, request: object) -> str:
    """Give the name of an entry of a frozen tree."""
    response = service.call("POST", f"{ENTRIES}/retrieve", {"entries": [request]})
    ((name,),) = json.loads(response.body)
    return str(name)


def test_retrieve(trees: tuple[Service, Service, Service], envelopes: list[Any]) -> None:
    """Entry ids in their order, then UUIDs and contents with a hit for each tree, then indexes."""
    first, second, active = trees
    uuid = create(active, envelopes[0])[16:]
    ids = [f"{each.key.tree_id:016x}{uuid}" for each in (active, first, second)]
    query = {
        "entryUUIDs": [uuid, ids[2], ids[1]],
        "entries": [envelopes[1], envelopes[0]],
        "logIndexes": [4, 0],
    }
    response = active.call("POST", f"{ENTRIES}/retrieve", query)
    names = [name for entry in json.loads(response.body) for name in entry]
    only = create_name(second, envelopes[1])
    assert names == [
        ids[2],
        ids[1],
        *ids,
        only,
        *ids,
        ids[2],
        ids[0].replace(ids[0][:16], ids[1][:16]),
    ]


def test_info(trees: tuple[Service, Service, Service]) -> None:
    """Log info lists the frozen trees, oldest first, each with a checkpoint by its own key."""
    *frozen, active = trees
    info = active.get("/api/v1/log")
    assert (info["treeID"], info["treeSize"]) == (str(active.key.tree_id), 4)
    assert len(info["inactiveShards"]) == 2
    for shard, service in zip(info["inactiveShards"], frozen, strict=True):
        checkpoint = opened(service, shard.pop("signedTreeHead"))
        assert shard == {
            "rootHash": checkpoint.root.hex(),
            "treeID": str(service.key.tree_id),
            "treeSize": checkpoint.size,
        }


def test_keys_and_proofs(trees: tuple[Service, Service, Service]) -> None:
    """Keys and consistency proofs are those of the tree that is named."""
    *_, active = trees
    for service, size in zip(trees, (3, 2, 4), strict=True):
        tree_id = service.key.tree_id
        pem = active.call("GET", f"/api/v1/log/publicKey?treeID={tree_id}").body
        assert load_public_key_pem(pem.decode()) == service.signer.public_key
        proof = active.get(f"/api/v1/log/proof?firstSize=1&lastSize={size}&treeID={tree_id}")
        assert proof["rootHash"] == service.tiles.checkpoint().root.hex()
        beyond = f"/api/v1/log/proof?lastSize={size + 1}&treeID={tree_id}"
        assert active.call("GET", beyond).status == 400


def test_search(trees: tuple[Service, Service, Service]) -> None:
    """What a search finds in any tree is named so that it can be read."""
    first, second, active = trees
    places = [(each.key.tree_id, index) for each in trees for index in (0, 1)]
    active.search = lambda keys, all_of: places
    active.restart(first.log, second.log)
    response = active.call("POST", "/api/v1/index/retrieve", {"hash": "ab" * 32})
    names = json.loads(response.body)
    assert len(set(names)) == 6
    expected = [(tree, index) for tree in range(3) for index in (0, 1)]
    for name, (tree, index) in zip(names, expected, strict=True):
        entry = active.get(f"{ENTRIES}/{name}")[name]
        check_entry(trees[tree], name, entry)
        assert entry["verification"]["inclusionProof"]["logIndex"] == index


def test_frozen_alone(envelopes: list[Any]) -> None:
    """A log whose only tree is frozen is 405 to new entries and reads as before."""
    service = Service()
    name = create(service, envelopes[0])
    service.tiles.freeze("Log frozen")
    for request in envelopes[:2]:
        response = service.call("POST", ENTRIES, request)
        message = "This log has been frozen, please switch to the latest log"
        assert fault(response) == (405, 405, message)
        assert response.header("allow") == "GET, HEAD"
    assert name in service.get(f"{ENTRIES}/{name}")
    service.close()


def test_same_tree_twice(service: Service) -> None:
    """Two trees with one id could not be told apart, and are refused at start."""
    with pytest.raises(SettingsError, match="same id"):
        Shards(service.log, (service.log,))


@pytest.fixture
def pair() -> Iterator[tuple[Service, Service]]:
    """A tree, and the one that will follow it."""
    services = Service(), Service()
    yield services
    for each in services:
        each.close()


def follows(pair: tuple[Service, Service], *, frozen_first: bool = True) -> list[int]:
    """Have the second tree follow the first; give a list that grows with each look."""
    first, second = pair
    looks: list[int] = []

    def successor() -> TransparencyLog | None:
        looks.append(1)
        first.tiles.freeze("Log frozen")
        return second.log

    first.shards.successor = successor
    if frozen_first:
        first.tiles.freeze("Log frozen")
    return looks


@pytest.mark.parametrize("version", [1, 2])
def test_entry_goes_on(
    pair: tuple[Service, Service],
    envelopes: list[Any],
    requests_v2: Callable[[int], list[bytes]],
    version: int,
) -> None:
    """An entry that finds its tree frozen is answered from the next one, in the same request."""
    first, second = pair
    bodies: list[Any] = envelopes[:4] if version == 1 else requests_v2(4)
    path = ENTRIES if version == 1 else "/api/v2/log/entries"
    assert first.call("POST", path, bodies[0]).status == 201
    looks = follows(pair)
    for number, body in enumerate(bodies[1:]):
        response = first.call("POST", path, body)
        assert response.status == 201
        answer = json.loads(response.body)
        if version == 1:
            ((name, entry),) = answer.items()
            assert name.startswith(f"{second.key.tree_id:016x}")
            assert entry["logIndex"] == number + 1
        else:
            assert answer["logIndex"] == str(number)
            assert b64decode(answer["logId"]["keyId"]) == second.key.log_id
    assert len(looks) == 1
    assert first.tiles.checkpoint().size == 1
    assert second.tiles.checkpoint().size == 3


def test_many_at_once(
    pair: tuple[Service, Service], requests_v2: Callable[[int], list[bytes]]
) -> None:
    """Of many entries that find it frozen at once each is in the next tree, after one look."""
    first, second = pair
    looks = follows(pair)
    responses = first.call_all("POST", "/api/v2/log/entries", requests_v2(40))
    assert [each.status for each in responses] == [201] * 40
    assert len(looks) == 1
    assert second.tiles.checkpoint().size == 40


def test_nothing_follows(
    pair: tuple[Service, Service], requests_v2: Callable[[int], list[bytes]]
) -> None:
    """A tree that nothing follows is frozen: 405; once it has been followed entries are taken."""
    first, second = pair
    first.tiles.freeze("Log frozen")
    one, other = requests_v2(2)
    for _ in range(2):
        assert first.call("POST", "/api/v2/log/entries", one).status == 405
    first.shards.successor = lambda: None
    assert not first.shards.follow()
    follows(pair)
    assert first.shards.follow()
    assert first.call("POST", "/api/v2/log/entries", other).status == 201
    assert second.tiles.checkpoint().size == 1


def test_cannot_follow(
    pair: tuple[Service, Service], requests_v2: Callable[[int], list[bytes]]
) -> None:
    """A process that cannot open the next tree says 503, and takes entries once it can."""
    first, _ = pair
    first.tiles.freeze("Log frozen")

    def fail() -> None:
        raise UnavailableError("SERVICE_UNAVAILABLE", "its key is not here")

    first.shards.successor = fail
    (body,) = requests_v2(1)
    for _ in range(2):
        response = first.call("POST", "/api/v2/log/entries", body)
        assert response.status == 503
        assert response.header("retry-after") == "1"
    follows(pair)
    assert first.call("POST", "/api/v2/log/entries", body).status == 201


def test_follow_twice(pair: tuple[Service, Service]) -> None:
    """Who was late to find a tree frozen does not make a second one follow it."""
    first, second = pair
    looks = follows(pair, frozen_first=False)
    tree = first.log
    assert first.shards.follow(tree)
    assert first.shards.follow(tree)
    assert len(looks) == 1
    assert first.shards.oldest_first == (first.log, second.log)
    # The tree that it gives is there already.
    with pytest.raises(SettingsError):
        first.shards.follow()


def test_named(pair: tuple[Service, Service]) -> None:
    """Of two trees of one name the newest has it; a name of nobody has none."""
    first, second = pair
    follows(pair)
    assert first.shards.follow()
    assert first.shards.named(first.key.origin) is second.log
    assert first.shards.named("other.example") is None
