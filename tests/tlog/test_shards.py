"""Several trees: virtual indexes, lookups over all of them, and each with its own key."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.tlog.clients import ENTRIES, check_entry, create, fault, opened
from tests.tlog.service import Service
from touchplate.errors import SettingsError
from touchplate.keys.public import load_public_key_pem
from touchplate.tlog import Shards


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
