"""The search index's database in PostgreSQL, beside the logs, through `connections`.

Its tables are no part of the migrations: what is in them is in the logs too, so tables of another
version are dropped and made anew. Each process writes through one connection.
"""

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from threading import Lock
from typing import Any, Final

from touchplate.storage.connections import LOST, Address, Link, Links, translated
from touchplate.storage.index import SALT_SIZE, encode_entry
from touchplate.storage.index_runs import (
    ALWAYS_FIT,
    Block,
    Run,
    merge,
    mergeable,
    pack,
    search_block,
)
from touchplate.storage.migrations import locked, migrate

_VERSION: Final = 1  # of the tables below
_RUNS_AT_ONCE: Final = 8  # that one query looks into
_BLOCKS_READ: Final = 64  # of a run, in one query of a merge
_BLOCKS_WRITTEN: Final = 256

_TABLES: Final = """
DROP TABLE IF EXISTS index_salt, index_leaders, index_runs, index_blocks;
CREATE TABLE index_salt (
    one integer PRIMARY KEY CHECK (one = 1),
    version integer NOT NULL,
    salt bytea NOT NULL
);
CREATE TABLE index_leaders (
    log text PRIMARY KEY,
    holder text NOT NULL,
    until_ms bigint NOT NULL
) WITH (fillfactor = 10);
CREATE TABLE index_runs (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    log text NOT NULL,
    first bigint NOT NULL,
    stop bigint NOT NULL,
    root bytea NOT NULL,
    UNIQUE (log, first)
);
CREATE TABLE index_blocks (run bigint NOT NULL, fence bytea NOT NULL, data bytea NOT NULL);
ALTER TABLE index_blocks ALTER data SET STORAGE PLAIN;
CREATE UNIQUE INDEX ON index_blocks (run, fence);
"""

_FIND: Final = """
SELECT r.first, b.data FROM (
    SELECT number, first FROM index_runs WHERE log = $1 AND first < $3 AND stop > $2
    ORDER BY first {order} LIMIT $6
) r LEFT JOIN LATERAL (
    SELECT fence, data FROM index_blocks
    WHERE run = r.number AND fence < $5 AND fence >= coalesce(
        (SELECT fence FROM index_blocks WHERE run = r.number AND fence <= $4
        ORDER BY fence DESC LIMIT 1), ''::bytea)
    ORDER BY fence {order} LIMIT $7
) b ON true ORDER BY r.first {order}, b.fence {order}
"""
_NEWEST_FIRST: Final = _FIND.format(order="DESC")
_OLDEST_FIRST: Final = _FIND.format(order="ASC")
_NEXT: Final = "SELECT coalesce(max(stop), 0) FROM index_runs WHERE log = $1"
_LEAD: Final = """
INSERT INTO index_leaders VALUES ($1, $2, $4) ON CONFLICT (log) DO UPDATE
SET holder = $2, until_ms = $4
WHERE index_leaders.holder = $2 OR index_leaders.until_ms <= $3 RETURNING 1
"""


class PostgresIndex:
    """A search index in the database and schema of a URI; missing tables are made.

    Raises SettingsError SETTINGS_INVALID for a URI that is none, UnavailableError.
    """

    def __init__(self, uri: str) -> None:
        self._address = Address.parse(uri)
        self._writing = Lock()
        self._writer = Link(self._address)
        self._readers = Links(self._address)
        with translated(self._address):
            try:
                migrate(self._writer, self._address)
                self._salt = _prepare(self._writer, self._address)
            except BaseException:
                self._writer.close()
                raise

    def salt(self) -> bytes:
        """Give the key of this index's terms."""
        return self._salt

    def next(self, log: str) -> int:
        """Give the index of the first entry that is not indexed."""
        stop: int = self._readers.fetch(_NEXT, log)[0][0]
        return stop

    def tip(self, log: str) -> tuple[int, bytes]:
        """Give the same, and the root of the tree that the entries before it make."""
        rows = self._readers.fetch(
            "SELECT stop, root FROM index_runs WHERE log = $1 ORDER BY first DESC LIMIT 1", log
        )
        return (rows[0][0], rows[0][1]) if rows else (0, b"")

    def add(
        self, log: str, first: int, stop: int, postings: Sequence[bytes], root: bytes = b""
    ) -> bool:
        """Index the entries [first, stop), if `first` is still the next one."""
        blocks = list(pack([sorted(postings)]))
        with self._transaction(log) as link:
            if link.fetch(_NEXT, log)[0][0] != first:
                return False
            if stop > first:
                _write(link, log, Run(0, first, stop, root), blocks)
            return True

    def find(
        self, log: str, term: bytes, start: int, stop: int, limit: int, *, newest_first: bool
    ) -> list[int]:
        """Give the first `limit` entries in [start, stop) that have the term, in order."""
        found: list[int] = []
        sql = _NEWEST_FIRST if newest_first else _OLDEST_FIRST
        blocks = limit // ALWAYS_FIT + 3  # of which the first and the last may have little for us
        while start < stop and len(found) < limit:
            low, high = term + encode_entry(start), term + encode_entry(stop)
            rows = self._readers.fetch(sql, log, start, stop, low, high, _RUNS_AT_ONCE, blocks)
            for _, data in rows:
                if data is not None:
                    found += search_block(data, low, high, newest_first=newest_first)
            if len({first for first, _ in rows}) < _RUNS_AT_ONCE:
                break
            # Go on beside the last run, wherever a merge has put the borders meanwhile.
            if newest_first:
                stop = rows[-1][0]
            else:
                start = self._stop_of(log, rows[-1][0])
        return found[:limit]

    def tidy(self, log: str, pause: Callable[[], None]) -> bool:
        """Merge some runs, in one transaction."""
        if not mergeable(_runs(self._readers, log)):
            return False
        with self._transaction(log) as link:
            chosen = mergeable(_runs(link, log))
            if not chosen:
                return False
            blocks = pack(merge([_blocks(link, run.number) for run in chosen], pause))
            numbers = [run.number for run in chosen]
            link.fetch("DELETE FROM index_runs WHERE number = ANY($1)", numbers)
            _write(link, log, chosen[-1]._replace(first=chosen[0].first), blocks)
            link.fetch("DELETE FROM index_blocks WHERE run = ANY($1)", numbers)
            return True

    def drop(self, log: str) -> None:
        """Forget all about a log."""
        with self._transaction(log) as link:
            link.fetch(
                "DELETE FROM index_blocks WHERE run IN"
                " (SELECT number FROM index_runs WHERE log = $1)",
                log,
                seconds=_LONG_SECONDS,
            )
            link.fetch("DELETE FROM index_runs WHERE log = $1", log)

    def lead(self, log: str, holder: str, now_ms: int, until_ms: int) -> bool:
        """Take or renew the task of following a log."""
        return bool(self._readers.fetch(_LEAD, log, holder, now_ms, until_ms))

    def size(self) -> int:
        """Give the bytes of the blocks and their index."""
        rows = self._readers.fetch("SELECT pg_total_relation_size('index_blocks')")
        size: int = rows[0][0]
        return size

    def close(self) -> None:
        """Close the connections; what was committed is in the database."""
        with self._writing:
            self._writer.close()
        self._readers.close()

    def _stop_of(self, log: str, first: int) -> int:
        """Give the end of the run that holds an entry."""
        rows = self._readers.fetch(
            "SELECT max(stop) FROM index_runs WHERE log = $1 AND first <= $2",
            log,
            first,
        )
        stop: int = rows[0][0] if rows else first + 1
        return stop

    @contextmanager
    def _transaction(self, log: str) -> Iterator[Link]:
        """Change one log's runs; connect again if the connection was lost meanwhile."""
        with self._writing, translated(self._address):
            link = self._writer
            was_open = link.is_open
            try:
                try:
                    _begin(link, log)
                except LOST:
                    if not was_open:
                        raise
                    _begin(link, log)
                yield link
                link.execute("COMMIT")
            except BaseException:
                link.close()
                raise


_LONG_SECONDS: Final = 3600.0  # a log's whole index may go in one statement


def _begin(link: Link, log: str) -> None:
    link.execute("BEGIN; SET LOCAL statement_timeout = 0")
    link.fetch("SELECT pg_advisory_xact_lock(hashtextextended('touchplate index ' || $1, 0))", log)


def _prepare(link: Link, address: Address) -> bytes:
    """Make the tables unless those of this version are there; give the salt."""
    with locked(link, address):
        if link.fetch("SELECT to_regclass('index_salt') IS NOT NULL")[0][0]:
            rows = link.fetch("SELECT salt FROM index_salt WHERE version = $1", _VERSION)
            if rows:
                known: bytes = rows[0][0]
                return known
        salt = secrets.token_bytes(SALT_SIZE)
        link.execute(_TABLES)
        link.fetch("INSERT INTO index_salt VALUES (1, $1, $2)", _VERSION, salt)
        return salt


def _runs(source: Link | Links, log: str) -> list[Run]:
    rows = source.fetch(
        "SELECT number, first, stop, root FROM index_runs WHERE log = $1 ORDER BY first", log
    )
    return [Run(*row) for row in rows]


def _blocks(link: Link, number: int) -> Iterator[bytes]:
    """Give all blocks of a run in order."""
    after = b""
    while True:
        rows: Sequence[Any] = link.fetch(
            "SELECT fence, data FROM index_blocks WHERE run = $1 AND fence > $2"
            " ORDER BY fence LIMIT $3",
            number,
            after,
            _BLOCKS_READ,
        )
        for _, data in rows:
            yield data
        if len(rows) < _BLOCKS_READ:
            return
        after = rows[-1][0]


def _write(link: Link, log: str, run: Run, blocks: Iterable[Block]) -> None:
    """Write a run under a new number."""
    rows = link.fetch(
        "INSERT INTO index_runs (log, first, stop, root) VALUES ($1, $2, $3, $4) RETURNING number",
        log,
        run.first,
        run.stop,
        run.root,
    )
    number, rest = rows[0][0], iter(blocks)
    while some := list(islice(rest, _BLOCKS_WRITTEN)):
        link.copy(
            "index_blocks",
            ("run", "fence", "data"),
            [(number, block.first, block.data) for block in some],
        )
