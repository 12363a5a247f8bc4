"""A copy of a log's database while others write to it is what it was at one time."""

from contextlib import closing
from pathlib import Path
from threading import Event, Thread

import pytest

from touchplate.errors import SettingsError
from touchplate.storage.database import LogState, Segment
from touchplate.storage.snapshot import snapshot
from touchplate.storage.sqlite import SQLiteLog

RUN = 40  # entries of the smallest runs


def append(log: SQLiteLog, size: int, count: int) -> int:
    """Add entries whose identities are their numbers; give the new size."""
    identities = [number.to_bytes(32, "big") for number in range(size, size + count)]
    with log.transaction() as transaction:
        before = transaction.state()
        assert transaction.claim(identities, size) == list(range(size, size + count))
        after = LogState(size + count, (size + count).to_bytes(32, "big"), size, "", 0)
        row = Segment(size, b"r", b"".join(identities), bytes(40 * count))
        transaction.store(before, after, [row] if count else [])
    return size + count


def start(path: Path) -> SQLiteLog:
    """Make a log with small runs."""
    log = SQLiteLog(path, run_entries=RUN)
    append(log, 0, 0)
    return log


@pytest.mark.slow
def test_while_written(tmp_path: Path) -> None:
    """Copies taken while a thread appends and merges runs hold each entry once."""
    ended = Event()
    sizes = []
    with closing(start(tmp_path / "log.db")) as log:

        def write() -> None:
            size = 0
            while not ended.is_set() and size < 4000:
                size = append(log, size, 10)
                log.tidy()

        thread = Thread(target=write)
        thread.start()
        try:
            for number in range(12):
                folder = tmp_path / str(number)
                folder.mkdir()
                with snapshot(tmp_path / "log.db", folder / "log.db") as found:
                    (folder / "log.db-runs").mkdir()
                    for name, file in found.runs.items():
                        (folder / "log.db-runs" / name).write_bytes(file.read())
                    size, root = found.size, found.root
                assert sorted(each.name for each in folder.iterdir()) == ["log.db", "log.db-runs"]
                with closing(SQLiteLog(folder / "log.db", run_entries=RUN)) as copy:
                    state = copy.state()
                    assert state is not None
                    assert (state.size, state.root) == (size, root)
                    wanted = [each.to_bytes(32, "big") for each in range(size + 5)]
                    assert sorted(copy.find_all(wanted).values()) == list(range(size))
                sizes.append(size)
        finally:
            ended.set()
            thread.join()
    assert sizes == sorted(sizes)
    assert sizes[-1] > 0


def test_no_log(tmp_path: Path) -> None:
    """What is not there, or holds no log, is not copied as if it did."""
    with (
        pytest.raises(SettingsError),
        snapshot(tmp_path / "log.db", tmp_path / "copy.db"),
    ):
        pass
    SQLiteLog(tmp_path / "log.db").close()
    with (
        pytest.raises(SettingsError, match="no log"),
        snapshot(tmp_path / "log.db", tmp_path / "copy.db"),
    ):
        pass
