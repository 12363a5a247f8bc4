"""The databases of logs in PostgreSQL: any number of logs, any number of processes and hosts.

A transaction holds the lock of the log's row in `logs`, so one runs at a time, wherever it began;
a process that dies loses its connection and with it the lock. In a batch the server is asked five
times: BEGIN, the row with its lock, claims, all that is stored, COMMIT. See docs/decisions/0012.

The tables stand in `migrations`, but for the identities: each log has a table of its own for them,
with a hash index. Such an index is a third of a B-tree's size, and it is what every batch touches
at random. It cannot be unique; the lock is what makes a claim so.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from threading import Lock
from typing import Any, Final

from touchplate.errors import UnavailableError
from touchplate.storage.connections import LOST, Address, Link, Links, translated
from touchplate.storage.database import (
    HASH_SIZE,
    LogState,
    LogTransaction,
    PublishedCheckpoint,
    Segment,
    lost_race,
    not_an_index,
)
from touchplate.storage.migrations import locked, migrate

_COPIED: Final = 20_000  # identities in one step of `reindex`
_LONG_SECONDS: Final = 3600.0  # what one of its steps may take

_STATE: Final = "SELECT size, root, time_ms, envelope, sealed, frozen FROM logs WHERE log = $1"
_LOCK: Final = f"{_STATE} FOR UPDATE"

# The identities come as one value, 32 bytes each. What the log has is looked up one by one, by the
# index; the rest gets the next indexes in their order. Only what was known is answered.
_CLAIM: Final = """
WITH given AS MATERIALIZED (
    SELECT n, identity,
        (SELECT entry FROM {table} AS known WHERE known.identity = each.identity) AS entry
    FROM (
        SELECT n, substring($1::bytea FROM 32 * n + 1 FOR 32) AS identity
        FROM generate_series(0, $2::integer - 1) AS n
    ) AS each
), new AS (
    INSERT INTO {table} (identity, entry)
    SELECT identity, $3::bigint + row_number() OVER (ORDER BY n) - 1
    FROM given WHERE entry IS NULL
)
SELECT n, entry FROM given WHERE entry IS NOT NULL
"""

_FIND_ALL: Final = """
SELECT identity, entry FROM unnest($1::bytea[]) AS given JOIN {table} ON identity = given
"""

_STORE: Final = """
WITH stored AS (
    UPDATE logs
    SET (size, root, time_ms, envelope, sealed, frozen) = ($2, $3, $4, $5, $6, $7)
    WHERE log = $1 AND (size, root, time_ms, envelope, sealed, frozen)
        IS NOT DISTINCT FROM ($8, $9, $10, $11, $12, $13)
    RETURNING 1
), segments AS (
    INSERT INTO segments (log, first, records, hashes, stamps)
    SELECT $1, * FROM unnest($14::bigint[], $15::bytea[], $16::bytea[], $17::bytea[])
    ON CONFLICT (log, first) DO UPDATE SET
        records = excluded.records, hashes = excluded.hashes, stamps = excluded.stamps
), tiles AS (
    INSERT INTO tiles (log, level, place, hashes)
    SELECT $1, * FROM unnest($18::integer[], $19::bigint[], $20::bytea[])
    ON CONFLICT (log, level, place) DO UPDATE SET hashes = excluded.hashes
)
SELECT 1 FROM stored
"""

_PUBLISH: Final = """
INSERT INTO published AS old (log, size, root, time_ms, envelope, frozen)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (log) DO UPDATE SET
    size = excluded.size, root = excluded.root, time_ms = excluded.time_ms,
    envelope = excluded.envelope, frozen = excluded.frozen
WHERE (old.size, old.frozen, old.time_ms) < (excluded.size, excluded.frozen, excluded.time_ms)
"""

_NO_STATE: Final = (None,) * 6


class PostgresLog:
    """The database of the log with this name; tables and rows are made if they are not there.

    The role needs CREATE on the database, or on the schema if that is there already.
    `max_wait_ms` is how long a transaction waits for another one's, and how long one may stand
    still, as that of a stopped process does, before the server ends it. After a restart of the
    server, or a connection that was cut, the next call connects again.
    """

    def __init__(self, uri: str, name: str, *, max_wait_ms: int = 10_000) -> None:
        self._address = Address.parse(uri)
        self._writing = Lock()
        self._writer = Link(self._address, max_wait_ms=max_wait_ms)
        self._readers = Links(self._address)
        with translated(self._address):
            try:
                migrate(self._writer, self._address)
                self._log = _number(self._writer, self._address, name)
            except BaseException:
                self._writer.close()
                raise
        self._table = f"identities_{self._log}"
        self._claim = _CLAIM.format(table=self._table)
        self._find_all = _FIND_ALL.format(table=self._table)

    @contextmanager
    def transaction(self) -> Iterator[LogTransaction]:
        """Wait for the lock of the log's row and begin; commit durably at the end."""
        with self._transaction() as (link, state):
            yield _Transaction(link, self._log, state, self._claim)

    def state(self) -> LogState | None:
        """Give the state."""
        return _state_of(self._readers.fetch(_STATE, self._log)[0])

    def segments(self, start: int, stop: int) -> list[Segment]:
        """Give the segments that hold entries in [start, stop)."""
        rows = self._readers.fetch(
            "SELECT first, records, hashes, stamps FROM segments"
            " WHERE log = $1 AND first < $3 AND first >= coalesce((SELECT max(first)"
            " FROM segments WHERE log = $1 AND first <= $2), 0) ORDER BY first",
            self._log,
            start,
            stop,
        )
        found = [Segment(*row) for row in rows]
        return [segment for segment in found if segment.first + segment.count > start]

    def tile(self, level: int, index: int) -> bytes | None:
        """Give the hashes of a tile above level 0."""
        rows = self._readers.fetch(
            "SELECT hashes FROM tiles WHERE log = $1 AND level = $2 AND place = $3",
            self._log,
            level,
            index,
        )
        return rows[0][0] if rows else None

    def find(self, identity: bytes) -> int | None:
        """Give the index of the entry with this identity."""
        return self.find_all([identity]).get(identity)

    def find_all(self, identities: Sequence[bytes]) -> dict[bytes, int]:
        """Give the index of each identity that the log has."""
        return dict(self._readers.fetch(self._find_all, identities))

    def published(self) -> PublishedCheckpoint | None:
        """Give the checkpoint that was published last."""
        rows = self._readers.fetch(
            "SELECT size, root, time_ms, envelope, frozen FROM published WHERE log = $1", self._log
        )
        return PublishedCheckpoint(*rows[0]) if rows else None

    def publish(self, checkpoint: PublishedCheckpoint) -> None:
        """Put it in the place of the published one if that is before it."""
        self._readers.fetch(
            _PUBLISH,
            self._log,
            checkpoint.size,
            checkpoint.root,
            checkpoint.time_ms,
            checkpoint.envelope,
            checkpoint.frozen,
        )

    def unpublish(self) -> None:
        """Forget what was published."""
        self._readers.fetch("DELETE FROM published WHERE log = $1", self._log)

    def tidy(self) -> None:
        """Do nothing: PostgreSQL tidies by itself."""

    def reindex(self, identities: Iterable[bytes]) -> None:
        """Make the index of identities again, beside the old one, and put it in its place."""
        with self._transaction() as (link, state):
            link.execute("SET LOCAL statement_timeout = 0")
            _make_identities(link, f"{self._table}_new")
            count, rest = 0, iter(identities)
            while some := list(islice(rest, _COPIED)):
                rows = ((identity, count + place) for place, identity in enumerate(some))
                link.copy(f"{self._table}_new", ("identity", "entry"), rows)
                count += len(some)
            distinct = link.fetch(
                f"SELECT count(DISTINCT identity) FROM {self._table}_new",  # noqa: S608 - a number
                seconds=_LONG_SECONDS,
            )[0][0]
            if not count == distinct == (state.size if state else 0):
                raise not_an_index(distinct, state.size if state else 0)
            # Only from the second of these on does anybody else have to wait.
            link.execute(
                f"CREATE INDEX ON {self._table}_new USING hash (identity);"
                f"DROP TABLE {self._table};"
                f"ALTER TABLE {self._table}_new RENAME TO {self._table}",
                seconds=_LONG_SECONDS,
            )

    def close(self) -> None:
        """Close the connections; what was committed is in the database."""
        with self._writing:
            self._writer.close()
        self._readers.close()

    @contextmanager
    def _transaction(self) -> Iterator[tuple[Link, LogState | None]]:
        with self._writing, translated(self._address):
            link = self._writer
            row = self._begin(link)
            try:
                yield link, _state_of(row)
                # If the answer to this is lost, nobody is told that the entries are in the log;
                # who asks again finds them there.
                link.execute("COMMIT")
            except BaseException:
                link.close()
                raise

    def _begin(self, link: Link) -> Any:  # noqa: ANN401 - a row
        """Begin, and lock the log's row; connect again if the connection was lost meanwhile."""
        was_open = link.is_open
        try:
            try:
                return self._lock(link)
            except LOST:
                if not was_open:
                    raise
                return self._lock(link)  # nothing had begun
        except BaseException:
            link.close()
            raise

    def _lock(self, link: Link) -> Any:  # noqa: ANN401 - a row
        link.execute("BEGIN")
        return link.fetch(_LOCK, self._log)[0]


class _Transaction:
    """Changes through a link that has begun."""

    def __init__(self, link: Link, log: int, state: LogState | None, claim: str) -> None:
        self._link = link
        self._log = log
        self._state = state
        self._claim = claim

    def state(self) -> LogState | None:
        return self._state

    def claim(self, identities: Sequence[bytes], first: int) -> list[int]:
        if not identities:
            return []
        joined = b"".join(identities)
        if len(joined) != HASH_SIZE * len(identities):
            raise AssertionError("an identity has 32 bytes")
        known = dict(self._link.fetch(self._claim, joined, len(identities), first))
        if not known:
            return list(range(first, first + len(identities)))
        indexes = []
        for place in range(len(identities)):
            index = known.get(place)
            if index is None:
                index, first = first, first + 1
            indexes.append(index)
        return indexes

    def store(
        self,
        before: LogState | None,
        after: LogState,
        segments: Sequence[Segment] = (),
        tiles: Mapping[tuple[int, int], bytes] | None = None,
    ) -> None:
        tiles = tiles or {}
        stored = self._link.fetch(
            _STORE,
            self._log,
            *_values(after),
            *(_NO_STATE if before is None else _values(before)),
            [segment.first for segment in segments],
            [segment.records for segment in segments],
            [segment.hashes for segment in segments],
            [segment.stamps for segment in segments],
            [level for level, _ in tiles],
            [index for _, index in tiles],
            list(tiles.values()),
        )
        if not stored:
            raise UnavailableError("STORAGE_UNAVAILABLE", lost_race())
        self._state = after

    def forget(self, sealed: int) -> None:
        self._link.fetch("DELETE FROM segments WHERE log = $1 AND first < $2", self._log, sealed)
        level = 1
        while places := sealed >> 8 * (level + 1):
            self._link.fetch(
                "DELETE FROM tiles WHERE log = $1 AND level = $2 AND place < $3",
                self._log,
                level,
                places,
            )
            level += 1


def _number(link: Link, address: Address, name: str) -> int:
    """Give the number of the log with this name; a new one gets its row and its own table."""
    select = "SELECT log FROM logs WHERE name = $1"
    rows = link.fetch(select, name)
    if not rows:
        with locked(link, address):
            rows = link.fetch(select, name)  # another process may have been quicker
            if not rows:
                rows = link.fetch("INSERT INTO logs (name) VALUES ($1) RETURNING log", name)
                table = f"identities_{rows[0][0]}"
                _make_identities(link, table)
                link.execute(f"CREATE INDEX ON {table} USING hash (identity)")
    number: int = rows[0][0]
    return number


def _make_identities(link: Link, table: str) -> None:
    link.execute(f"CREATE TABLE {table} (identity bytea NOT NULL, entry bigint NOT NULL)")


def _state_of(row: Any) -> LogState | None:  # noqa: ANN401 - a row
    return None if row[0] is None else LogState(*row)


def _values(state: LogState) -> tuple[int, bytes, int, str, int, bool]:
    """Give the state's columns."""
    return (
        state.size,
        state.root,
        state.time_ms,
        state.envelope,
        state.sealed,
        state.frozen,
    )
