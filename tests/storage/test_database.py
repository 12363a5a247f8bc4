from dataclasses import replace
from threading import Thread

import pytest

from touchplate.errors import UnavailableError
from touchplate.storage.database import LogDatabase, LogState, Segment

EMPTY = LogState(0, bytes(32), 1, "empty", 0)


def segment(first: int, count: int) -> Segment:
    """Make a segment of `count` entries."""
    return Segment(
        first,
        b"".join(b"entry %d;" % index for index in range(first, first + count)),
        b"".join(index.to_bytes(32, "big") for index in range(first, first + count)),
        b"".join(index.to_bytes(40, "big") for index in range(first, first + count)),
    )


def identity(number: int) -> bytes:
    """Make an identity."""
    return number.to_bytes(32, "big")


@pytest.fixture
def begun(database: LogDatabase) -> LogDatabase:
    """Give a database with an empty log."""
    with database.transaction() as transaction:
        transaction.store(None, EMPTY)
    return database


def test_new(database: LogDatabase) -> None:
    """A new database holds nothing."""
    with database.transaction() as transaction:
        assert transaction.state() is None
    assert database.state() is None
    assert database.segments(0, 256) == []
    assert database.tile(1, 0) is None
    assert database.find(identity(0)) is None


def test_stored(begun: LogDatabase) -> None:
    """What a transaction stored is there when it has ended."""
    after = LogState(3, b"r" * 32, 2, "three", 0)
    with begun.transaction() as transaction:
        assert transaction.state() == EMPTY
        transaction.store(EMPTY, after, [segment(0, 3)], {(1, 0): b"h" * 32, (2, 5): b"i" * 64})

    assert begun.state() == after
    assert begun.segments(0, 256) == [segment(0, 3)]
    assert (begun.tile(1, 0), begun.tile(2, 5)) == (b"h" * 32, b"i" * 64)


def test_rolled_back(begun: LogDatabase) -> None:
    """Nothing of a transaction that raised has happened, and the next one may begin."""

    def fail() -> None:
        with begun.transaction() as transaction:
            transaction.claim([identity(1)], 0)
            transaction.store(EMPTY, replace(EMPTY, size=1), [segment(0, 1)], {(1, 0): b"h" * 32})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert begun.state() == EMPTY
    assert begun.segments(0, 256) == []
    assert begun.tile(1, 0) is None
    assert begun.find(identity(1)) is None
    with begun.transaction() as transaction:
        assert transaction.claim([identity(2)], 0) == [0]


def test_not_seen_before_commit(begun: LogDatabase) -> None:
    """Who reads sees the last commit, and does not wait for the next."""
    with begun.transaction() as transaction:
        transaction.claim([identity(1)], 0)
        transaction.store(EMPTY, replace(EMPTY, size=1), [segment(0, 1)])

        assert begun.state() == EMPTY
        assert begun.segments(0, 256) == []
        assert begun.find(identity(1)) is None


def test_compare_and_swap(begun: LogDatabase) -> None:
    """A state replaces only the one that it extends."""
    newer = replace(EMPTY, size=1)
    with begun.transaction() as transaction:
        transaction.store(EMPTY, newer)

    for before in (EMPTY, None, replace(newer, root=b"x" * 32)):
        with pytest.raises(UnavailableError), begun.transaction() as transaction:
            transaction.store(before, replace(EMPTY, size=2))
    assert begun.state() == newer


def test_claims(begun: LogDatabase) -> None:
    """New identities get the next indexes without gaps, known ones keep theirs."""
    with begun.transaction() as transaction:
        assert transaction.claim([identity(7), identity(5)], 0) == [0, 1]
    with begun.transaction() as transaction:
        claimed = transaction.claim([identity(n) for n in (3, 5, 9, 7, 1)], 2)

    assert claimed == [2, 1, 3, 0, 4]
    assert [begun.find(identity(n)) for n in (7, 5, 3, 9, 1, 2)] == [0, 1, 2, 3, 4, None]


def test_find_all(begun: LogDatabase) -> None:
    """Of many identities those that the log has are found at once."""
    with begun.transaction() as transaction:
        transaction.claim([identity(n) for n in (7, 5, 3)], 0)
        transaction.store(EMPTY, replace(EMPTY, size=3), [segment(0, 3)])

    assert begun.find_all([identity(n) for n in (3, 4, 7, 7)]) == {identity(3): 2, identity(7): 0}
    assert begun.find_all([]) == {}


def test_no_claims(begun: LogDatabase) -> None:
    """A batch may be empty."""
    with begun.transaction() as transaction:
        assert transaction.claim([], 0) == []


def test_segments(begun: LogDatabase) -> None:
    """A range gives every segment that holds a part of it, in order."""
    segments = [segment(0, 200), segment(200, 56), segment(256, 1), segment(257, 10)]
    with begun.transaction() as transaction:
        transaction.store(EMPTY, replace(EMPTY, size=267), segments)

    assert begun.segments(0, 256) == segments[:2]
    assert begun.segments(199, 200) == segments[:1]
    assert begun.segments(200, 201) == segments[1:2]
    assert begun.segments(255, 257) == segments[1:3]
    assert begun.segments(266, 267) == segments[3:]
    assert begun.segments(267, 300) == []


def test_tile_grows(begun: LogDatabase) -> None:
    """A tile that is stored again has its new hashes."""
    grown = replace(EMPTY, size=1)
    with begun.transaction() as transaction:
        transaction.store(EMPTY, grown, [], {(1, 0): b"h" * 32})
    with begun.transaction() as transaction:
        transaction.store(grown, EMPTY, [], {(1, 0): b"h" * 64})

    assert begun.tile(1, 0) == b"h" * 64


def test_forget(begun: LogDatabase) -> None:
    """Forgetting drops what is wholly below, and nothing else; identities stay known."""
    segments = [segment(0, 256), segment(65_280, 256), segment(65_536, 4)]
    tiles = {(1, 0): b"a" * 8192, (1, 1): b"b" * 32, (2, 0): b"c" * 32}
    with begun.transaction() as transaction:
        transaction.claim([identity(1)], 0)
        transaction.store(EMPTY, replace(EMPTY, size=65_540), segments, tiles)
    with begun.transaction() as transaction:
        state = transaction.state()
        assert state is not None
        transaction.store(state, replace(state, sealed=65_536))
        transaction.forget(65_536)

    assert begun.segments(0, 65_536) == []
    assert begun.segments(65_536, 65_540) == segments[2:]
    assert [begun.tile(*key) for key in tiles] == [None, b"b" * 32, b"c" * 32]
    assert begun.find(identity(1)) == 0


def test_one_writer(begun: LogDatabase) -> None:
    """Transactions of many threads take turns, and none is lost."""

    def count() -> None:
        for _ in range(20):
            with begun.transaction() as transaction:
                state = transaction.state()
                assert state is not None
                transaction.store(state, replace(state, size=state.size + 1))

    threads = [Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    state = begun.state()
    assert state is not None
    assert state.size == 80
