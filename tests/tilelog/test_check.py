"""Each test spoils one thing in a log of 600 entries; only reading all of it again finds that."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.tilelog.places import Place, fill
from touchplate.errors import VerificationError
from touchplate.storage.database import LogState, Segment
from touchplate.storage.memory import MemoryLog
from touchplate.storage.objects import MemoryObjects
from touchplate.tilelog.check import check_log
from touchplate.tilelog.tiles import Tiles


@pytest.fixture
def spoiled() -> Place:
    """Give a log of 600 entries, 512 of them sealed; it is whole until the test changes it."""
    place = Place(MemoryLog(), MemoryObjects())
    log = place.open()
    fill(log, 600)
    log.close()
    assert log.check() == log.checkpoint()
    return place


def check(place: Place) -> None:
    """Check the log as it rests, without opening it."""
    check_log(place.settings, place.database, Tiles(place.settings, place.database, place.objects))


@pytest.mark.slow
@pytest.mark.parametrize(
    "key", ["log/tile/entries/000", "log/tile/0/001", "log/stamps/000", "log/stamps/001"]
)
@pytest.mark.parametrize("change", ["flip", "cut", "lose"])
def test_object(spoiled: Place, key: str, change: str) -> None:
    """An object that differs, is cut short or is missing is found."""
    data = spoiled.objects.get(key)
    assert data is not None
    if change == "lose":
        assert isinstance(spoiled.objects, MemoryObjects)
        del spoiled.objects._objects[key]
    elif change == "cut":
        spoiled.objects.replace(key, data[:-1])
    else:
        spoiled.objects.replace(key, data[:40] + bytes([data[40] ^ 1]) + data[41:])

    with pytest.raises(VerificationError) as found:
        check(spoiled)
    assert found.value.code == "TLOG_INVALID"


def later(state: LogState) -> LogState:
    """Give the state with one entry too many."""
    return replace(state, size=state.size + 1)


def other_root(state: LogState) -> LogState:
    """Give the state with another root."""
    return replace(state, root=bytes(32))


def too_old(state: LogState) -> LogState:
    """Give the state with a checkpoint older than its entries."""
    return replace(state, time_ms=1)


@pytest.mark.parametrize("change", [later, other_root, too_old])
def test_state(spoiled: Place, change: Callable[[LogState], LogState]) -> None:
    """A state that the entries do not make is found."""
    state = spoiled.database.state()
    assert state is not None
    with spoiled.database.transaction() as transaction:
        transaction.store(state, change(state))

    with pytest.raises(VerificationError) as found:
        check(spoiled)
    assert found.value.code == "TLOG_INVALID"


def without_records(segment: Segment) -> Segment:
    """Lose the entries."""
    return replace(segment, records=b"")


def without_hashes(segment: Segment) -> Segment:
    """Change the leaf hashes."""
    return replace(segment, hashes=bytes(len(segment.hashes)))


def without_stamps(segment: Segment) -> Segment:
    """Change times and identities."""
    return replace(segment, stamps=bytes(len(segment.stamps)))


@pytest.mark.parametrize("change", [without_records, without_hashes, without_stamps])
def test_segment(spoiled: Place, change: Callable[[Segment], Segment]) -> None:
    """A row that differs is found."""
    state = spoiled.database.state()
    assert state is not None
    segment = spoiled.database.segments(599, 600)[0]
    with spoiled.database.transaction() as transaction:
        transaction.store(state, state, [change(segment)])

    with pytest.raises(VerificationError) as found:
        check(spoiled)
    assert found.value.code == "TLOG_INVALID"


def test_upper_tile(spoiled: Place) -> None:
    """A tile above level 0 that its leaves do not make is found."""
    state = spoiled.database.state()
    assert state is not None
    with spoiled.database.transaction() as transaction:
        transaction.store(state, state, [], {(1, 0): bytes(64)})

    with pytest.raises(VerificationError) as found:
        check(spoiled)
    assert found.value.code == "TLOG_INVALID"


@pytest.mark.slow
def test_lost_identity(spoiled: Place) -> None:
    """An entry that its identity does not lead to is found."""
    assert isinstance(spoiled.database, MemoryLog)
    spoiled.database._identities.popitem()

    with pytest.raises(VerificationError) as found:
        check(spoiled)
    assert found.value.code == "TLOG_INVALID"


def test_opening(spoiled: Place) -> None:
    """A log whose edge does not lead to its checkpoint is not opened."""
    state = spoiled.database.state()
    assert state is not None
    with spoiled.database.transaction() as transaction:
        transaction.store(state, other_root(state))

    with pytest.raises(VerificationError) as found:
        spoiled.open()
    assert found.value.code == "TLOG_INVALID"
