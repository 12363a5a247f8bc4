"""A log's database in one SQLite file: write-ahead log, synchronous=FULL, through apsw.

apsw brings its own SQLite. The one of the system may be older than 3.51.3, which can corrupt a
database that two connections write. Processes take turns by `BEGIN IMMEDIATE`.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from time import sleep
from typing import Final, cast

import apsw

from touchplate.errors import SettingsError, UnavailableError
from touchplate.storage.database import (
    LogState,
    LogTransaction,
    PublishedCheckpoint,
    Segment,
    lost_race,
)
from touchplate.storage.identities import RUN_ENTRIES, TABLES, Identities
from touchplate.storage.wal import use_wal

_VERSION: Final = 2  # of the tables below
_STEP_MS: Final = 1  # how long to wait for another process before trying again
_CHECKPOINT_PAGES: Final = 4000  # 16 MiB of write-ahead log, then it goes into the file

_TABLES: Final = """
CREATE TABLE state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    size INTEGER NOT NULL,
    root BLOB NOT NULL,
    time_ms INTEGER NOT NULL,
    envelope TEXT NOT NULL,
    sealed INTEGER NOT NULL,
    frozen INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE published (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    size INTEGER NOT NULL,
    root BLOB NOT NULL,
    time_ms INTEGER NOT NULL,
    envelope TEXT NOT NULL,
    frozen INTEGER NOT NULL
) STRICT;
CREATE TABLE segments (
    first INTEGER PRIMARY KEY,
    records BLOB NOT NULL,
    hashes BLOB NOT NULL,
    stamps BLOB NOT NULL
) STRICT;
CREATE TABLE tiles (
    level INTEGER NOT NULL,
    place INTEGER NOT NULL,
    hashes BLOB NOT NULL,
    PRIMARY KEY (level, place)
) STRICT, WITHOUT ROWID;
"""

_FROM_VERSION_1: Final = """
ALTER TABLE state ADD COLUMN frozen INTEGER NOT NULL DEFAULT 0;
CREATE TABLE published (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    size INTEGER NOT NULL,
    root BLOB NOT NULL,
    time_ms INTEGER NOT NULL,
    envelope TEXT NOT NULL,
    frozen INTEGER NOT NULL
) STRICT;
"""


class SQLiteLog:
    """A log's database in the file at `path`, which is made, 0600, if it is not there.

    `max_wait_ms` is how long a transaction waits for another process's; `run_entries` is about how
    many identities the smallest file in the folder beside it, named `-runs`, has.
    """

    def __init__(
        self, path: Path, *, max_wait_ms: int = 10_000, run_entries: int = RUN_ENTRIES
    ) -> None:
        self._path = path
        self._max_wait_ms = max_wait_ms
        self._writing = Lock()
        self._reading = Lock()
        self._writer: apsw.Connection | None = None
        with _translated(path):
            _create(path)
            self._reader = self._connect()
            self._identities = Identities(path.with_name(f"{path.name}-runs"), run_entries)
            with self._transaction() as connection:
                _prepare(connection, path, self._identities)

    @contextmanager
    def transaction(self) -> Iterator[LogTransaction]:
        """Wait for the file's lock and begin; commit durably at the end."""
        with self._transaction() as connection:
            transaction = _Transaction(connection, self._identities)
            yield transaction
        transaction.committed()

    def state(self) -> LogState | None:
        """Give the state."""
        with self._reading, _translated(self._path):
            return _state(self._reader)

    def segments(self, start: int, stop: int) -> list[Segment]:
        """Give the segments that hold entries in [start, stop)."""
        with self._reading, _translated(self._path):
            # From the one that `start` is in: the bundle's earlier ones may be hundreds of KB.
            rows = self._reader.execute(
                "SELECT first, records, hashes, stamps FROM segments WHERE first < ?2 AND first >="
                " coalesce((SELECT max(first) FROM segments WHERE first <= ?1), 0) ORDER BY first",
                (start, stop),
            ).fetchall()
        found = [Segment(*cast("tuple[int, bytes, bytes, bytes]", row)) for row in rows]
        return [segment for segment in found if segment.first + segment.count > start]

    def tile(self, level: int, index: int) -> bytes | None:
        """Give the hashes of a tile above level 0."""
        with self._reading, _translated(self._path):
            hashes: bytes | None = self._reader.execute(
                "SELECT hashes FROM tiles WHERE level = ? AND place = ?", (level, index)
            ).get
        return hashes

    def find(self, identity: bytes) -> int | None:
        """Give the index of the entry with this identity."""
        with self._reading, _translated(self._path):
            return self._identities.find(self._reader, identity)

    def find_all(self, identities: Sequence[bytes]) -> dict[bytes, int]:
        """Give the index of each identity that the log has."""
        with self._reading, _translated(self._path):
            return self._identities.find_all(self._reader, identities)

    def published(self) -> PublishedCheckpoint | None:
        """Give the checkpoint that was published last."""
        with self._reading, _translated(self._path):
            row = self._reader.execute(
                "SELECT size, root, time_ms, envelope, frozen FROM published"
            ).fetchone()
        if row is None:
            return None
        size, root, time_ms, envelope, frozen = row
        return PublishedCheckpoint(size, root, time_ms, envelope, bool(frozen))

    def publish(self, checkpoint: PublishedCheckpoint) -> None:
        """Put it in the place of the published one if that is before it."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO published VALUES (1, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                " size = excluded.size, root = excluded.root, time_ms = excluded.time_ms,"
                " envelope = excluded.envelope, frozen = excluded.frozen"
                " WHERE (size, frozen, time_ms) <"
                " (excluded.size, excluded.frozen, excluded.time_ms)",
                (
                    checkpoint.size,
                    checkpoint.root,
                    checkpoint.time_ms,
                    checkpoint.envelope,
                    int(checkpoint.frozen),
                ),
            )

    def unpublish(self) -> None:
        """Forget what was published."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM published")

    def tidy(self) -> None:
        """Put identities that have gathered into a run, and merge runs."""
        with _translated(self._path):
            self._identities.tidy(self._read, self._transaction)

    def reindex(self, identities: Iterable[bytes]) -> None:
        """Make the index of identities again."""
        with self._transaction() as connection:
            state = _state(connection)
            self._identities.reindex(connection, identities, state.size if state else 0)
        with self._read() as reader:
            self._identities.load(reader)

    def close(self) -> None:
        """Close the file; what was committed is in it."""
        with self._writing, self._reading:
            if self._writer is not None:
                self._writer.close()
            self._reader.close()

    def _connect(self) -> apsw.Connection:
        connection = apsw.Connection(str(self._path), flags=apsw.SQLITE_OPEN_READWRITE)
        # SQLite's own waiting grows to 100 ms a step, in which a busy log commits 50 batches.
        connection.set_busy_handler(self._wait)
        use_wal(connection, self._wait)
        connection.pragma("synchronous", "full")
        connection.wal_autocheckpoint(_CHECKPOINT_PAGES)
        return connection

    def _wait(self, attempts: int) -> bool:
        """Wait a little for another process; say whether to try again."""
        sleep(_STEP_MS / 1000)
        return attempts * _STEP_MS < self._max_wait_ms

    @contextmanager
    def _read(self) -> Iterator[apsw.Connection]:
        with self._reading, _translated(self._path):
            yield self._reader

    @contextmanager
    def _transaction(self) -> Iterator[apsw.Connection]:
        with self._writing, _translated(self._path):
            connection = self._writer = self._writer or self._connect()
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # After a failed write the connection's own state is in doubt: begin with another.
                self._writer = None
                with suppress(apsw.Error):
                    connection.close(force=True)
                raise


class _Transaction:
    """Changes through a connection that has begun."""

    def __init__(self, connection: apsw.Connection, identities: Identities) -> None:
        self._connection = connection
        self._identities = identities
        self._claimed: tuple[Sequence[bytes], int] = ((), 0)

    def state(self) -> LogState | None:
        return _state(self._connection)

    def claim(self, identities: Sequence[bytes], first: int) -> list[int]:
        indexes, new = self._identities.claim(self._connection, identities, first)
        self._claimed = (new, first)
        return indexes

    def committed(self) -> None:
        """Tell the index of identities that the new ones are in the log."""
        self._identities.committed(*self._claimed)

    def store(
        self,
        before: LogState | None,
        after: LogState,
        segments: Sequence[Segment] = (),
        tiles: Mapping[tuple[int, int], bytes] | None = None,
    ) -> None:
        run = self._connection.execute
        if before is None:
            run("INSERT OR IGNORE INTO state VALUES (1, ?, ?, ?, ?, ?, ?)", _values(after))
        else:
            run(
                "UPDATE state SET (size, root, time_ms, envelope, sealed, frozen)"
                " = (?, ?, ?, ?, ?, ?)"
                " WHERE (size, root, time_ms, envelope, sealed, frozen) = (?, ?, ?, ?, ?, ?)",
                _values(after) + _values(before),
            )
        if self._connection.changes() != 1:
            raise UnavailableError("STORAGE_UNAVAILABLE", lost_race())
        self._connection.executemany(
            "INSERT INTO segments VALUES (?, ?, ?, ?)",
            [(each.first, each.records, each.hashes, each.stamps) for each in segments],
        )
        if tiles:
            self._connection.executemany(
                "INSERT OR REPLACE INTO tiles VALUES (?, ?, ?)",
                [(level, index, hashes) for (level, index), hashes in tiles.items()],
            )

    def forget(self, sealed: int) -> None:
        self._connection.execute("DELETE FROM segments WHERE first < ?", (sealed,))
        level = 1
        while places := sealed >> 8 * (level + 1):
            self._connection.execute(
                "DELETE FROM tiles WHERE level = ? AND place < ?", (level, places)
            )
            level += 1


def _state(connection: apsw.Connection) -> LogState | None:
    row = connection.execute(
        "SELECT size, root, time_ms, envelope, sealed, frozen FROM state"
    ).fetchone()
    if row is None:
        return None
    size, root, time_ms, envelope, sealed, frozen = row
    return LogState(size, root, time_ms, envelope, sealed, bool(frozen))


def _values(state: LogState) -> tuple[int, bytes, int, str, int, int]:
    """Give the state's columns."""
    return (
        state.size,
        state.root,
        state.time_ms,
        state.envelope,
        state.sealed,
        int(state.frozen),
    )


def _create(path: Path) -> None:
    """Make the file with the right mode, and its name durable; SQLite gives its others the same."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _prepare(connection: apsw.Connection, path: Path, identities: Identities) -> None:
    """Make the tables in a new file, bring those of version 1 up to date, and refuse others.

    It runs in a transaction: a crash leaves what there was.
    """
    version = connection.pragma("user_version")
    if version == 0:
        connection.execute(_TABLES + TABLES)
    elif version == 1:
        connection.execute(_FROM_VERSION_1 + TABLES)
        # Then it was one table, a tree of all identities.
        rows = connection.execute("SELECT identity FROM identities ORDER BY entry")
        state = _state(connection)
        identities.reindex(connection, (row[0] for row in rows), state.size if state else 0)
        connection.execute("DROP TABLE identities")
    elif version != _VERSION:
        raise SettingsError(
            "SETTINGS_INVALID",
            f"the log database {path} is of another version",
            expected=str(_VERSION),
            found=str(version),
        )
    connection.pragma("user_version", _VERSION)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (apsw.Error, OSError) as error:
        raise UnavailableError(
            "STORAGE_UNAVAILABLE", f"the log database {path} failed: {error}"
        ) from error
