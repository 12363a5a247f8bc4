"""The index of identities beside an SQLite file: rows, runs, and what may happen between them."""

import hashlib
import os
import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from touchplate.errors import UnavailableError, VerificationError
from touchplate.storage.database import LogState
from touchplate.storage.sqlite import SQLiteLog

EMPTY = LogState(0, bytes(32), 1, "empty", 0)
RUN = 16  # entries


def identity(number: int) -> bytes:
    """Make an identity."""
    return hashlib.sha256(b"%d" % number).digest()


def append(database: SQLiteLog, numbers: list[int]) -> list[int]:
    """Claim the identities as the next batch of the log; give their indexes."""
    with database.transaction() as transaction:
        before = transaction.state()
        first = before.size if before else 0
        indexes = transaction.claim([identity(number) for number in numbers], first)
        size = max(first, *(index + 1 for index in indexes))
        transaction.store(before, replace(EMPTY, size=size))
    return indexes


class Folder:
    """A log's database, opened as often as one likes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.runs = path.with_name("log.db-runs")
        self._opened: list[SQLiteLog] = []

    def open(self) -> SQLiteLog:
        """Open the database, as one more process."""
        database = SQLiteLog(self.path, run_entries=RUN)
        self._opened.append(database)
        return database

    def names(self) -> list[str]:
        """Give the runs that are there."""
        return sorted(path.name for path in self.runs.glob("[!.]*"))

    def close(self) -> None:
        """Close all of them."""
        for database in self._opened:
            database.close()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    """Give a folder for a log's database."""
    folder = Folder(tmp_path / "log.db")
    yield folder
    folder.close()


def entries_in(names: list[str]) -> list[tuple[int, int]]:
    """Give the first entry of each run, and the one after its last."""
    return sorted((int(first), int(stop)) for first, stop, _ in (name.split("-") for name in names))


@pytest.mark.slow
def test_runs(folder: Folder) -> None:
    """What has gathered goes into a run, eight runs into one, and all is found."""
    database = folder.open()
    for start in range(0, 1040, 4):
        append(database, list(range(start, start + 4)))
        database.tidy()

    runs = entries_in(folder.names())
    assert runs[0] == (0, 1024)
    assert len(runs) < 8
    for opened in (database, folder.open()):
        assert [opened.find(identity(n)) for n in range(1040)] == list(range(1040))
        assert opened.find(identity(1040)) is None


@pytest.mark.slow
def test_bounded_memory(folder: Folder) -> None:
    """What is in a run is no longer kept in memory, nor in the table."""
    database, other = folder.open(), folder.open()
    for start in range(0, 1000, 4):
        append(database, list(range(start, start + 4)))
        other.find(identity(0))
        database.tidy()
        other.tidy()
        for each in (database, other):
            assert len(each._identities._recent) <= RUN + 8
    held: int = database._reader.execute("SELECT sum(length(identities)) FROM recent").get

    assert held <= (RUN + 8) * 32


@pytest.mark.slow
def test_bounded_memory_of_a_reader(folder: Folder) -> None:
    """A process that only looks up does not keep what another one has put into runs."""
    database, reader = folder.open(), folder.open()
    for start in range(0, 1000, 4):
        append(database, list(range(start, start + 4)))
        database.tidy()
        assert reader.find(identity(start)) == start
        assert len(reader._identities._recent) <= 3 * RUN


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_many_processes(folder: Folder, seed: int) -> None:
    """Processes that claim, find and tidy in any order agree with one dict."""
    chance = random.Random(seed)
    databases = [folder.open() for _ in range(3)]
    known: dict[int, int] = {}
    for _ in range(400):
        database = chance.choice(databases)
        action = chance.random()
        if action < 0.6:
            numbers = chance.sample(range(2000), chance.randint(1, 12))
            expected = [known.setdefault(number, len(known)) for number in numbers]
            assert append(database, numbers) == expected
        elif action < 0.8:
            number = chance.randrange(2000)
            assert database.find(identity(number)) == known.get(number)
        elif action < 0.95:
            database.tidy()
        else:
            databases[databases.index(database)] = folder.open()

    for number in range(2000):
        assert databases[0].find(identity(number)) == known.get(number)


def test_rolled_back(folder: Folder) -> None:
    """What a transaction claimed that failed is free again, in memory as in the table."""
    database = folder.open()
    append(database, [1, 2])

    def fail() -> None:
        with database.transaction() as transaction:
            assert transaction.claim([identity(3)], 2) == [2]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert database.find(identity(3)) is None
    assert append(database, [4, 3]) == [2, 3]


def test_never_twice(folder: Folder) -> None:
    """A claim that does not go on where the index ends is refused, whatever the state says."""
    database = folder.open()
    append(database, [1, 2])
    for first in (1, 3):
        with (
            pytest.raises(UnavailableError, match="not whole") as refused,
            database.transaction() as transaction,
        ):
            transaction.claim([identity(9)], first)
        assert refused.value.hint is not None
    assert append(database, [9]) == [2]


def test_tidied_by_another(folder: Folder) -> None:
    """A process that has not looked for long finds in runs what it never saw as rows."""
    database, late = folder.open(), folder.open()
    append(database, [0])
    for start in range(1, 401, 4):
        append(database, list(range(start, start + 4)))
        database.tidy()

    assert late.find(identity(7)) == 7
    assert append(late, [7, 1000, 400]) == [7, 401, 400]
    assert append(database, [1000, 1001]) == [401, 402]


def test_one_tidies(folder: Folder) -> None:
    """While one process tidies another one does not, and loses nothing by it."""
    database, other = folder.open(), folder.open()
    for start in range(0, 100, 4):
        append(database, list(range(start, start + 4)))
    with database._identities._tidying(wait=False) as alone:
        assert alone
        other.tidy()
        assert folder.names() == []
    other.tidy()
    database.tidy()

    assert folder.names() != []
    assert [database.find(identity(n)) for n in range(100)] == list(range(100))


@pytest.mark.slow
@pytest.mark.parametrize("step", ["fsync", "rows", "unlink"])
def test_dies_while_tidying(folder: Folder, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever tidying ends, the index is whole; the next one takes over, and leaves no file."""
    database = folder.open()
    for start in range(0, 700, 4):
        append(database, list(range(start, start + 4)))

    def die(*_args: object, **_kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        if step == "fsync":
            patch.setattr(os, "fsync", die)
        elif step == "unlink":
            patch.setattr(Path, "unlink", die)
        else:
            # The file is there and the transaction fails: as after a power cut between the two.
            patch.setattr(database, "_transaction", die)
        with pytest.raises(UnavailableError):
            database.tidy()
    for opened in (database, folder.open()):
        assert [opened.find(identity(n)) for n in range(700)] == list(range(700))
    append(database, list(range(700, 720)))
    database.tidy()

    listed = database._reader.execute("SELECT name FROM runs").fetchall()
    assert folder.names() == sorted(str(name) for (name,) in listed)
    assert append(database, [5, 720]) == [5, 720]


def test_lost_run(folder: Folder) -> None:
    """Without a run nothing is claimed or denied, only refused; the entries make it again."""
    database = folder.open()
    for start in range(0, 100, 4):
        append(database, list(range(start, start + 4)))
    database.tidy()
    (folder.runs / folder.names()[0]).unlink()
    database = folder.open()
    with pytest.raises(UnavailableError, match="not whole"):
        database.find(identity(1))
    with pytest.raises(UnavailableError, match="not whole"):
        append(database, [1])
    database.reindex(identity(number) for number in range(100))

    assert append(database, [1, 100]) == [1, 100]


def test_reindexed_below_another(folder: Folder) -> None:
    """A process that has the index open goes on with the one that another has made again."""
    database, other = folder.open(), folder.open()
    for start in range(0, 100, 4):
        append(database, list(range(start, start + 4)))
    database.reindex(identity(number) for number in range(100))

    assert append(other, [99, 100]) == [99, 100]
    assert append(database, [100, 101]) == [100, 101]
    with pytest.raises(VerificationError):
        other.reindex(identity(number % 100) for number in range(102))
    assert [other.find(identity(n)) for n in (0, 99, 101)] == [0, 99, 101]


@pytest.mark.slow
def test_version_1(folder: Folder) -> None:
    """The tables of version 1, with their tree of identities, are brought up to date."""
    connection = apsw.Connection(str(folder.path))
    connection.execute("""
        CREATE TABLE state (one INTEGER PRIMARY KEY CHECK (one = 1), size INTEGER NOT NULL,
            root BLOB NOT NULL, time_ms INTEGER NOT NULL, envelope TEXT NOT NULL,
            sealed INTEGER NOT NULL) STRICT;
        CREATE TABLE segments (first INTEGER PRIMARY KEY, records BLOB NOT NULL,
            hashes BLOB NOT NULL, stamps BLOB NOT NULL) STRICT;
        CREATE TABLE tiles (level INTEGER NOT NULL, place INTEGER NOT NULL, hashes BLOB NOT NULL,
            PRIMARY KEY (level, place)) STRICT, WITHOUT ROWID;
        CREATE TABLE identities (identity BLOB PRIMARY KEY, entry INTEGER NOT NULL)
            STRICT, WITHOUT ROWID;
        PRAGMA user_version = 1;
    """)
    rows = [(identity(number), number) for number in range(300)]
    connection.executemany("INSERT INTO identities VALUES (?, ?)", rows)
    connection.execute("INSERT INTO state VALUES (1, 300, zeroblob(32), 1, 'empty', 256)")
    connection.close()
    database = folder.open()

    assert database.state() == replace(EMPTY, size=300, sealed=256)
    assert database.published() is None
    assert append(database, [7, 300, 299]) == [7, 300, 299]
    database.tidy()
    assert folder.open().find(identity(300)) == 300


@pytest.mark.slow
def test_under_load(folder: Folder) -> None:
    """Threads that append, look up and tidy at once never see an entry missing or twice."""
    databases = [folder.open() for _ in range(3)]
    done = threading.Event()
    failures: list[object] = []

    def look_up(database: SQLiteLog) -> None:
        while not done.is_set():
            size = (database.state() or EMPTY).size
            numbers = range(0, size, 1 + size // 50)
            failures.extend(n for n in numbers if database.find(identity(n)) != n)

    def tidy(database: SQLiteLog) -> None:
        while not done.is_set():
            try:
                database.tidy()
            except Exception as error:  # noqa: BLE001 - the test must see whatever it is
                failures.append(error)

    threads = [
        threading.Thread(target=each, args=(database,))
        for each in (look_up, tidy)
        for database in databases
    ]
    for thread in threads:
        thread.start()
    for start in range(0, 6000, 20):
        numbers = list(range(max(0, start - 5), start + 20))
        if append(databases[start // 20 % 3], numbers) != numbers:
            failures.append(start)
    done.set()
    for thread in threads:
        thread.join()

    assert failures == []
