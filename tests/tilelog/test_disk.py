"""SQLite and the folder on a disk that fails, is full, or loses power at any sync."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.tilelog.disk import Disk, PowerCut
from tests.tilelog.places import Place, fill, submission, until
from touchplate.errors import TouchplateError, UnavailableError
from touchplate.storage.files import save_file, sync_folder
from touchplate.storage.folder import FolderObjects
from touchplate.storage.sqlite import SQLiteLog
from touchplate.tilelog.entry import Receipt
from touchplate.tilelog.log import TileLog


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """Give a disk that everything goes through."""
    (tmp_path / "disk").mkdir()
    disk = Disk(tmp_path / "disk", monkeypatch)
    with disk.mounted():
        yield disk


@contextmanager
def place_on(folder: Path) -> Iterator[Place]:
    """Give the place of a log in a folder, whose runs are small so that there are some.

    It is closed also when the test fails: what goes on would write through a disk that is gone.
    """
    place = Place(SQLiteLog(folder / "log.db", run_entries=64), FolderObjects(folder / "objects"))
    try:
        yield place
    finally:
        place.close()


def fails_within(log: TileLog, numbers: range) -> TouchplateError | None:
    """Append until one entry fails; give how."""
    for number in numbers:
        try:
            log.append(submission(number)).result(60)
        except TouchplateError as error:
            return error
    return None


def recovers(log: TileLog) -> None:
    """Wait until an entry is taken again, by itself."""

    def is_taken() -> bool:
        try:
            return log.append(submission(10_000)).result(60).index >= 0
        except UnavailableError:
            return False

    until(is_taken)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("operation", "where"),
    [
        ("write", "log.db-wal"),
        ("sync", "log.db-wal"),
        ("open", "objects"),
        ("fsync", "objects"),
        ("link", "objects"),
    ],
)
def test_failing(disk: Disk, operation: str, where: str) -> None:
    """A disk that is full or fails to sync refuses entries, and the log goes on afterwards.

    Entries are refused at once if it is the database's, and if it is the objects' once too many
    wait for it. What was answered is there, and the log is whole.
    """
    with place_on(disk.folder) as place:
        log = place.open(max_unsealed=512)
        receipts = fill(log, 300)
        disk.fails = lambda each, path: each == operation and where in path
        error = fails_within(log, range(300, 1300))
        assert isinstance(error, UnavailableError)
        assert error.code in ("STORAGE_UNAVAILABLE", "LOG_BUSY")
        assert log.failing is not None
        disk.fails = lambda _operation, _path: False
        recovers(log)
        size = log.checkpoint().size
        fill(log, 300)

        for receipt in receipts:
            log.check_extends(receipt.checkpoint.size, receipt.checkpoint.root)
        assert log.append(submission(7)).result(60).index == 7
        assert log.checkpoint().size >= size


@pytest.mark.slow
def test_failing_now_and_then(disk: Disk) -> None:
    """When one write or sync in twenty fails, each retry gets its entry in, and all is whole."""
    with place_on(disk.folder) as place:
        log = place.open()
        chance = random.Random(5)
        disk.fails = lambda _operation, _path: chance.random() < 0.05
        indexes = {}
        for start in range(0, 900, 30):
            numbers = set(range(start, start + 30))
            for _ in range(200):
                futures = {number: log.append(submission(number)) for number in numbers}
                for number, future in futures.items():
                    if future.exception(60) is None:
                        indexes[number] = future.result().index
                        numbers.discard(number)
                if not numbers:
                    break
        disk.fails = lambda _operation, _path: False

        assert sorted(indexes.values()) == list(range(900))
        for number in range(0, 900, 50):
            assert log.append(submission(number)).result(60).index == indexes[number]


def found_after(disk: Disk, folder: Path, cuts: list[PowerCut]) -> set[bytes | None]:
    """Give what may stand under the name `note` after one of the cuts."""
    found: set[bytes | None] = set()
    for number, cut in enumerate(cuts):
        for seed in range(20):
            place = folder / f"{number}-{seed}"
            cut.restore(place, random.Random(seed))
            note = place / "note"
            found.add(note.read_bytes() if note.exists() else None)
    return found


def test_power_cut_saving(disk: Disk, tmp_path: Path) -> None:
    """A file that is saved is there as it was, or as it is to be, whenever the power goes."""
    cuts: list[PowerCut] = []
    note = disk.folder / "note"
    disk.at_sync = lambda _count: cuts.append(disk.cut(0))
    save_file(note, b"the first note", overwrite=False)
    assert found_after(disk, tmp_path / "first", cuts) == {None, b"the first note"}
    cuts = [disk.cut(0)]
    assert found_after(disk, tmp_path / "after", cuts) == {b"the first note"}
    save_file(note, b"the second note", overwrite=True)

    assert found_after(disk, tmp_path / "next", cuts) == {b"the first note", b"the second note"}
    assert found_after(disk, tmp_path / "last", [disk.cut(0)]) == {b"the second note"}


def test_power_cut_unsynced(disk: Disk, tmp_path: Path) -> None:
    """The disk of these tests tears what was not synced, whether its name is durable or not."""
    (disk.folder / "note").write_bytes(b"a note")
    unnamed = disk.cut(0)
    sync_folder(disk.folder)
    pieces = {b"a note"[:length] for length in range(7)}

    assert found_after(disk, tmp_path / "named", [disk.cut(0)]) == pieces
    assert found_after(disk, tmp_path / "unnamed", [unnamed]) - pieces == {None}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_power_cut(disk: Disk, tmp_path: Path, seed: int) -> None:
    """Whenever the power goes, what was answered is there, and the log is whole and goes on."""
    chance = random.Random(seed)
    receipts: list[Receipt] = []
    cuts: list[PowerCut] = []

    def at_sync(_count: int) -> None:
        if chance.random() < 0.2:
            cuts.append(disk.cut(len(receipts)))

    with place_on(disk.folder) as place:
        log = place.open(max_unsealed=2048)  # so that each bundle is sealed for itself
        disk.at_sync = at_sync
        while len(receipts) < 1200:
            numbers = range(len(receipts), len(receipts) + chance.randint(1, 60))
            futures = [log.append(submission(number)) for number in numbers]
            receipts += [future.result(60) for future in futures]
            if chance.random() < 0.3:
                place.database.tidy()
    disk.at_sync = lambda _count: None

    assert len(cuts) >= 5
    for number, cut in enumerate(chance.sample(cuts, min(len(cuts), 12))):
        folder = tmp_path / f"cut-{number}"
        cut.restore(folder, chance)
        with place_on(folder) as found:
            opened = found.open()
            opened.check()
            for index, receipt in list(enumerate(receipts[: cut.answered]))[::17]:
                assert opened.append(submission(index)).result(60).index == receipt.index
                opened.check_extends(receipt.checkpoint.size, receipt.checkpoint.root)
            fill(opened, 300)
