"""The search index's database in one SQLite file of its own, through apsw.

Write-ahead log with synchronous=NORMAL: after a power failure the last batches may be missing, and
are read from the log again. Why apsw: see `storage.sqlite`.
"""

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from time import sleep
from typing import Final, cast

import apsw

from touchplate.errors import UnavailableError
from touchplate.storage.index import SALT_SIZE
from touchplate.storage.index_runs import Block, Run, find, merge, mergeable, pack
from touchplate.storage.wal import use_wal

_VERSION: Final = 1  # of the tables below; a file of another version is made anew
_STEP_MS: Final = 5  # how long to wait for another process before trying again
_MAX_READERS: Final = 4  # connections that are kept for the next reader
_ALL: Final = b"\xff" * 64  # above every posting

_NAMES: Final = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
_TABLES: Final = """
CREATE TABLE salt (one INTEGER PRIMARY KEY CHECK (one = 1), salt BLOB NOT NULL) STRICT;
CREATE TABLE leaders (
    log TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    until_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE runs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    log TEXT NOT NULL,
    first INTEGER NOT NULL,
    stop INTEGER NOT NULL,
    root BLOB NOT NULL
) STRICT;
CREATE TABLE blocks (run INTEGER NOT NULL, fence BLOB NOT NULL, data BLOB NOT NULL) STRICT;
CREATE UNIQUE INDEX fences ON blocks (run, fence);
"""


class SQLiteIndex:
    """A search index in the file at `path`, which is made, 0600, if it is not there.

    A file that is damaged or of another version is replaced by an empty one: what was in it is in
    the log. `max_wait_ms` is how long a change waits for another process's.
    """

    def __init__(self, path: Path, *, max_wait_ms: int = 30_000) -> None:
        self._path = path
        self._max_wait_ms = max_wait_ms
        self._writing = Lock()
        self._pool = Lock()
        self._idle: list[apsw.Connection] = []
        self._closed = False
        with _translated(path):
            try:
                self._salt = self._prepare()
            except (apsw.NotADBError, apsw.CorruptError):
                for suffix in ("", "-wal", "-shm"):
                    Path(f"{path}{suffix}").unlink(missing_ok=True)
                self._salt = self._prepare()

    def salt(self) -> bytes:
        """Give the key of this index's terms."""
        return self._salt

    def next(self, log: str) -> int:
        """Give the index of the first entry that is not indexed."""
        with self._reader() as connection:
            return _next(connection, log)

    def tip(self, log: str) -> tuple[int, bytes]:
        """Give the same, and the root of the tree that the entries before it make."""
        with self._reader() as connection:
            row = connection.execute(
                "SELECT stop, root FROM runs WHERE log = ? ORDER BY stop DESC LIMIT 1", (log,)
            ).fetchone()
            return cast("tuple[int, bytes]", row) if row else (0, b"")

    def add(
        self, log: str, first: int, stop: int, postings: Sequence[bytes], root: bytes = b""
    ) -> bool:
        """Index the entries [first, stop), if `first` is still the next one."""
        blocks = list(pack([sorted(postings)]))
        with self._transaction() as connection:
            if _next(connection, log) != first:
                return False
            if stop > first:
                _write(connection, log, Run(0, first, stop, root), iter(blocks))
            return True

    def find(
        self, log: str, term: bytes, start: int, stop: int, limit: int, *, newest_first: bool
    ) -> list[int]:
        """Give the first `limit` entries in [start, stop) that have the term, in order."""
        with self._reader() as connection:
            # One transaction: a merge must not take away the runs that were listed.
            connection.execute("BEGIN")
            try:
                table, runs = _Table(connection), _runs(connection, log)
                return find(table, runs, term, start, stop, limit, newest_first=newest_first)
            finally:
                connection.execute("ROLLBACK")

    def tidy(self, log: str, pause: Callable[[], None]) -> bool:
        """Merge some runs, in one transaction."""
        with self._reader() as connection:
            if not mergeable(_runs(connection, log)):
                return False
        with self._transaction() as connection:
            chosen = mergeable(_runs(connection, log))
            if not chosen:
                return False
            table = _Table(connection)
            sources = [table.blocks(run.number, b"", _ALL, backwards=False) for run in chosen]
            blocks = pack(merge(sources, pause))
            _write(connection, log, chosen[-1]._replace(first=chosen[0].first), blocks)
            _erase(connection, chosen)
            return True

    def drop(self, log: str) -> None:
        """Forget all about a log."""
        with self._transaction() as connection:
            _erase(connection, _runs(connection, log))

    def lead(self, log: str, holder: str, now_ms: int, until_ms: int) -> bool:
        """Take or renew the task of following a log."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO leaders VALUES (?1, ?2, ?4) ON CONFLICT (log) DO UPDATE"
                " SET holder = ?2, until_ms = ?4 WHERE holder = ?2 OR until_ms <= ?3",
                (log, holder, now_ms, until_ms),
            )
            return connection.changes() == 1

    def size(self) -> int:
        """Give the bytes of the pages in use."""
        with self._reader() as connection:
            pages = connection.pragma("page_count") - connection.pragma("freelist_count")
            return cast("int", pages * connection.pragma("page_size"))

    def close(self) -> None:
        """Close the file; what was committed is in it."""
        with self._writing, self._pool:
            self._closed = True
            for connection in self._idle:
                connection.close()
            self._idle.clear()

    def _connect(self) -> apsw.Connection:
        connection = apsw.Connection(
            str(self._path), flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        )
        connection.set_busy_handler(self._wait)
        use_wal(connection, self._wait)
        connection.pragma("synchronous", "normal")
        return connection

    def _wait(self, attempts: int) -> bool:
        sleep(_STEP_MS / 1000)
        return attempts * _STEP_MS < self._max_wait_ms

    def _prepare(self) -> bytes:
        """Make the tables in a new file; give its salt."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        with self._connected() as connection, _begun(connection):
            if connection.pragma("user_version") != _VERSION:
                for (name,) in connection.execute(_NAMES).fetchall():
                    connection.execute(f'DROP TABLE "{name}"')
                connection.execute(_TABLES)
                connection.execute(
                    "INSERT INTO salt VALUES (1, ?)", (secrets.token_bytes(SALT_SIZE),)
                )
                connection.pragma("user_version", _VERSION)
            return cast("bytes", connection.execute("SELECT salt FROM salt").get)

    @contextmanager
    def _connected(self) -> Iterator[apsw.Connection]:
        """Lend a connection; it is kept for the next one unless something fails."""
        with self._pool:
            connection = self._idle.pop() if self._idle else None
        connection = connection or self._connect()
        try:
            yield connection
        except BaseException:
            with suppress(apsw.Error):
                connection.close(force=True)
            raise
        with self._pool:
            if len(self._idle) < _MAX_READERS and not self._closed:
                self._idle.append(connection)
                return
        connection.close()

    @contextmanager
    def _reader(self) -> Iterator[apsw.Connection]:
        with _translated(self._path), self._connected() as connection:
            yield connection

    @contextmanager
    def _transaction(self) -> Iterator[apsw.Connection]:
        with (
            self._writing,
            _translated(self._path),
            self._connected() as connection,
            _begun(connection),
        ):
            yield connection


class _Table:
    """Blocks, as one connection sees them."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def blocks(self, number: int, low: bytes, high: bytes, *, backwards: bool) -> Iterator[bytes]:
        order = "DESC" if backwards else "ASC"
        rows = self._connection.execute(
            "SELECT data FROM blocks WHERE run = ?1 AND fence < ?3 AND fence >= coalesce("  # noqa: S608 - the order is ours
            "(SELECT max(fence) FROM blocks WHERE run = ?1 AND fence <= ?2), x'')"
            f" ORDER BY fence {order}",
            (number, low, high),
        )
        return (cast("bytes", row[0]) for row in rows)


@contextmanager
def _begun(connection: apsw.Connection) -> Iterator[None]:
    """Run a transaction; the connection must not be used again if this raises."""
    connection.execute("BEGIN IMMEDIATE")
    yield
    connection.execute("COMMIT")


def _runs(connection: apsw.Connection, log: str) -> list[Run]:
    rows = connection.execute(
        "SELECT number, first, stop, root FROM runs WHERE log = ? ORDER BY first", (log,)
    )
    return [Run(*cast("tuple[int, int, int, bytes]", row)) for row in rows]


def _next(connection: apsw.Connection, log: str) -> int:
    stop: int | None = connection.execute("SELECT max(stop) FROM runs WHERE log = ?", (log,)).get
    return stop or 0


def _write(connection: apsw.Connection, log: str, run: Run, blocks: Iterator[Block]) -> None:
    """Write a run under a new number."""
    connection.execute(
        "INSERT INTO runs (log, first, stop, root) VALUES (?, ?, ?, ?)",
        (log, run.first, run.stop, run.root),
    )
    number = connection.last_insert_rowid()
    connection.executemany(
        "INSERT INTO blocks VALUES (?, ?, ?)",
        ((number, block.first, block.data) for block in blocks),
    )


def _erase(connection: apsw.Connection, runs: Sequence[Run]) -> None:
    for run in runs:
        connection.execute("DELETE FROM blocks WHERE run = ?", (run.number,))
        connection.execute("DELETE FROM runs WHERE number = ?", (run.number,))


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (apsw.Error, OSError) as error:
        raise UnavailableError(
            "STORAGE_UNAVAILABLE", f"the search index {path} failed: {error}"
        ) from error
