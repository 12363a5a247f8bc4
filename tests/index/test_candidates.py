from collections.abc import Iterator
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.index.bodies import body
from touchplate.entries.terms import terms
from touchplate.index.candidates import Budget, BudgetSpentError, candidates
from touchplate.index.texts import EXTENSION, ISSUER, KIND, OTHER, V1, hasher, terms_of
from touchplate.storage.index import encode_entry
from touchplate.storage.index_memory import MemoryIndex

SIZE = 3000
# Of each term, the entries that have it: dense, sparse, in one part, seldom, never.
HAVE = {
    b"everyone": list(range(SIZE)),
    b"thirds  ": list(range(0, SIZE, 3)),
    b"seventh ": list(range(5, SIZE, 7)),
    b"early   ": list(range(400)),
    b"late    ": list(range(2600, SIZE)),
    b"once    ": [1234],
    b"never   ": [],
}


@pytest.fixture(scope="module")
def database() -> MemoryIndex:
    """Give an index of those."""
    made = MemoryIndex()
    for first in range(0, SIZE, 500):
        some = [
            term + encode_entry(entry)
            for term, entries in HAVE.items()
            for entry in entries
            if first <= entry < first + 500
        ]
        assert made.add("log", first, first + 500, some)
    return made


conditions = st.lists(
    st.lists(st.sampled_from(sorted(HAVE)), min_size=1, max_size=3), min_size=1, max_size=3
)
places = st.integers(0, SIZE)


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(conditions, places, places, st.booleans())
def test_model(
    database: MemoryIndex, wanted: list[list[bytes]], start: int, stop: int, newest: bool
) -> None:
    """The candidates are the entries with a term of each condition, in order, once each."""
    found = list(
        candidates(database, "log", wanted, start, stop, newest_first=newest, budget=Budget(10**9))
    )

    sets = [set(chain.from_iterable(HAVE[term] for term in terms_)) for terms_ in wanted]
    expected = sorted(set.intersection(*sets) & set(range(start, stop)), reverse=newest)
    assert found == expected


@pytest.mark.slow
@settings(deadline=None, max_examples=50)
@given(conditions, st.booleans(), st.integers(0, 300))
def test_budget(
    database: MemoryIndex, wanted: list[list[bytes]], newest: bool, budget: int
) -> None:
    """Questions that go on where the one before had to stop give the same, and come to an end."""
    found: list[int] = []
    start, stop = 0, SIZE
    for _ in range(2 * SIZE):
        some = candidates(
            database, "log", wanted, start, stop, newest_first=newest, budget=Budget(budget)
        )
        place = _take(some, found)
        if place is None:
            break
        assert place != (stop - 1 if newest else start)
        start, stop = (start, place + 1) if newest else (place, stop)
    else:
        pytest.fail("questions without end")

    every = candidates(database, "log", wanted, 0, SIZE, newest_first=newest, budget=Budget(10**9))
    assert found == list(every)


def _take(some: Iterator[int], found: list[int]) -> int | None:
    """Take the candidates; give the place where the budget ended, if it did."""
    while True:
        try:
            entry = next(some, None)
        except BudgetSpentError as spent:
            return spent.entry
        if entry is None:
            return None
        found.append(entry)


def test_terms_of_an_entry() -> None:
    """What v1 has a key for takes one posting; an issuer takes one, wherever it stands."""
    make = hasher(bytes(16))
    found = terms(body(1, "Ann@example.com", "https://i", {1: "https://i", 20: "push"}))

    expected = {
        *(make(V1, key) for key in found.v1_keys),
        make(OTHER, found.keys[1]),
        make(ISSUER, "https://i"),
        make(EXTENSION, "20=push"),
        make(KIND, "hashedrekord"),
    }
    assert terms_of(found, make) == expected
    assert len(expected) == 7


def test_spaces() -> None:
    """A text of one space is never a term of another, nor that of another salt."""
    one, other = hasher(bytes(16)), hasher(b"x" * 16)
    texts = ["sha256:00", "a" * 500]
    made = [
        make(space, text)
        for make in (one, other)
        for space in (V1, OTHER, KIND, ISSUER, EXTENSION)
        for text in texts
    ]

    assert len(set(made)) == len(made)
