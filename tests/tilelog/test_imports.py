from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from tests.tilelog.places import Place, fill, submission
from tests.tilelog.test_crash import DyingLog, DyingObjects, Fault
from touchplate.errors import RefusedError, SettingsError, TouchplateError, VerificationError
from touchplate.merkle.edge import EMPTY_EDGE, extend
from touchplate.merkle.tree import RootHash, leaf_hash
from touchplate.storage.memory import MemoryLog
from touchplate.storage.objects import MemoryObjects
from touchplate.tilelog import imports
from touchplate.tilelog.audit import Auditor, count_parts
from touchplate.tilelog.entry import duplicate_identity
from touchplate.tilelog.imports import (
    Import,
    Imported,
    check_imported,
    find_import,
    import_log,
)
from touchplate.tilelog.log import TileLog
from touchplate.tilelog.source import SourceEntry


@dataclass
class Listed:
    """A source in a list. It may lie about its root."""

    given: list[SourceEntry]
    root: RootHash
    size: int

    def root_at(self, size: int) -> RootHash:
        return root_of(self.given[:size])

    def entries(self, start: int) -> Iterator[SourceEntry]:
        return iter(self.given[start:])


def root_of(entries: list[SourceEntry]) -> RootHash:
    """Compute the root."""
    return extend(EMPTY_EDGE, [leaf_hash(entry.data) for entry in entries]).edge.root()


def listed(entries: list[SourceEntry]) -> Listed:
    """Make an honest source."""
    return Listed(entries, root_of(entries), len(entries))


def numbered(count: int, start: int = 0) -> list[SourceEntry]:
    """Make entries, each a second later."""
    return [SourceEntry(b"old entry %d" % n, 1000 * n) for n in range(start, start + count)]


def run(place: Place, source: Listed) -> Imported:
    """Import."""
    return import_log(place.settings, place.database, place.objects, source)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an import of few entries have several batches."""
    monkeypatch.setattr(imports, "BATCH", 256)


def opened(place: Place) -> TileLog:
    """Make the empty log, as a first start does, and close it."""
    log = place.open()
    log.close()
    return log


@pytest.mark.parametrize("size", [0, 1, 256, 1000])
def test_lossless(place: Place, size: int) -> None:
    """Entries, times, order and root are the source's; lookups by leaf hash find each."""
    opened(place)
    entries = numbered(size)
    imported = run(place, listed(entries))
    log = place.open()

    assert imported.loaded.added == size
    assert (log.check().size, log.check().root) == (size, root_of(entries))
    for index in range(0, size, max(1, size // 20)):
        found = log.entry(index)
        assert found is not None
        assert SourceEntry(found.record[2:], found.time_ms) == entries[index]
        assert log.find(leaf_hash(entries[index].data)) == index
    assert log.append(submission(7)).result(60).index == size
    assert find_import(place.objects, "log") == Import(size, root_of(entries), done=True)


def test_without_times(place: Place) -> None:
    """Entries of a log that has no times are as old here as their import."""
    opened(place)
    place.clock.now_ms += 5000
    run(place, listed([SourceEntry(b"old", None), SourceEntry(b"older", None)]))
    entry = place.open().entry(1)
    assert entry is not None
    assert entry.time_ms == place.clock()


def test_times_that_go_back(place: Place) -> None:
    """An entry older than the one before it gets that one's time, and is counted."""
    opened(place)
    times = [50, 40, 60, 60, 10]
    entries = [SourceEntry(b"entry %d" % n, at) for n, at in enumerate(times)]
    assert run(place, listed(entries)).later == 2
    log = place.open()
    found = [log.entry(index) for index in range(5)]
    assert [entry.time_ms for entry in found if entry] == [50, 50, 60, 60, 60]


@pytest.mark.slow
@pytest.mark.parametrize("places", [(0, 1), (3, 700), (100, 101, 300, 301, 900)])
def test_twice(place: Place, places: tuple[int, ...]) -> None:
    """A leaf that the source has twice is here twice; lookups lead to the first."""
    opened(place)
    entries = numbered(1000)
    for index in places:
        entries[index] = SourceEntry(b"again", 1000 * index)
    run(place, listed(entries))
    log = place.open()

    assert log.check().root == root_of(entries)
    assert log.find(leaf_hash(b"again")) == places[0]
    second = log.entry(places[1])
    assert second is not None
    assert second.identity == duplicate_identity(leaf_hash(b"again"), places[1])
    state = place.database.state()
    assert state is not None
    auditor = Auditor(place.settings, place.database, place.objects, is_leaf_identity=True)
    parts = [auditor.audit_part(number, state.size) for number in range(count_parts(state.size))]
    assert auditor.combine(state, parts).faults == ()


def test_other_identity(place: Place) -> None:
    """An audit does not take just any identity for that of a leaf that came twice."""
    log = place.open()
    fill(log, 3)
    state = place.database.state()
    assert state is not None
    auditor = Auditor(place.settings, place.database, place.objects, is_leaf_identity=True)
    faults = auditor.audit_part(0, 3).faults
    assert [fault.text for fault in faults] == ["its identity is not its leaf hash"] * 3


@pytest.mark.slow
@pytest.mark.parametrize("wrong", ["root", "longer", "shorter"])
def test_other_root(place: Place, wrong: str) -> None:
    """A source that does not lead where it says never counts: its end is not committed."""
    opened(place)
    source = listed(numbered(1000))
    if wrong == "root":
        source.root = RootHash(b"\1" * 32)
    else:
        source.size += -1 if wrong == "longer" else 1
    with pytest.raises(VerificationError) as refused:
        run(place, source)
    state = place.database.state()

    assert refused.value.code == "TLOG_INVALID"
    assert state is not None
    assert state.size in (768, 1000)
    with pytest.raises(SettingsError, match="not done"):
        check_imported(place.objects, "log")


def test_too_large(place: Place) -> None:
    """An entry that no bundle can hold is refused by its index."""
    opened(place)
    entries = [*numbered(300), SourceEntry(b"." * 65_536, 0)]
    with pytest.raises(RefusedError, match="entry 300") as refused:
        run(place, listed(entries))
    assert refused.value.code == "LIMIT_EXCEEDED"

    place.open()  # whose end is checked
    entries[300] = SourceEntry(b"." * 65_535, 0)
    assert run(place, listed(entries)).loaded.checkpoint.size == 301


def test_not_empty(place: Place) -> None:
    """A log with entries of its own is not imported into, and stays as it is."""
    log = place.open()
    fill(log, 3)
    log.close()
    before = place.database.state()
    with pytest.raises(RefusedError, match="of its own"):
        run(place, listed(numbered(10)))
    assert place.database.state() == before
    check_imported(place.objects, "log")


def test_another_source(place: Place) -> None:
    """An import goes on only with a source that begins with what is here."""
    opened(place)
    run(place, listed(numbered(300)))
    with pytest.raises(RefusedError, match="does not begin with"):
        run(place, listed(numbered(400, start=1)))
    with pytest.raises(RefusedError, match="does not begin with"):
        run(place, listed(numbered(299)))
    check_imported(place.objects, "log")

    grown = numbered(900)
    assert run(place, listed(grown)).loaded.added == 600
    assert place.open().check().root == root_of(grown)


def test_own_entries_since(place: Place) -> None:
    """Once the log has an entry of its own, the import is over."""
    opened(place)
    run(place, listed(numbered(300)))
    log = place.open()
    fill(log, 1)
    log.close()
    with pytest.raises(RefusedError, match="does not begin with"):
        run(place, listed(numbered(900)))


def test_frozen(place: Place) -> None:
    """A frozen log takes nothing."""
    log = place.open()
    log.freeze("Log frozen")
    log.close()
    with pytest.raises(RefusedError) as refused:
        run(place, listed(numbered(3)))
    assert refused.value.code == "LOG_FROZEN"


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("of_log", [False, True])
def test_dies(*, of_log: bool, after: bool) -> None:
    """An import that dies at any step is not done, and is gone on with to the same log."""
    entries = numbered(1000)
    for step in itertools.count():
        assert step < 1000
        place = Place(MemoryLog(), MemoryObjects())
        opened(place)
        fault = Fault()
        fault.at, fault.after, fault.stays = step, after, True
        objects = DyingObjects(place.objects, fault) if not of_log else place.objects
        database = DyingLog(place.database, fault) if of_log else place.database
        try:
            import_log(place.settings, database, objects, listed(entries))
        except TouchplateError:
            pass
        else:
            place.close()
            break
        run(place, listed(entries))
        assert place.open().check().root == root_of(entries)
        place.close()
    assert step > 10


def test_note_is_ours(new_place: Callable[[], Place]) -> None:
    """A note that we did not write stops everything."""
    for note in (b"", b"touchplate import 1\nx\n00\ndone\n", b"touchplate import 2\n1\n00\ndone\n"):
        place = new_place()
        place.objects.replace("log/import", note)
        with pytest.raises(SettingsError, match="not one of ours"):
            check_imported(place.objects, "log")


def test_signed_by_the_log(place: Place) -> None:
    """The checkpoint of what was imported is the log's own, and not cosigned before it starts."""
    opened(place)
    place.settings = replace(place.settings, cosign=lambda *_: pytest.fail("asked"))
    imported = run(place, listed(numbered(3)))
    assert imported.loaded.checkpoint.envelope.startswith("3 ")
