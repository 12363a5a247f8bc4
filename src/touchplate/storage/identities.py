"""Which index each identity has, beside an SQLite file (decision 0011).

The identities of new entries are appended to the table `recent`, in the transaction that appends
the entries; each process keeps those in memory. Older ones are in sorted runs, which are files, and
the table `runs` says which files count. A run takes the place of rows, or of smaller runs, in one
transaction; its file is durable before that, and what it replaces is removed after. So at any time
`runs` and `recent` together hold each entry once, in the order of the entries.
"""

import fcntl
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Final, NamedTuple, cast

import apsw

from touchplate.errors import UnavailableError
from touchplate.storage.database import HASH_SIZE, not_an_index
from touchplate.storage.files import sync_folder
from touchplate.storage.runs import Query, Run, merge_runs, write_run

TABLES: Final = """
CREATE TABLE recent (
    first INTEGER PRIMARY KEY,
    identities BLOB NOT NULL
) STRICT;
CREATE TABLE runs (
    first INTEGER PRIMARY KEY,
    stop INTEGER NOT NULL,
    name TEXT NOT NULL
) STRICT;
"""

RUN_ENTRIES: Final = 131_072  # about how many entries the smallest runs have
_MERGED: Final = 8  # as many neighbouring runs of about one size are merged into one
_REINDEXED: Final = 262_144  # identities that making the index again holds in memory
_LARGE: Final = 2  # how many runs may gather in memory, if there is no need
_ATTEMPTS: Final = 5  # at reading which runs there are, while another process replaces them


class RunRow(NamedTuple):
    """A row of the table `runs`: the entries in [first, stop) are in the file."""

    first: int
    stop: int
    name: str

    @property
    def entries(self) -> int:
        """Give how many there are."""
        return self.stop - self.first


Begin = Callable[[], AbstractContextManager[apsw.Connection]]


class Identities:
    """The index of one log, as this process sees it: runs, and in memory what is newer.

    Any thread may call it, with a connection that no other thread uses meanwhile.
    """

    def __init__(self, folder: Path, run_entries: int = RUN_ENTRIES) -> None:
        """Keep runs in `folder`, which is made when it is needed."""
        self._folder = folder
        self._run_entries = run_entries
        self._swept: tuple[RunRow, ...] | None = None  # the runs beside which no other files are
        self._lock = Lock()  # of everything below
        self._rows: tuple[RunRow, ...] = ()
        self._runs: tuple[Run, ...] = ()
        self._recent: dict[bytes, int] = {}  # of the entries from the end of the runs to `_known`
        self._known = 0  # entries in runs and memory

    def claim(
        self, writer: apsw.Connection, identities: Sequence[bytes], first: int
    ) -> tuple[list[int], list[bytes]]:
        """Give each identity's index, the new ones from `first` on, and which are new.

        `writer` is in a transaction, where nothing is claimed before. Call `committed` when it has
        ended; until then nobody knows of the new ones.
        """
        if not identities:
            return [], []
        with self._lock:
            if self._known != first:
                self._refresh(writer)
            if not self._is_whole(first):
                self._reload(writer)
            if not self._is_whole(first):
                raise self._broken(f"it ends at entry {self._known} and the log at {first}")
            known = self._find_all(identities)
        new = (
            [identity for identity in identities if identity not in known]
            if known
            else [*identities]
        )
        if new:
            writer.execute("INSERT OR REPLACE INTO recent VALUES (?, ?)", (first, b"".join(new)))
        if not known:
            return list(range(first, first + len(new))), new
        known.update((identity, index) for index, identity in enumerate(new, first))
        return [known[identity] for identity in identities], new

    def committed(self, new: Sequence[bytes], first: int) -> None:
        """Know the claimed identities."""
        with self._lock:
            # If a reader has seen the commit before us, they are known already.
            if self._known == first:
                self._add(new)

    def find(self, reader: apsw.Connection, identity: bytes) -> int | None:
        """Give the index of the entry with this identity, or None."""
        return self.find_all(reader, (identity,)).get(identity)

    def find_all(self, reader: apsw.Connection, identities: Sequence[bytes]) -> dict[bytes, int]:
        """Give the index of each identity that the log has."""
        with self._lock:
            self._refresh(reader)
            return self._find_all(identities)

    def load(self, connection: apsw.Connection) -> None:
        """Read what the tables say. Raises UnavailableError if a run is lost."""
        with self._lock:
            self._reload(connection)

    def tidy(self, reading: Begin, writing: Begin) -> None:
        """Make runs of what has gathered and merge small ones, unless another process does so now.

        `writing` begins a transaction. Also takes up the runs that other processes have made.
        """
        with self._tidying(wait=False) as alone:
            while alone and self._tidy_once(reading, writing):
                pass
            with reading() as connection:
                rows = _run_rows(connection)
            if alone and rows != self._swept:
                self._remove_strays(rows)
                self._swept = rows
        self._take_up(reading)

    def reindex(self, writer: apsw.Connection, identities: Iterable[bytes], size: int) -> None:
        """Make the index again, in a transaction that has begun: one run, and nothing newer.

        Call `load` when it has ended. Raises as `LogDatabase.reindex` does.
        """
        with self._tidying(wait=True):
            rows: list[RunRow] = []
            chunks = iter(identities)
            while chunk := list(islice(chunks, _REINDEXED)):
                first = rows[-1].stop if rows else 0
                rows.append(self._make(first, len(chunk), partial(write_run, chunk, first)))
            count = rows[-1].stop if rows else 0
            if count != size:
                raise not_an_index(count, size)
            if len(rows) > 1:
                runs = [self._open(row) for row in rows]
                rows = [self._make(0, count, partial(merge_runs, runs))]
            writer.execute("DELETE FROM recent")
            writer.execute("DELETE FROM runs")
            writer.executemany("INSERT INTO runs VALUES (?, ?, ?)", rows)
            # Nothing yet; it tells the other processes that they have to read all of it again.
            writer.execute("INSERT INTO recent VALUES (?, x'')", (size,))

    def _is_whole(self, size: int) -> bool:
        """Say whether runs and memory together hold as many entries as the log has."""
        covered = self._rows[-1].stop if self._rows else 0
        return covered + len(self._recent) == self._known == size

    def _find_all(self, identities: Sequence[bytes]) -> dict[bytes, int]:
        recent = self._recent
        found = {identity: recent[identity] for identity in identities if identity in recent}
        if self._runs:
            query = Query(identities)
            for run in self._runs:
                found.update(run.find_all(query))
        return found

    def _add(self, identities: Sequence[bytes]) -> None:
        self._recent.update(
            zip(identities, range(self._known, self._known + len(identities)), strict=True)
        )
        self._known += len(identities)

    def _refresh(self, connection: apsw.Connection) -> None:
        """Take up what other processes have committed."""
        # The newest row stays in the table, so if there is none at or above `_known`, or the first
        # is just there, nothing is missing between.
        for first, identities in _recent_rows(connection, self._known):
            if first != self._known:
                self._reload(connection)
                return
            self._add(identities)
        if len(self._recent) > _LARGE * self._run_entries:
            # Nobody tidies in this process; what another one has put into runs need not stay here.
            rows = _run_rows(connection)
            if rows and rows[-1].stop > self._known - len(self._recent):
                self._reload(connection)

    def _reload(self, connection: apsw.Connection) -> None:
        rows, runs, recent = self._read(connection)
        known = 0
        for row in rows:
            if row.first != known:
                raise self._broken(f"no run has entry {known}")
            known = row.stop
        self._rows, self._runs, self._recent, self._known = rows, runs, {}, known
        for first, identities in recent:
            if first != self._known:
                raise self._broken(f"no row has entry {self._known}")
            self._add(identities)

    def _read(
        self, connection: apsw.Connection
    ) -> tuple[tuple[RunRow, ...], tuple[Run, ...], list[tuple[int, list[bytes]]]]:
        """Give what both tables say at one time, with the runs open."""
        lost = ""
        for _ in range(_ATTEMPTS):
            with connection:
                rows, recent = _run_rows(connection), _recent_rows(connection, 0)
            try:
                return rows, tuple(self._open(row) for row in rows), recent
            except FileNotFoundError as error:
                # Merged into another one meanwhile, which the tables name now; or it is lost.
                lost = str(error)
            except OSError as error:
                raise self._broken(str(error)) from error
        raise self._broken(lost)

    def _tidy_once(self, reading: Begin, writing: Begin) -> bool:
        """Make one run, from the rows in `recent` or from smaller runs; say whether there was need.

        The files are made outside of any transaction: nothing but us removes what they come from.
        """
        with reading() as connection:
            rows = _run_rows(connection)
            gathered = _gathered(connection, self._run_entries)
        replaced: Sequence[RunRow] = ()
        if gathered is not None:
            first, identities = gathered
            made = self._make(first, len(identities), partial(write_run, identities, first))
        elif replaced := _to_merge(rows, self._run_entries):
            runs = [self._open(row) for row in replaced]
            count = sum(run.count for run in runs)
            made = self._make(replaced[0].first, count, partial(merge_runs, runs))
        else:
            return False
        with writing() as connection:
            if _run_rows(connection) != rows:
                raise UnavailableError("STORAGE_UNAVAILABLE", f"two tidied {self._folder} at once")
            connection.executemany(
                "DELETE FROM runs WHERE first = ?", [(row.first,) for row in replaced]
            )
            connection.execute("INSERT INTO runs VALUES (?, ?, ?)", made)
            connection.execute("DELETE FROM recent WHERE first < ?", (made.stop,))
        return True

    def _take_up(self, reading: Begin) -> None:
        """Use the runs that there are now, and keep in memory only what is newer."""
        with reading() as connection, self._lock:
            # Read under the lock: older rows than those in use would leave a gap before `_recent`.
            rows = _run_rows(connection)
            if rows == self._rows:
                return
            covered = rows[-1].stop if rows else 0
            if covered > self._known:
                self._reload(connection)
                return
            # If one is replaced by now, what we have is as good: take that up the next time.
            with suppress(FileNotFoundError):
                self._runs, self._rows = tuple(self._open(row) for row in rows), rows
                self._recent = {each: at for each, at in self._recent.items() if at >= covered}

    def _open(self, row: RunRow) -> Run:
        """Open the run, or give it if it is open."""
        for run in self._runs:
            if run.name == row.name:
                return run
        return Run(self._folder / row.name, row.entries)

    def _make(self, first: int, count: int, write: Callable[[Path], int | None]) -> RunRow:
        """Write a run under a new name, durably."""
        row = RunRow(first, first + count, f"{first}-{first + count}-{secrets.token_hex(8)}")
        if write(self._folder / row.name) is not None:
            raise not_an_index(count - 1, count)
        sync_folder(self._folder)
        return row

    @contextmanager
    def _tidying(self, *, wait: bool) -> Iterator[bool]:
        """Be the only one that makes and removes runs; say whether this is so."""
        if not self._folder.is_dir():
            self._folder.mkdir(mode=0o700, exist_ok=True)
            sync_folder(self._folder.parent)
        descriptor = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(descriptor)

    def _remove_strays(self, rows: Iterable[RunRow]) -> None:
        """Remove files that no longer count, or never did: their maker died, or merged them."""
        names = {row.name for row in rows} | {".lock"}
        for path in self._folder.iterdir():
            if path.name not in names:
                path.unlink(missing_ok=True)

    def _broken(self, what: str) -> UnavailableError:
        return UnavailableError(
            "STORAGE_UNAVAILABLE",
            f"the index of identities in {self._folder} is not whole: {what}",
            hint="`touchplate log reindex` makes it again from the entries",
        )


def _run_rows(connection: apsw.Connection) -> tuple[RunRow, ...]:
    rows = connection.execute("SELECT first, stop, name FROM runs ORDER BY first").fetchall()
    return tuple(RunRow(*cast("tuple[int, int, str]", row)) for row in rows)


def _recent_rows(connection: apsw.Connection, first: int) -> list[tuple[int, list[bytes]]]:
    """Give the identities in the rows from `first` on, with the index of each row's first."""
    rows = connection.execute(
        "SELECT first, identities FROM recent WHERE first >= ? ORDER BY first", (first,)
    ).fetchall()
    return [(index, _unpacked(packed)) for index, packed in cast("list[tuple[int, bytes]]", rows)]


def _gathered(connection: apsw.Connection, count: int) -> tuple[int, list[bytes]] | None:
    """Give the oldest identities in `recent` and the index of the first, if there are `count`.

    The newest row is left out: it tells other processes that there is something new.
    """
    first: int | None = connection.execute("SELECT min(first) FROM recent").get
    newest: int = connection.execute("SELECT max(first) FROM recent").get
    if first is None or newest - first < count:
        return None
    identities: list[bytes] = []
    rows = connection.execute(
        "SELECT identities FROM recent WHERE first < ? ORDER BY first", (newest,)
    )
    for row in rows:
        identities += _unpacked(cast("bytes", row[0]))
        if len(identities) >= count:
            break
    return first, identities


def _to_merge(rows: Sequence[RunRow], run_entries: int) -> Sequence[RunRow]:
    """Give the newest runs if as many as are merged into one are of one size, or smaller."""
    newest = rows[-_MERGED:]
    if len(newest) < _MERGED:
        return ()
    tiers = [_tier(row.entries, run_entries) for row in newest]
    return newest if max(tiers) == tiers[-1] else ()


def _tier(count: int, run_entries: int) -> int:
    """Give how often runs were merged to make one of so many entries."""
    tier = 0
    while count >= run_entries * _MERGED:
        count //= _MERGED
        tier += 1
    return tier


def _unpacked(packed: bytes) -> list[bytes]:
    return [packed[at : at + HASH_SIZE] for at in range(0, len(packed), HASH_SIZE)]
