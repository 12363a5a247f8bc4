"""Several processes may open a new file at the same time."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import apsw
import pytest

from touchplate.storage.sqlite import SQLiteLog
from touchplate.storage.wal import use_wal


@pytest.fixture
def reading(tmp_path: Path) -> Iterator[apsw.Connection]:
    """A connection that reads the file `log.db`, which has no write-ahead log yet."""
    connection = apsw.Connection(str(tmp_path / "log.db"))
    connection.execute("CREATE TABLE t (a)")
    connection.execute("BEGIN")
    connection.execute("SELECT * FROM t").fetchall()
    yield connection
    connection.close()


def test_waits(reading: apsw.Connection, tmp_path: Path) -> None:
    """While another connection is in the way it waits, and goes on when that is gone."""
    asked: list[int] = []

    def wait(attempt: int) -> bool:
        asked.append(attempt)
        if attempt == 2:
            reading.execute("COMMIT")
        return True

    connection = apsw.Connection(str(tmp_path / "log.db"))
    use_wal(connection, wait)
    assert asked == [0, 1, 2]
    assert connection.pragma("journal_mode") == "wal"
    connection.close()


def test_gives_up(reading: apsw.Connection, tmp_path: Path) -> None:
    """It waits for as long as it is told to, and says what is in the way."""
    connection = apsw.Connection(str(tmp_path / "log.db"))
    with pytest.raises(apsw.BusyError):
        use_wal(connection, lambda attempt: attempt < 3)
    reading.execute("COMMIT")
    connection.close()


def test_opened_at_once(tmp_path: Path) -> None:
    """Who opens a new log together with others is not told that it is locked."""
    together = Barrier(4)

    def open_log(path: Path) -> None:
        together.wait(30)
        SQLiteLog(path).close()

    with ThreadPoolExecutor(4) as pool:
        for number in range(25):
            path = tmp_path / f"{number}.db"
            for done in [pool.submit(open_log, path) for _ in range(4)]:
                done.result()
