import itertools

import pytest

from tests.tilelog.places import Place, fill, submission
from tests.tilelog.test_crash import DyingLog, DyingObjects, Fault
from touchplate.errors import RefusedError, SettingsError, UnavailableError
from touchplate.storage.memory import MemoryLog
from touchplate.storage.objects import MemoryObjects
from touchplate.tilelog.bulk import Loaded, LoadedEntry, load
from touchplate.tilelog.entry import SignedCheckpoint
from touchplate.tilelog.log import TileLog
from touchplate.tilelog.settings import ProveConsistency


def entry(number: int) -> LoadedEntry:
    """Make the entry with this number, as it was at its index then."""
    return LoadedEntry(submission(number).identity, submission(number).build(number, 5), 5 + number)


def entries(start: int, stop: int) -> list[LoadedEntry]:
    """Make entries."""
    return [entry(number) for number in range(start, stop)]


def run(place: Place, given: list[LoadedEntry], batch: int = 300) -> Loaded:
    """Load."""
    return load(place.settings, place.database, place.objects, given, batch=batch)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [100, 256, 1000])
@pytest.mark.parametrize("size", [0, 3, 256, 300])
def test_loaded(place: Place, size: int, batch: int) -> None:
    """From any size, what was loaded is there with its times, and the log goes on behind it."""
    log = place.open()
    fill(log, size)
    before = log.checkpoint()
    loaded = run(place, entries(size, size + 700), batch)
    log.close()
    log = place.open()

    assert (loaded.added, loaded.known) == (700, 0)
    assert loaded.checkpoint == log.check() == log.checkpoint()
    log.check_extends(before.size, before.root)
    for number in (size, size + 255, size + 699):
        found = log.entry(number)
        assert found is not None
        assert (found.record, found.identity) == (entry(number).leaf.record, entry(number).identity)
        assert found.time_ms == (5 + number if not size else max(5 + number, place.clock()))
        assert log.append(submission(number)).result(60).index == number
    assert fill(log, 300)[299].index == size + 999


def test_through_the_object_store(place: Place) -> None:
    """Full bundles rest in objects at once; only the rest is in the database."""
    place.open()
    run(place, entries(0, 600))
    state = place.database.state()

    assert state is not None
    assert (state.size, state.sealed) == (600, 512)
    assert [each.first for each in place.database.segments(0, 600)] == [512]


def test_known(place: Place) -> None:
    """What the log has, and what comes twice, is passed over."""
    fill(place.open(), 10)
    loaded = run(place, [*entries(5, 400), *entries(0, 20), *entries(390, 401)], 7)

    assert (loaded.added, loaded.known, loaded.checkpoint.size) == (391, 35, 401)
    assert run(place, entries(0, 401)).added == 0


def test_times(place: Place) -> None:
    """The time of an entry is never before that of the one before it."""
    log = place.open()
    times = [50, 40, 60, 60, 10, 70]
    given = [each._replace(time_ms=at) for each, at in zip(entries(0, 6), times, strict=True)]
    run(place, given, 4)

    found = [log.entry(number) for number in range(6)]
    assert [each and each.time_ms for each in found] == [50, 50, 60, 60, 60, 70]


def test_beside_a_writer(place: Place) -> None:
    """A log that is open meanwhile sees what is loaded and appends in between."""
    log = place.open()

    def given() -> list[LoadedEntry]:
        return entries(0, 900)

    def progress(size: int) -> None:
        sizes.append(size)
        receipt = log.append(submission(10_000 + size)).result(60)
        assert receipt.index == size

    sizes: list[int] = []
    load(place.settings, place.database, place.objects, given(), batch=300, progress=progress)

    assert sizes == [300, 601, 902]
    assert log.checkpoint().size == 903


def test_frozen(place: Place) -> None:
    """A frozen log is not loaded into."""
    place.open().freeze("Log frozen")

    with pytest.raises(RefusedError) as refused:
        run(place, entries(0, 1))
    assert refused.value.code == "LOG_FROZEN"


def test_cosigned(place: Place) -> None:
    """A load ends with a checkpoint that is cosigned, once."""
    calls: list[int] = []

    def cosign(checkpoint: SignedCheckpoint, _prove: ProveConsistency) -> str:
        calls.append(checkpoint.size)
        return checkpoint.envelope + " cosigned"

    log = place.open(cosign=cosign)
    loaded = load(log._settings, place.database, place.objects, entries(0, 900), batch=256)

    assert calls == [900]
    assert loaded.checkpoint == log.checkpoint()
    assert loaded.checkpoint.envelope.endswith("cosigned")


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "at",
    [each if each % 7 == 2 else pytest.param(each, marks=pytest.mark.slow) for each in range(40)],
)
def test_dies(at: int, after: bool) -> None:
    """Wherever a load dies, the log opens and grows, and the load is finished by another."""
    fault = Fault()
    place = Place(MemoryLog(), MemoryObjects())
    log = place.open()
    fill(log, 100)
    faulty = Place(DyingLog(place.database, fault), DyingObjects(place.objects, fault))
    fault.at, fault.after, fault.stays = at, after, True
    with pytest.raises(UnavailableError):
        run(faulty, entries(100, 1300))
    died_at = log.checkpoint()
    other = place.open()
    # Other entries than those that were on their way, through the ends of their bundles.
    futures = [other.append(submission(number)) for number in range(5000, 5600)]
    assert [each.result(60).index for each in futures] == list(
        range(died_at.size, died_at.size + 600)
    )
    other.close()
    loaded = run(place, entries(100, 1300))

    assert loaded.checkpoint.size == 1900
    assert loaded.known == died_at.size - 100
    reopened = place.open()
    reopened.check_extends(died_at.size, died_at.root)
    assert reopened.check() == loaded.checkpoint
    place.close()


def cut_short() -> tuple[Place, TileLog]:
    """Give a log of 300 entries, and objects of a load that died before its commit."""
    fault = Fault()
    place = Place(MemoryLog(), MemoryObjects())
    log = place.open()
    fill(log, 300)
    log.close()
    faulty = Place(DyingLog(place.database, fault), place.objects)
    for at in itertools.count():
        fault.at, fault.happened, fault.stays = at, False, True
        with pytest.raises(UnavailableError):
            run(faulty, entries(300, 2000), 2000)
        if place.objects.get("log/tile/entries/005") is not None:
            return place, log
    raise AssertionError


def test_not_promised() -> None:
    """What a load left is not in the log: nobody can read it."""
    place, log = cut_short()

    for opened in (log, place.open()):
        assert opened.checkpoint().size == 300
        assert opened.read_entries(5) is None
        assert opened.read_entries(1) is None
        assert opened.read_tile(0, 5) is None
        assert opened.entry(300) is None
    place.close()


def test_old_database() -> None:
    """A database from before the load is refused, also when that had been cut short before."""
    place, _ = cut_short()
    state = place.database.state()
    run(place, entries(300, 2000))
    old = Place(MemoryLog(), place.objects)
    with old.database.transaction() as transaction:
        assert state is not None
        transaction.store(None, state)

    with pytest.raises(SettingsError) as refused:
        old.open()
    assert refused.value.code == "STATE_BEHIND"
    place.close()


def test_promised_objects_stay() -> None:
    """What is above the log's size and not from a load into this tree is held to be promised."""
    place, _ = cut_short()
    place.objects.replace("log/loading", b"300 " + b"00" * 32 + b" 2000\n")

    for begin in (place.open, lambda: run(place, entries(3000, 4000))):
        with pytest.raises(SettingsError) as refused:
            begin()
        assert refused.value.code == "STATE_BEHIND"


def test_damaged_note() -> None:
    """A note of a load that cannot be read is named, and no object is taken for what it left."""
    place, _ = cut_short()
    place.objects.replace("log/loading", b"300 " + b"00" * 32)

    for begin in (place.open, lambda: run(place, entries(3000, 4000))):
        with pytest.raises(SettingsError, match="log/loading") as refused:
            begin()
        assert refused.value.code == "FILE_UNREADABLE"


def test_other_objects_stay() -> None:
    """Beyond what a load may have left, other bytes are another log's: they are not replaced."""
    place, _ = cut_short()
    place.objects.replace("log/tile/entries/009", b"another log's")

    with pytest.raises(RefusedError) as refused:
        load(place.settings, place.database, place.objects, entries(3000, 6000), batch=1000)
    assert refused.value.code == "FILE_EXISTS"
    assert place.objects.get("log/tile/entries/009") == b"another log's"


def test_other_objects_stay_without_load() -> None:
    """Where nothing was loaded no object is ever replaced."""
    place = Place(MemoryLog(), MemoryObjects())
    log = place.open()
    fill(log, 3)
    place.objects.put("log/tile/0/000", b"another log's")
    fill(log, 300)
    log.close()

    state = place.database.state()
    assert state is not None
    assert state.sealed == 0
    assert place.objects.get("log/tile/0/000") == b"another log's"
