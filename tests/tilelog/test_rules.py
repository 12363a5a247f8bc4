"""The eight rules of the engine, and the tests that fail when one of them is broken.

Each was seen to fail with the rule taken out. Those that stand here are of rules that no other
test of this folder would miss.

| rule | broken by | tests that fail |
| --- | --- | --- |
| 1 group commit | one entry in a transaction | test_log: test_group_commit, test_mixed_batch |
| 1 no fixed delay | a wait before each batch | test_idle_log |
| 2 durable first | answers before the commit | test_crash: test_every_step |
| 2 durable first | SQLite with synchronous=OFF | test_disk: test_power_cut, test_failing |
| 2 own proof checked | no check of the proofs | test_own_proof |
| 3 the same entry again | every entry gets a new index | test_log: test_duplicate and others |
| 4 compare-and-swap | a state that is not compared | test_database: test_compare_and_swap |
| 4 many processes | an edge that is not loaded again | test_log: test_two_logs_in_turn |
| 4 an old backup | no check at opening | test_log: test_behind_what_was_published |
| 5 objects first | rows dropped before the put | test_crash: test_every_step |
| 5 objects durable | files that are not synced | test_disk: test_power_cut |
| 5 immutable | a put that replaces | test_objects: test_never_changes and others; test_bulk |
| 6 derived | an index that is not made again | test_failing: test_reindex_mends |
| 6 proven again | a check that skips stamps | test_check: test_segment, test_lost_identity |
| 7 constant cost | identities in one tree | test_cost_of_a_batch |
| 7 constant start | an edge made from all leaves | test_calls_at_any_size |
| 8 blind, index given | a builder called with index 0 | test_log: test_duplicate and others |
"""

import time
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from tests.tilelog.places import Place, fill, submission
from tests.tilelog.test_bulk import entries
from tests.tilelog.test_crash import DyingLog, DyingObjects, Fault
from touchplate.errors import VerificationError
from touchplate.merkle.edge import Growth
from touchplate.storage.folder import FolderObjects
from touchplate.storage.memory import MemoryLog
from touchplate.storage.objects import MemoryObjects
from touchplate.storage.sqlite import SQLiteLog
from touchplate.tilelog.batch import Sequencer
from touchplate.tilelog.bulk import load
from touchplate.tilelog.log import TileLog
from touchplate.tilelog.tiles import Tiles


def test_idle_log() -> None:
    """An idle log commits at once: no entry waits for others that may come."""
    place = Place(MemoryLog(), MemoryObjects())
    log = place.open()
    took = []
    for number in range(50):
        begun = time.perf_counter()
        log.append(submission(number)).result(60)
        took.append(time.perf_counter() - begun)

    # The shortest, for the machine may be busy; a delay would be in all of them.
    assert min(took) < 0.003
    place.close()


def test_own_proof(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proof that does not hold is found before anything is committed or answered."""
    log = place.open()
    fill(log, 5)
    before = log.checkpoint()
    prove_all = Growth.prove_all

    def prove_wrongly(growth: Growth) -> list[tuple[bytes, ...]]:
        return [(bytes(32), *proof[1:]) for proof in prove_all(growth)]

    with monkeypatch.context() as patch:
        patch.setattr(Growth, "prove_all", prove_wrongly)
        with pytest.raises(VerificationError):
            log.append(submission(5)).result(60)
    assert log.checkpoint() == before
    assert log.find(submission(5).identity) is None

    assert log.append(submission(5)).result(60).index == 5


class Counted(Fault):
    """Counts the calls into the storage, and fails none."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def _now(self) -> bool:
        self.calls += 1
        return False


def calls(place: Place, numbers: range) -> tuple[int, int]:
    """Give how many calls opening takes, and how many a batch of one on top of that."""
    counted = Counted()
    database = DyingLog(place.database, counted)
    settings = replace(place.settings, max_batch=1)
    log = TileLog(settings, database, DyingObjects(place.objects, counted))
    opening = counted.calls
    for number in numbers:
        log.append(submission(number)).result(60)
    appending = counted.calls - opening
    log.close()
    return opening, appending


@pytest.mark.slow
def test_calls_at_any_size() -> None:
    """Opening and appending take as many calls into the storage whatever the log's size."""
    found = []
    for size in (300, 3000, 100_300):
        place = Place(MemoryLog(), MemoryObjects())
        place.open().close()
        load(place.settings, place.database, place.objects, entries(0, size))
        found.append(calls(place, range(size, size + 20)))
        place.close()

    opening, appending = zip(*found, strict=True)
    # A few for each level, of which there are at most three here.
    assert max(opening) <= min(opening) + 8
    # The note of the size may fall among the appends or after them.
    assert max(appending) <= min(appending) + 6


@pytest.mark.slow
def test_cost_of_a_batch(tmp_path: Path) -> None:
    """A batch writes as many bytes into a log of 100,000 entries as into a new one."""
    written = []
    for size in (300, 300 + 390 * 256):  # at the same place of a bundle
        folder = tmp_path / str(size)
        place = Place(SQLiteLog(folder / "log.db"), FolderObjects(folder / "objects"))
        place.open().close()
        load(place.settings, place.database, place.objects, entries(0, size))
        tiles = Tiles(place.settings, place.database, place.objects)
        sequencer = Sequencer(place.settings, place.database, tiles)
        connection = apsw.Connection(str(folder / "log.db"))
        connection.execute("SELECT size FROM state").fetchall()  # now it knows of the WAL
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        connection.close()
        for start in range(size, size + 192, 64):
            batch = [submission(number, 1000) for number in range(start, start + 64)]
            sequencer.commit(batch.copy)
        written.append((folder / "log.db-wal").stat().st_size)
        place.close()

    new, grown = written
    assert grown < 1.2 * new
