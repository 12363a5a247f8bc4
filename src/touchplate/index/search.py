"""One page of answers: query -> rows -> entries -> proofs.

The index gives candidates; each is read from the log and held against the query, so what is
answered is in the log and matches. With proofs, all of a page's are of one checkpoint.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, Protocol

from touchplate.entries.terms import terms
from touchplate.entries.terms_found import EntryTerms
from touchplate.errors import VerificationError
from touchplate.index.candidates import Budget, BudgetSpentError, candidates
from touchplate.index.query import Query
from touchplate.index.texts import Hash
from touchplate.merkle.proof import check_inclusion
from touchplate.merkle.tile import inclusion_proof, tile_path
from touchplate.merkle.tree import LeafHash, leaf_hash
from touchplate.storage.index import IndexDatabase
from touchplate.tilelog.bundle import record_data
from touchplate.tilelog.entry import SignedCheckpoint, StoredEntry

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_READ_COST: Final = 50  # of an entry, in postings


class Readable(Protocol):
    """What is read of a log; `TileLog` has it."""

    def checkpoint(self) -> SignedCheckpoint:
        """Give the newest checkpoint."""

    def read_tile(self, level: int, index: int, width: int) -> bytes | None:
        """Give the first `width` hashes of a tile."""

    def read_entries(self, index: int, width: int) -> bytes | None:
        """Give the first `width` records of an entry bundle."""

    def entry(self, index: int) -> StoredEntry | None:
        """Give an entry."""

    def consistency(self, old_size: int, new_size: int) -> tuple[bytes, ...]:
        """Give the consistency proof between two sizes."""


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree of the transparency log, and the id that names it."""

    tree_id: int
    log: Readable

    @property
    def name(self) -> str:
        """Give the log's name in the database of the index."""
        return f"{self.tree_id:016x}"


class Row(NamedTuple):
    """One entry that matches, as it stands in the log."""

    tree_id: int
    entry: int  # its index in that tree
    virtual_index: int  # over all trees, as API v1 counts
    time_ms: int
    leaf_hash: LeafHash
    body: bytes
    terms: EntryTerms
    proof: tuple[bytes, ...] | None  # inclusion in the page's checkpoint

    @property
    def entry_id(self) -> str:
        """Give the 80 hex digits by which API v1 knows the entry."""
        return f"{self.tree_id:016x}{self.leaf_hash.hex()}"


class Part(NamedTuple):
    """The rows found in one tree, and where to go on."""

    rows: tuple[Row, ...]
    checkpoint: SignedCheckpoint | None  # of the proofs, if they were asked for
    # The next entry to look at, in the direction of the query; None: there are no more here.
    go_on: int | None


@dataclass(frozen=True, slots=True)
class Page:
    """Rows in the order asked for. It may be short, or empty, and still have a next one."""

    rows: tuple[Row, ...]
    checkpoint: SignedCheckpoint | None
    cursor: str | None


def search_tree(  # noqa: PLR0913 - where, what, how much
    tree: Tree,
    database: IndexDatabase,
    make: Hash,
    query: Query,
    *,
    offset: int,
    place: int | None,
    limit: int,
    proofs: bool,
    max_scanned: int,
) -> Part:
    """Give up to `limit` rows of one tree, from `place` on; `offset` is its first virtual index."""
    start, stop = _range(tree, database.next(tree.name), query)
    if place is not None:
        start, stop = (start, min(stop, place)) if query.newest_first else (max(start, place), stop)
    rows: list[Row] = []
    read = 0
    go_on: int | None = None
    checkpoint = tree.log.checkpoint() if proofs else None
    budget = Budget(max_scanned)
    found = candidates(
        database,
        tree.name,
        query.terms(make),
        start,
        stop,
        newest_first=query.newest_first,
        budget=budget,
    )
    try:
        for index in found:
            if len(rows) == limit:
                go_on = index + 1 if query.newest_first else index
                break
            if budget.is_spent and read:
                raise BudgetSpentError(index)
            read += 1
            budget.take(_READ_COST)
            row = read_row(tree, index, offset, checkpoint)
            if query.matches(row.terms):
                rows.append(row)
    except BudgetSpentError as spent:
        go_on = spent.entry + 1 if query.newest_first else spent.entry
    return Part(tuple(rows), checkpoint, go_on)


def read_row(tree: Tree, index: int, offset: int, checkpoint: SignedCheckpoint | None) -> Row:
    """Read an entry as a row, proven in the checkpoint if there is one. Raises TLOG_INVALID."""
    entry = tree.log.entry(index)
    if entry is None:
        raise VerificationError("TLOG_INVALID", f"entry {index} is indexed and not in the log")
    body = record_data(entry.record)
    leaf = leaf_hash(body)
    proof = None if checkpoint is None else _prove(tree, index, leaf, checkpoint)
    return Row(tree.tree_id, index, offset + index, entry.time_ms, leaf, body, terms(body), proof)


def _prove(
    tree: Tree, index: int, leaf: LeafHash, checkpoint: SignedCheckpoint
) -> tuple[bytes, ...]:
    proof = inclusion_proof(index, checkpoint.size, lambda *tile: read_hashes(tree, *tile))
    check_inclusion(index, checkpoint.size, leaf, proof, checkpoint.root)
    return proof


def read_hashes(tree: Tree, level: int, index: int, width: int) -> bytes:
    """Read a tile that the checkpoint implies. Raises TLOG_INVALID."""
    hashes = tree.log.read_tile(level, index, width)
    if hashes is None:
        path = tile_path(level, index, width)
        raise VerificationError("TLOG_INVALID", f"{path} is missing")
    return hashes


def _range(tree: Tree, size: int, query: Query) -> tuple[int, int]:
    """Give the entries that were integrated in the query's time; times never go backwards."""
    start = 0 if query.since is None else first_at(tree, size, _in_ms(query.since))
    stop = size if query.until is None else first_at(tree, size, _in_ms(query.until))
    return start, stop


def first_at(tree: Tree, size: int, time_ms: int) -> int:
    """Give the first of `size` entries that is of this time or later, or `size`.

    It looks at places on a grid of powers of two, which are the same ones for any size.
    """
    found = 0
    for height in range(size.bit_length(), -1, -1):
        place = found + (1 << height)
        if place <= size and _time(tree, place - 1) < time_ms:
            found = place
    return found


def _time(tree: Tree, index: int) -> int:
    entry = tree.log.entry(index)
    if entry is None:
        raise VerificationError("TLOG_INVALID", f"entry {index} is indexed and not in the log")
    return entry.time_ms


def _in_ms(time: datetime) -> int:
    """Give the first whole millisecond at or after a time."""
    return -((_EPOCH - time) // timedelta(milliseconds=1))


def order(trees: Sequence[Tree], *, newest_first: bool) -> list[Tree]:
    """Give the trees in the order of a query; `trees` are oldest first."""
    return list(reversed(trees)) if newest_first else list(trees)
