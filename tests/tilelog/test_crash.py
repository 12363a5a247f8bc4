"""Storage that fails, or dies, at every step that an append takes.

Each call into the storage is counted. The chosen one fails, before or after it was done; from there
on all succeed (a fault that passes) or none does anything any more (the process has died).
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Event, Lock

import pytest

from tests.tilelog.places import Place, fill, submission
from touchplate.errors import UnavailableError
from touchplate.storage.database import (
    LogDatabase,
    LogState,
    LogTransaction,
    PublishedCheckpoint,
    Segment,
)
from touchplate.storage.memory import MemoryLog
from touchplate.storage.objects import MemoryObjects, ObjectStore
from touchplate.tilelog.entry import Receipt
from touchplate.tilelog.log import TileLog

STEPS = range(40)  # appending 400 entries and sealing a bundle takes about as many


class Fault:
    """Where to fail, and how."""

    def __init__(self) -> None:
        self.at: int | None = None  # how many more steps succeed
        self.after = False  # fail when the step is done, not before
        self.stays = False  # every later step fails as well
        self.happened = False
        self.failures = 0  # steps that have failed
        self._lock = Lock()

    @contextmanager
    def step(self) -> Iterator[None]:
        """Take one step, unless this is where to fail."""
        now = self._now()
        if now and not self.after:
            raise _failure()
        yield
        if now:
            raise _failure()

    def _now(self) -> bool:
        with self._lock:
            if self.happened and self.stays:
                # Dead: whatever is tried after the fault has not happened.
                self.failures += 1
                raise _failure()
            if self.at is None or self.happened:
                return False
            self.at -= 1
            self.happened = self.at < 0
            self.failures += self.happened
            return self.happened


def _failure() -> UnavailableError:
    return UnavailableError("STORAGE_UNAVAILABLE", "injected")


class DyingObjects:
    """An object store over another one that fails where it is told to."""

    def __init__(self, under: ObjectStore, fault: Fault) -> None:
        self._under = under
        self._fault = fault

    def put(self, key: str, data: bytes) -> None:
        """Put, or fail."""
        with self._fault.step():
            self._under.put(key, data)

    def put_all(self, objects: Mapping[str, bytes]) -> None:
        """Put them one by one; any may fail."""
        for key, data in objects.items():
            self.put(key, data)

    def replace(self, key: str, data: bytes) -> None:
        """Replace, or fail."""
        with self._fault.step():
            self._under.replace(key, data)

    def get(self, key: str) -> bytes | None:
        """Get, or fail."""
        with self._fault.step():
            return self._under.get(key)


class DyingLog:
    """A database over another one that fails where it is told to."""

    def __init__(self, under: LogDatabase, fault: Fault) -> None:
        self._under = under
        self._fault = fault

    @contextmanager
    def transaction(self) -> Iterator[LogTransaction]:
        """Begin and commit; either may fail, and a failed commit may have happened."""
        with self._fault.step():
            pass
        committing = False
        try:
            with self._under.transaction() as transaction:
                yield DyingTransaction(transaction, self._fault)
                committing = True
                if not self._fault.after:
                    with self._fault.step():
                        pass
        finally:
            if committing and self._fault.after:
                with self._fault.step():
                    pass

    def state(self) -> LogState | None:
        """Read, or fail."""
        with self._fault.step():
            return self._under.state()

    def segments(self, start: int, stop: int) -> list[Segment]:
        """Read, or fail."""
        with self._fault.step():
            return self._under.segments(start, stop)

    def tile(self, level: int, index: int) -> bytes | None:
        """Read, or fail."""
        with self._fault.step():
            return self._under.tile(level, index)

    def find(self, identity: bytes) -> int | None:
        """Read, or fail."""
        with self._fault.step():
            return self._under.find(identity)

    def find_all(self, identities: Sequence[bytes]) -> dict[bytes, int]:
        """Read, or fail."""
        with self._fault.step():
            return self._under.find_all(identities)

    def published(self) -> PublishedCheckpoint | None:
        """Read, or fail."""
        with self._fault.step():
            return self._under.published()

    def publish(self, checkpoint: PublishedCheckpoint) -> None:
        """Publish, or fail."""
        with self._fault.step():
            self._under.publish(checkpoint)

    def unpublish(self) -> None:
        """Forget what was published, or fail."""
        with self._fault.step():
            self._under.unpublish()

    def tidy(self) -> None:
        """Tidy, or fail."""
        with self._fault.step():
            self._under.tidy()

    def reindex(self, identities: Iterable[bytes]) -> None:
        """Reindex, or fail."""
        with self._fault.step():
            self._under.reindex(identities)

    def close(self) -> None:
        """Leave the database below to its owner."""


class DyingTransaction:
    """A transaction that fails where it is told to."""

    def __init__(self, under: LogTransaction, fault: Fault) -> None:
        self._under = under
        self._fault = fault

    def state(self) -> LogState | None:
        """Read, or fail."""
        with self._fault.step():
            return self._under.state()

    def claim(self, identities: Sequence[bytes], first: int) -> list[int]:
        """Claim, or fail."""
        with self._fault.step():
            return self._under.claim(identities, first)

    def store(
        self,
        before: LogState | None,
        after: LogState,
        segments: Sequence[Segment] = (),
        tiles: Mapping[tuple[int, int], bytes] | None = None,
    ) -> None:
        """Store, or fail."""
        with self._fault.step():
            self._under.store(before, after, segments, tiles)

    def forget(self, sealed: int) -> None:
        """Forget, or fail."""
        with self._fault.step():
            self._under.forget(sealed)


def appended(log: TileLog, numbers: range) -> dict[int, Receipt]:
    """Append the entries one batch after the other; give those that were answered for."""
    answered = {}
    for start in numbers[::100]:
        batch = range(start, min(start + 100, numbers.stop))
        futures = {number: log.append(submission(number)) for number in batch}
        for number, future in futures.items():
            error = future.exception(60)
            if error is None:
                answered[number] = future.result()
            else:
                assert isinstance(error, UnavailableError)
    return answered


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("stays", [False, True], ids=["passes", "dies"])
@pytest.mark.parametrize(
    "at", [each if each % 9 == 3 else pytest.param(each, marks=pytest.mark.slow) for each in STEPS]
)
def test_every_step(at: int, stays: bool, after: bool) -> None:
    """Whichever step fails, nothing that was answered is lost, and the log goes on.

    The entries fill a bundle, so that appending, sealing and forgetting all come to fail.
    """
    fault = Fault()
    place = Place(MemoryLog(), MemoryObjects())
    faulty = Place(DyingLog(place.database, fault), DyingObjects(place.objects, fault))
    answered = {}
    log = faulty.open()
    answered.update(appended(log, range(200)))
    fault.at, fault.after, fault.stays = at, after, stays
    try:
        answered.update(appended(log, range(200, 600)))
        log.close()
    except UnavailableError:
        assert stays
    seen = place.open().checkpoint()

    reopened = place.open()
    assert reopened.check() == seen
    for number, receipt in list(answered.items())[::5]:
        entry = reopened.entry(receipt.index)
        assert entry is not None
        assert (entry.record, entry.identity) == (receipt.record, submission(number).identity)
        reopened.check_extends(receipt.checkpoint.size, receipt.checkpoint.root)
    everything = appended(reopened, range(600))
    assert sorted(receipt.index for receipt in everything.values()) == list(range(600))
    for number, receipt in answered.items():
        assert everything[number].index == receipt.index
    place.close()


def test_new_log() -> None:
    """A log whose making failed is made by the next try."""
    for at, after in itertools.product(range(6), (False, True)):
        fault = Fault()
        fault.at, fault.after = at, after
        place = Place(MemoryLog(), MemoryObjects())
        faulty = Place(DyingLog(place.database, fault), DyingObjects(place.objects, fault))
        with pytest.raises(UnavailableError):
            faulty.open()
        log = place.open()
        assert log.checkpoint().size == 0
        fill(log, 3)
        place.close()


def test_object_store_away() -> None:
    """While the object store is away entries are taken up to a bound; then it catches up."""
    fault = Fault()
    place = Place(MemoryLog(), MemoryObjects())
    log = Place(place.database, DyingObjects(place.objects, fault)).open(max_unsealed=512)
    fault.at, fault.stays = 0, True
    for number in range(512):
        log.append(submission(number)).result(60)
    with pytest.raises(UnavailableError) as refused:
        log.append(submission(512))
    assert refused.value.code == "LOG_BUSY"
    fault.stays = False
    log.close()

    state = place.database.state()
    assert state is not None
    assert state.sealed == 512
    place.open()
    place.close()


def test_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """What fails in the same way again and again is told once, and that it works again."""
    fault = Fault()
    place = Place(MemoryLog(), MemoryObjects())
    log = Place(DyingLog(place.database, fault), place.objects).open()
    fault.at, fault.stays = 0, True
    for number in range(5):
        with pytest.raises(UnavailableError):
            log.append(submission(number)).result(60)
    fault.stays = False
    fill(log, 5)
    place.close()

    told = [text for text in caplog.messages if "a batch failed" in text]
    assert told == ["log: a batch failed: injected", "log: no longer: a batch failed"]


def test_object_store_slow() -> None:
    """While the object store is slow batches wait for it and grow; nobody is turned away."""
    place = Place(MemoryLog(), MemoryObjects())
    slow = SlowObjects(place.objects)
    log = Place(place.database, slow).open(max_unsealed=512)
    fill(log, 300)
    assert slow.reached.wait(60)
    held = [log.append(submission(number)) for number in range(300, 400)]
    assert log.checkpoint().size == 300
    slow.gate.set()

    assert {future.result(60).checkpoint.size for future in held} == {400}
    log.close()
    place.open()
    place.close()


class SlowObjects:
    """An object store over another one that waits at a gate."""

    def __init__(self, under: ObjectStore) -> None:
        self._under = under
        self.gate = Event()
        self.reached = Event()

    def put(self, key: str, data: bytes) -> None:
        """Put, once the gate is open."""
        self.put_all({key: data})

    def put_all(self, objects: Mapping[str, bytes]) -> None:
        """Put, once the gate is open."""
        self.reached.set()
        assert self.gate.wait(10)
        self._under.put_all(objects)

    def replace(self, key: str, data: bytes) -> None:
        """Replace."""
        self._under.replace(key, data)

    def get(self, key: str) -> bytes | None:
        """Get."""
        return self._under.get(key)
