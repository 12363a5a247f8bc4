from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.index.bodies import (
    START_MS,
    Log,
    body,
    digest,
    everything,
    index_of,
    opened,
    spki,
)
from touchplate.errors import MalformedError
from touchplate.index import IndexSettings, Query
from touchplate.index.query import read_query
from touchplate.index.search import first_at
from touchplate.merkle.proof import check_inclusion
from touchplate.storage.index_memory import MemoryIndex

CI = "https://ci.example/Build"


@pytest.fixture
def log() -> Iterator[Log]:
    """Give a log with some entries: numbers 0 to 9, of one person, a build, and others."""
    with opened() as (made,):
        made.append(
            body(0, "Ann@Example.com"),
            body(1, "bob@example.com"),
            body(2, CI, "https://ci.example", {20: "push", 12: "https://repo.example"}),
            body(3, "ann@example.com", "https://other.example"),
        )
        made.now_ms += 1000
        made.append(*(body(number, f"p{number}@example.com") for number in range(4, 8)))
        made.now_ms += 1000
        made.append(
            body(8, CI, "https://ci.example", {20: "tag", 1: "https://old.example"}),
            body(9, CI.lower(), "https://ci.example", {20: "push"}),
        )
        yield made


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, list(range(9, -1, -1))),
        ({"digest": digest(3)}, [3]),
        ({"digest": digest(3).upper()}, [3]),
        ({"digest": digest(3).partition(":")[2]}, [3]),
        ({"digest": digest(77)}, []),
        ({"identity": "ann@example.com"}, [3, 0]),
        ({"identity": "ANN@EXAMPLE.COM"}, [3, 0]),
        ({"identity": CI}, [8, 2]),
        ({"identity": CI.lower()}, [9]),
        ({"issuer": "https://ci.example"}, [9, 8, 2]),
        ({"issuer": "https://old.example"}, [8]),
        ({"extension": "20=push"}, [9, 2]),
        ({"extension": "buildTrigger=push"}, [9, 2]),
        ({"extension": "8=https://other.example"}, [3]),
        ({"extension": "1=https://old.example"}, [8]),
        ({"extension": "8=https://old.example"}, []),
        ({"extension": "20=pus"}, []),
        ({"kind": "hashedrekord"}, list(range(9, -1, -1))),
        ({"kind": "dsse"}, []),
        ({"key": sha256(spki("key 5")).hexdigest()}, [5]),
        ({"identity": CI, "extension": "20=push"}, [2]),
        ({"identity": "ann@example.com", "issuer": "https://other.example"}, [3]),
        ({"identity": "ann@example.com", "digest": digest(1)}, []),
        ({"kind": "hashedrekord", "issuer": "https://ci.example", "order": "oldest"}, [2, 8, 9]),
    ],
    ids=str,
)
def test_conditions(log: Log, query: dict[str, str], expected: list[int]) -> None:
    """Each condition finds what has exactly that value, and several find what meets them all."""
    index = index_of(MemoryIndex(), log)
    index.catch_up()

    rows = everything(index, read_query({name: (value,) for name, value in query.items()}))

    assert [row.entry for row in rows] == expected


def at(ms: int) -> datetime:
    """Give a time after the log began."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=START_MS + ms)


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (None, at(1000), [0, 1, 2, 3]),
        (at(1000), None, [4, 5, 6, 7, 8, 9]),
        (at(1000), at(2000), [4, 5, 6, 7]),
        (at(1), at(2001), list(range(4, 10))),
        (at(1000) + timedelta(microseconds=1), at(9000), [8, 9]),
        (at(3000), None, []),
        (at(2000), at(1000), []),
    ],
)
def test_times(
    log: Log, since: datetime | None, until: datetime | None, expected: list[int]
) -> None:
    """Entries integrated at `since` are found, those at `until` are not."""
    index = index_of(MemoryIndex(), log)
    index.catch_up()

    rows = everything(index, Query(since=since, until=until, newest_first=False))

    assert [row.entry for row in rows] == expected
    assert all(row.terms.kind == "hashedrekord" for row in rows)


@pytest.mark.parametrize("size", range(11))
def test_first_at(log: Log, size: int) -> None:
    """Whatever part of the log is indexed, the first entry of a time is found in it."""
    found = [first_at(log.tree(), size, START_MS + ms) for ms in (0, 1, 1000, 2000, 2001)]

    assert found == [0, min(4, size), min(4, size), min(8, size), size]


def test_proofs(log: Log) -> None:
    """Each row is proven in the one checkpoint of its page, which may be newer than the index."""
    index = index_of(MemoryIndex(), log)
    index.catch_up()
    log.append(body(100), body(101))

    page = index.search(Query(), limit=100, proofs=True)

    assert page.checkpoint is not None
    assert (page.checkpoint.size, len(page.rows)) == (12, 10)
    for row in page.rows:
        assert row.proof is not None
        check_inclusion(
            row.entry, page.checkpoint.size, row.leaf_hash, row.proof, page.checkpoint.root
        )


def test_pages_while_the_log_grows(log: Log) -> None:
    """Pages that follow each other give each entry once, also when entries arrive between them."""
    index = index_of(MemoryIndex(), log)
    index.catch_up()
    for newest_first in (True, False):
        query = Query(kinds=("hashedrekord",), newest_first=newest_first)
        first = index.search(query, limit=4)
        before = log.tiles.checkpoint().size
        log.append(body(200 + before), body(300 + before))
        index.catch_up()

        seen = [row.entry for row in first.rows]
        cursor = first.cursor
        while cursor is not None:
            page = index.search(query, cursor=cursor, limit=3)
            seen += [row.entry for row in page.rows]
            cursor = page.cursor

        expected = list(range(before)) if newest_first else list(range(before + 2))
        assert sorted(seen) == expected
        assert seen == sorted(seen, reverse=newest_first)


def test_budget(log: Log) -> None:
    """A question that is dear ends its page early, and the pages hold everything all the same."""
    index = index_of(MemoryIndex(), log, settings=IndexSettings(max_scanned=60))
    log.append(*(body(number, "z@example.com", f"https://i{number % 2}") for number in range(400)))
    index.catch_up()
    query = Query(identities=("z@example.com",), issuers=("https://i1",))

    page = index.search(query, limit=100)
    rows = everything(index, query)

    assert len(page.rows) < 5
    assert page.cursor is not None
    assert len(rows) == 200


@pytest.mark.parametrize("cursor", ["x", "AAAA", "é", "A" * 34, "=" * 7, "A" * 10_000])
def test_foreign_cursor(log: Log, cursor: str) -> None:
    """A cursor that this query did not give is refused."""
    index = index_of(MemoryIndex(), log)
    index.catch_up()
    other = index.search(Query(newest_first=False), limit=1).cursor

    for wrong in (cursor, other):
        with pytest.raises(MalformedError, match="cursor"):
            index.search(Query(), cursor=wrong)


def test_several_trees() -> None:
    """A search goes through all trees, a page through one, and indexes count over all of them."""
    with opened(3) as logs:
        logs[0].append(body(0), body(1, "b@example.com"))
        logs[2].append(body(2), body(3))
        index = index_of(MemoryIndex(), *logs)
        index.catch_up()

        for newest_first in (True, False):
            rows = everything(
                index, Query(identities=("a@example.com",), newest_first=newest_first), limit=2
            )
            found = [(row.tree_id, row.entry, row.virtual_index) for row in rows]
            expected = [(1, 0, 0), (3, 0, 2), (3, 1, 3)]
            assert found == (expected[::-1] if newest_first else expected)
        assert index.find_v1(("a@example.com",), False) == [(3, 1), (3, 0), (1, 0)]


def test_v1_operators(log: Log) -> None:
    """`or` is the union of the keys' entries, `and` the intersection; both newest first."""
    index = index_of(MemoryIndex(), log)
    index.catch_up()

    def find(all_of: bool, *keys: str) -> list[int]:
        return [entry for _, entry in index.find_v1(keys, all_of)]

    assert find(False, "ann@example.com", digest(1)) == [3, 1, 0]
    assert find(True, "ann@example.com", digest(3)) == [3]
    assert find(True, "ann@example.com", digest(1)) == []
    assert find(False, "ANN@example.com") == [3, 0]
    assert find(False) == []
    # What v1 has no key for is not found by it: issuers, kinds, keys by their SPKI.
    assert find(False, "https://ci.example", "hashedrekord") == []
    assert find(False, sha256(spki("key 5")).hexdigest()) == []


names = st.sampled_from(
    ["a@example.com", "B@example.com", "b@example.com", "https://u/R", "https://u/r"]
)
issuers = st.sampled_from(["https://i1", "https://i2"])
triggers = st.sampled_from(["push", "tag"])
logged = st.lists(st.tuples(names, issuers, triggers), max_size=60)


@settings(max_examples=30, deadline=None)
@given(logged, st.data())
def test_rebuilt_is_followed(entries: list[tuple[str, str, str]], data: st.DataObject) -> None:
    """An index that followed a random log answers as one made again, and as a scan."""
    with opened() as (log,):
        followed, rebuilt = (index_of(MemoryIndex(), log) for _ in range(2))
        at = 0
        while at < len(entries):
            stop = data.draw(st.integers(at + 1, len(entries)))
            log.append(
                *(
                    body(number, name, issuer, {20: trigger})
                    for number, (name, issuer, trigger) in enumerate(entries[at:stop], at)
                )
            )
            log.now_ms += 10
            followed.catch_up()
            at = stop
        rebuilt.catch_up()
        rebuilt.rebuild()
        query = Query(
            identities=tuple(data.draw(st.sets(names, max_size=1))),
            issuers=tuple(data.draw(st.sets(issuers, max_size=1))),
            extensions=tuple((20, each) for each in data.draw(st.sets(triggers, max_size=1))),
            newest_first=data.draw(st.booleans()),
        )

        limit = data.draw(st.integers(1, 7))
        rows = [row.entry for row in everything(followed, query, limit)]

        scanned = [row.entry for row in everything(followed, Query()) if query.matches(row.terms)]
        assert rows == sorted(scanned, reverse=query.newest_first)
        assert [row.entry for row in everything(rebuilt, query, limit)] == rows
        expected = [
            number
            for number, (name, issuer, trigger) in enumerate(entries)
            if _meets(query, name, issuer, trigger)
        ]
        assert sorted(rows) == expected


def _meets(query: Query, name: str, issuer: str, trigger: str) -> bool:
    wanted: Any = query.identities[0] if query.identities else name
    same = wanted.lower() == name.lower() if "@" in wanted else wanted == name
    return (
        same
        and issuer in (query.issuers or (issuer,))
        and (20, trigger) in (query.extensions or ((20, trigger),))
    )


def test_fingerprint() -> None:
    """Every part of a query makes its cursors its own."""
    query = Query(digests=("sha256:00",))
    others = [
        replace(query, digests=()),
        replace(query, newest_first=False),
        replace(query, kinds=("dsse",)),
        replace(query, until=datetime(2030, 1, 1, tzinfo=UTC)),
    ]

    assert len({each.fingerprint() for each in (query, *others)}) == 5
