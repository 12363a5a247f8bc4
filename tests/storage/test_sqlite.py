import os
import stat
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from touchplate.errors import SettingsError, UnavailableError
from touchplate.storage.database import LogState
from touchplate.storage.sqlite import SQLiteLog

EMPTY = LogState(0, bytes(32), 1, "empty", 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the path of a database with an empty log."""
    path = tmp_path / "folder" / "log.db"
    database = SQLiteLog(path)
    with database.transaction() as transaction:
        transaction.store(None, EMPTY)
    database.close()
    return path


def test_opened_again(path: Path) -> None:
    """What was committed is there for the next process."""
    database = SQLiteLog(path)
    assert database.state() == EMPTY
    database.close()


def test_durable(path: Path) -> None:
    """Both connections sync each commit: WAL mode, synchronous=FULL."""
    database = SQLiteLog(path)
    with database._transaction() as writer:
        for connection in (writer, database._reader):
            assert connection.pragma("journal_mode") == "wal"
            assert connection.pragma("synchronous") == 2
    database.close()


def test_fixed_sqlite() -> None:
    """The SQLite below has the fix for the bug that corrupts a WAL with two writers."""
    assert apsw.SQLITE_VERSION_NUMBER >= 3_051_003


def test_modes(tmp_path: Path) -> None:
    """Nobody else may read or write any of its files, whatever the umask."""
    umask = os.umask(0)
    try:
        database = SQLiteLog(tmp_path / "folder" / "log.db")
        with database.transaction() as transaction:
            transaction.store(None, EMPTY)
    finally:
        os.umask(umask)

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert modes.pop("folder") == 0o700
    assert modes == {"log.db": 0o600, "log.db-wal": 0o600, "log.db-shm": 0o600}
    database.close()


def test_two_connections(path: Path) -> None:
    """A second database over the file sees the first one's commits, and writes in its turn."""
    one, other = SQLiteLog(path), SQLiteLog(path)
    with one.transaction() as transaction:
        transaction.store(EMPTY, replace(EMPTY, size=1))
    with pytest.raises(UnavailableError), other.transaction() as transaction:
        transaction.store(EMPTY, replace(EMPTY, size=9))
    with other.transaction() as transaction:
        transaction.store(replace(EMPTY, size=1), replace(EMPTY, size=2))

    assert one.state() == other.state() == replace(EMPTY, size=2)
    one.close()
    other.close()


def test_locked(path: Path) -> None:
    """Who waits too long for another's transaction is told so, and may try again."""
    one, other = SQLiteLog(path), SQLiteLog(path, max_wait_ms=10)
    with one.transaction():
        with pytest.raises(UnavailableError) as refused, other.transaction():
            pass
        assert refused.value.code == "STORAGE_UNAVAILABLE"
    with other.transaction() as transaction:
        assert transaction.state() == EMPTY
    one.close()
    other.close()


def test_full_disk(path: Path) -> None:
    """A disk that is full fails the transaction; with room again, the next one succeeds."""
    database = SQLiteLog(path)
    with database._transaction() as connection:
        connection.pragma("max_page_count", connection.pragma("page_count"))
    with pytest.raises(UnavailableError), database.transaction() as transaction:
        transaction.store(EMPTY, replace(EMPTY, envelope="x" * 100_000))

    assert database.state() == EMPTY
    with database.transaction() as transaction:
        transaction.store(EMPTY, replace(EMPTY, size=1))
    database.close()


def test_other_version(path: Path) -> None:
    """A file with tables of another version is left alone."""
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", 99)
    connection.close()

    with pytest.raises(SettingsError) as refused:
        SQLiteLog(path)
    assert refused.value.code == "SETTINGS_INVALID"


@pytest.mark.parametrize("content", [b"not a database" * 1000, b"SQLite format 3\0" + b"x" * 4080])
def test_not_a_database(tmp_path: Path, content: bytes) -> None:
    """A file that is something else is the storage's failure."""
    (tmp_path / "log.db").write_bytes(content)

    with pytest.raises(UnavailableError) as refused:
        SQLiteLog(tmp_path / "log.db")
    assert refused.value.code == "STORAGE_UNAVAILABLE"
