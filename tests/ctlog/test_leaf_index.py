"""The index of leaf hashes: exact at every size, whatever its database holds."""

import json
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.ctlog.places import Place, open_place
from touchplate.ctlog import leaf_index
from touchplate.ctlog.leaf_index import LeafIndex, find_in_tiles
from touchplate.errors import UnavailableError
from touchplate.storage.index import IndexDatabase, encode_entry
from touchplate.storage.index_memory import MemoryIndex
from touchplate.storage.schemes import open_index

ENTRIES = 600
TILE = 256


@pytest.fixture(scope="module")
def full() -> Iterator[Place]:
    """Give a log of 600 entries that no test changes."""
    found = open_place()
    grow(found, ENTRIES)
    yield found
    found.log.log.close()


def grow(place: Place, count: int, first: int = 0) -> None:
    """Append entries."""
    futures = [
        place.log.submit_own(place.precertificate(first + number).chain) for number in range(count)
    ]
    for future in futures:
        future.result(30)


def leaves(place: Place) -> list[bytes]:
    """Give all leaf hashes."""
    size = place.log.log.checkpoint().size
    hashes = b"".join(
        leaf_index.read_leaf_tile(place.log.log, tile, min(TILE, size - tile * TILE))
        for tile in range(-(-size // TILE))
    )
    return [hashes[at : at + 32] for at in range(0, len(hashes), 32)]


@pytest.fixture(params=["memory", "sqlite"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[IndexDatabase]:
    """Give an empty index of each kind that needs no server."""
    found = MemoryIndex() if request.param == "memory" else open_index(tmp_path.as_uri())
    yield found
    found.close()


def test_every_leaf(full: Place, database: IndexDatabase) -> None:
    """Each leaf is found in each tree that has it, and in none before."""
    index = LeafIndex(full.log.log, database, "x", step=TILE)
    hashes = leaves(full)
    for place in (0, 1, 255, 256, 400, 511, 512, 599):
        for size in (1, 2, 255, 256, 257, 400, 512, 513, 600):
            expected = place if place < size else None
            assert index.find(hashes[place], size) == expected
            assert find_in_tiles(full.log.log, hashes[place], 0, size) == expected
    assert index.find(bytes(32), ENTRIES) is None
    assert database.next("x") == 512


def test_part_of_two_hashes(full: Place) -> None:
    """The end of one hash with the beginning of the next is none."""
    index = LeafIndex(full.log.log, MemoryIndex(), "x", step=TILE)
    hashes = leaves(full)
    assert index.find(hashes[7][16:] + hashes[8][:16], ENTRIES) is None
    assert find_in_tiles(full.log.log, hashes[590][16:] + hashes[591][:16], 0, ENTRIES) is None


def test_two_processes(full: Place) -> None:
    """Two that index the same log at the same time do not disturb each other."""
    database = MemoryIndex()
    first = LeafIndex(full.log.log, database, "x", step=TILE)
    second = LeafIndex(full.log.log, database, "x", step=TILE)
    hashes = leaves(full)

    assert first.find(hashes[300], 300) is None
    assert second.find(hashes[300], ENTRIES) == 300
    assert first.find(hashes[511], ENTRIES) == 511


def test_terms_of_others(full: Place) -> None:
    """A candidate whose tile has another hash there is passed over, also many of them."""
    database = MemoryIndex()
    index = LeafIndex(full.log.log, database, "x", step=TILE)
    hashes = leaves(full)
    wrong = index._term(hashes[200])
    postings = [wrong + encode_entry(entry) for entry in range(TILE)]
    database.add("x", 0, TILE, postings, full.log.log.root_at(TILE))

    assert index.find(hashes[200], ENTRIES) == 200
    assert index.find(hashes[300], ENTRIES) == 300


def test_index_of_another_tree(full: Place) -> None:
    """An index that was made of another tree, or of one that was longer, is made again."""
    for stop, root in ((TILE, bytes(32)), (2048, bytes(32))):
        database = MemoryIndex()
        database.add("x", 0, stop, [], root)
        index = LeafIndex(full.log.log, database, "x", step=TILE)
        assert index.find(leaves(full)[3], ENTRIES) == 3


def test_far_behind(full: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """One question indexes so much and no more; who asks comes again, and is answered then."""
    monkeypatch.setattr(leaf_index, "MAX_STEPS", 1)
    index = LeafIndex(full.log.log, MemoryIndex(), "x", step=TILE)
    with pytest.raises(UnavailableError) as caught:
        index.find(leaves(full)[5], ENTRIES)

    assert caught.value.retry_after is not None
    assert index.find(leaves(full)[5], ENTRIES) == 5


def test_log_that_grows(place: Place) -> None:
    """What comes later is found too, indexed or not."""
    index = LeafIndex(place.log.log, MemoryIndex(), "x", step=TILE)
    grow(place, 3)
    assert index.find(leaves(place)[2], 3) == 2
    grow(place, 300, first=3)
    assert index.find(leaves(place)[255], 303) == 255
    assert index.find(leaves(place)[302], 303) == 302


def test_over_http(full: Place) -> None:
    """With an index get-proof-by-hash gives the same bytes as without."""
    leaf = leaves(full)[290]
    query = f"hash={quote(b64encode(leaf).decode(), safe='')}&tree_size={ENTRIES}"
    without = full.call("GET", "/ct/v1/get-proof-by-hash", query)
    full.log._find = LeafIndex(full.log.log, MemoryIndex(), "x", step=TILE).find

    assert full.call("GET", "/ct/v1/get-proof-by-hash", query) == without
    assert json.loads(without.body)["leaf_index"] == 290
