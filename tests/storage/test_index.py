"""The contract of the search index's database, over every backend."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.storage.conftest import new_uris, schemes
from touchplate.storage.index import (
    POSTING_SIZE,
    SALT_SIZE,
    TERM_SIZE,
    IndexDatabase,
    encode_entry,
)
from touchplate.storage.index_runs import (
    BLOCK_BYTES,
    MAX_RUNS,
    MERGE_WIDTH,
    TOP_TIER,
    Run,
    mergeable,
    pack,
    unpack_block,
)
from touchplate.storage.index_sqlite import SQLiteIndex
from touchplate.storage.schemes import open_index

Open = Callable[[], IndexDatabase]


def term(name: str) -> bytes:
    """Give a term with this name."""
    return name.encode().ljust(TERM_SIZE, b".")


def postings(first: int, stop: int, *names: str) -> list[bytes]:
    """Give postings of each of these terms for each entry of a range."""
    return [term(name) + encode_entry(entry) for entry in range(first, stop) for name in names]


@pytest.fixture(params=schemes("index"))
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Give a function that opens the same index again and again."""
    uri = new_uris(request.param, request, tmp_path)()
    opened: list[IndexDatabase] = []
    if request.param == "memory":
        index = open_index(uri)
        yield lambda: index
        return

    def open_again() -> IndexDatabase:
        opened.append(open_index(uri))
        return opened[-1]

    yield open_again
    for each in opened:
        each.close()


@pytest.fixture
def index(opener: Open) -> IndexDatabase:
    """Give an empty index."""
    return opener()


def nothing() -> None:
    """Do not pause."""


def test_empty(index: IndexDatabase) -> None:
    """A log that was never seen has nothing, and its next entry is 0."""
    assert index.next("log") == 0
    assert index.find("log", term("a"), 0, 100, 10, newest_first=True) == []
    assert not index.tidy("log", nothing)


def test_order_and_limits(index: IndexDatabase) -> None:
    """Entries come newest or oldest first, within the range, and no more than the limit."""
    assert index.add("log", 0, 10, postings(0, 10, "a"))
    assert index.add("log", 10, 20, [*postings(10, 20, "b"), *postings(13, 15, "a")])

    def find(start: int, stop: int, limit: int, newest_first: bool) -> list[int]:
        return index.find("log", term("a"), start, stop, limit, newest_first=newest_first)

    assert find(0, 20, 100, True) == [14, 13, *range(9, -1, -1)]
    assert find(0, 20, 100, False) == [*range(10), 13, 14]
    assert find(0, 20, 3, True) == [14, 13, 9]
    assert find(8, 14, 9, False) == [8, 9, 13]
    assert find(8, 14, 9, True) == [13, 9, 8]
    assert find(5, 5, 9, True) == []
    assert index.find("other", term("a"), 0, 20, 9, newest_first=True) == []


def test_compare_and_swap(index: IndexDatabase) -> None:
    """Entries are indexed once: whoever comes second is told, and changes nothing."""
    assert index.add("log", 0, 5, postings(0, 5, "a"))

    assert not index.add("log", 0, 5, postings(0, 5, "b"))
    assert not index.add("log", 6, 7, postings(6, 7, "b"))

    assert index.next("log") == 5
    assert index.find("log", term("b"), 0, 9, 9, newest_first=True) == []


def test_entries_without_terms(index: IndexDatabase) -> None:
    """A range without one posting is indexed all the same."""
    assert index.add("log", 0, 3, [])
    assert index.add("log", 3, 3, [])
    assert index.next("log") == 3


def test_drop(index: IndexDatabase) -> None:
    """A log that is dropped begins again at 0; others stay."""
    index.add("log", 0, 5, postings(0, 5, "a"))
    index.add("other", 0, 5, postings(0, 5, "a"))

    index.drop("log")

    assert index.next("log") == 0
    assert index.find("log", term("a"), 0, 9, 9, newest_first=False) == []
    assert index.find("other", term("a"), 0, 9, 9, newest_first=False) == [0, 1, 2, 3, 4]


def test_reopened(opener: Open) -> None:
    """What was added is there for whoever opens the index again, under the same salt."""
    first = opener()
    first.add("log", 0, 5, postings(0, 5, "a"))

    second = opener()

    assert second.next("log") == 5
    assert second.salt() == first.salt()
    assert len(first.salt()) == SALT_SIZE
    assert second.find("log", term("a"), 0, 9, 2, newest_first=True) == [4, 3]


def test_lead(index: IndexDatabase) -> None:
    """One holder leads at a time, until its time is up or it says so itself."""
    assert index.lead("log", "one", 1000, 2000)
    assert not index.lead("log", "two", 1999, 3000)
    assert index.lead("log", "one", 1500, 2500)
    assert not index.lead("log", "two", 2499, 3000)
    assert index.lead("other", "two", 1000, 2000)
    assert index.lead("log", "two", 2500, 3500)
    assert not index.lead("log", "one", 2600, 3600)


def test_many_small_additions(index: IndexDatabase) -> None:
    """Merging keeps the answers as they are, and the index small, at any mix of sizes."""
    at, seed = 0, random.Random(1)
    while at < 3000:
        count = seed.choice((1, 1, 1, 2, 70))
        index.add("log", at, at + count, postings(at, at + count, "all"))
        at += count
        while index.tidy("log", nothing):
            pass

    assert index.next("log") == at
    assert index.find("log", term("all"), 0, at, at, newest_first=False) == list(range(at))
    assert index.find("log", term("all"), 0, at, 1, newest_first=True) == [at - 1]
    assert index.size() > 0


def test_interrupted_merge(index: IndexDatabase) -> None:
    """A merge that fails on the way has not happened; the next one does its work."""
    for at in range(0, 1600, 100):
        index.add("log", at, at + 100, postings(at, at + 100, "a", "b", "c", "d"))

    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        index.tidy("log", fail)

    assert index.find("log", term("b"), 0, 1600, 9999, newest_first=False) == list(range(1600))
    assert index.tidy("log", nothing)
    assert index.find("log", term("b"), 0, 1600, 9999, newest_first=True) == list(
        range(1599, -1, -1)
    )


@pytest.mark.slow
@settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(data=st.data())
def test_model(index: IndexDatabase, data: st.DataObject) -> None:
    """Whatever is added and merged, finding gives what a dictionary would."""
    index.drop("log")
    known: dict[bytes, list[int]] = {}
    at = 0
    for _ in range(data.draw(st.integers(1, 12))):
        count = data.draw(st.integers(0, 40))
        some = []
        for entry in range(at, at + count):
            for name in data.draw(st.sets(st.sampled_from("abcde"))):
                known.setdefault(term(name), []).append(entry)
                some.append(term(name) + encode_entry(entry))
        assert index.add("log", at, at + count, some)
        at += count
        if data.draw(st.booleans()):
            index.tidy("log", nothing)
    wanted = term(data.draw(st.sampled_from("abcde")))
    start, stop = data.draw(st.integers(0, at)), data.draw(st.integers(0, at + 1))
    limit, newest = data.draw(st.integers(1, 50)), data.draw(st.booleans())

    expected = [entry for entry in known.get(wanted, []) if start <= entry < stop]
    expected = (expected[::-1] if newest else expected)[:limit]
    assert index.find("log", wanted, start, stop, limit, newest_first=newest) == expected


sorted_postings = st.sets(st.binary(min_size=POSTING_SIZE, max_size=POSTING_SIZE), max_size=2000)


@given(st.one_of(sorted_postings, st.integers(1, 3000).map(lambda n: set(postings(0, n, "x")))))
def test_blocks(found: set[bytes]) -> None:
    """Packed blocks hold the same postings in the same order, each block within a page."""
    given_ = sorted(found)
    packed = list(pack([given_[:700], given_[700:]]))

    unpacked = [unpack_block(block.data) for block in packed]

    assert [each for some in unpacked for each in some] == given_
    assert [some[0] for some in unpacked] == [block.first for block in packed]
    assert all(len(block.data) <= BLOCK_BYTES for block in packed)


def test_density() -> None:
    """Postings that are alike in their leading bytes take a fraction of a block."""
    packed = list(pack([postings(0, 60_000, "x")]))

    assert sum(len(block.data) for block in packed) < 60_000 * 3


@pytest.mark.slow
def test_tiers() -> None:
    """The number of runs is bounded by the number of tiers, and a large run is left alone."""
    runs: list[Run] = []
    seed = random.Random(2)
    at = 0
    for _ in range(5000):
        count = seed.choice((1, 3, 40, 500, 4096))
        runs.append(Run(0, at, at + count))
        at += count
        while chosen := mergeable(runs):
            assert all(run.tier < TOP_TIER for run in chosen)
            assert tuple(runs[-len(chosen) :]) == tuple(chosen)
            runs[-len(chosen) :] = [Run(0, chosen[0].first, chosen[-1].stop)]
        assert sum(run.tier < TOP_TIER for run in runs) <= MAX_RUNS

    assert [run.first for run in runs[1:]] == [run.stop for run in runs[:-1]]
    assert sum(run.tier == TOP_TIER for run in runs) >= at // (8 << 3 * TOP_TIER)
    assert MERGE_WIDTH == 8


def test_damaged_file(tmp_path: Path) -> None:
    """A file that is no database is replaced: the log has what was in it."""
    path = tmp_path / "index.db"
    path.write_bytes(b"not a database at all, but long enough to be looked at" * 100)

    index = SQLiteIndex(path)

    assert index.next("log") == 0
    assert path.stat().st_mode & 0o777 == 0o600
    index.close()


def test_other_version(tmp_path: Path) -> None:
    """Tables of another version are made anew."""
    path = tmp_path / "index.db"
    index = SQLiteIndex(path)
    index.add("log", 0, 5, postings(0, 5, "a"))
    index.close()
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", 99)
    connection.close()

    index = SQLiteIndex(path)

    assert index.next("log") == 0
    index.close()
