"""The seam of a log's database: what changes while the log grows.

It holds one row of state, the entries that are not yet in full bundles, the tiles above level 0
that are not yet full, the index of every identity, and the checkpoint that was published last. All
of it changes in transactions that one process has at a time; whoever reads sees the last one that
was committed.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, Protocol

from touchplate.errors import VerificationError

HASH_SIZE: Final = 32
STAMP_SIZE: Final = 40  # time in ms, u64 big-endian, and the identity, 32 bytes
BUNDLE_WIDTH: Final = 256  # entries in a full bundle, hashes in a full tile


@dataclass(frozen=True, slots=True)
class LogState:
    """The tree as it was committed last, with the checkpoint that says so."""

    size: int
    root: bytes
    time_ms: int  # of the checkpoint, Unix time
    envelope: str  # the checkpoint, signed
    sealed: int  # entries that rest in objects only; a multiple of BUNDLE_WIDTH
    frozen: bool = False  # takes no more entries; never becomes false again


@dataclass(frozen=True, slots=True)
class PublishedCheckpoint:
    """The checkpoint that readers get, where that is not the newest one: witnesses signed it."""

    size: int
    root: bytes
    time_ms: int
    envelope: str  # with the cosignatures
    frozen: bool = False  # the checkpoint of a frozen state

    def is_before(self, other: "LogState | PublishedCheckpoint") -> bool:
        """Say whether `other` may take its place: a larger tree, or the same frozen or later."""
        mine = (self.size, self.frozen, self.time_ms)
        return mine < (other.size, other.frozen, other.time_ms)


@dataclass(frozen=True, slots=True)
class Segment:
    """Some neighbouring entries of one bundle, as one row. It never crosses a bundle's end."""

    first: int  # index of the first entry
    records: bytes  # as in the entry bundle
    hashes: bytes  # as in the level 0 tile, HASH_SIZE each
    stamps: bytes  # STAMP_SIZE each

    @property
    def count(self) -> int:
        """Give the number of entries."""
        return len(self.hashes) // HASH_SIZE


class LogTransaction(Protocol):
    """Changes that become true together. One thread uses it, and only inside its `with`."""

    def state(self) -> LogState | None:
        """Give the state; it is the newest there is, for no other transaction runs."""

    def claim(self, identities: Sequence[bytes], first: int) -> list[int]:
        """Give each identity's index: the one that it has, or the next free one from `first`.

        The identities are distinct. The new ones get indexes without gaps, in their order. `first`
        is the state's size, and a transaction that claims does so once.
        """

    def store(
        self,
        before: LogState | None,
        after: LogState,
        segments: Sequence[Segment] = (),
        tiles: Mapping[tuple[int, int], bytes] | None = None,
    ) -> None:
        """Write segments and (level, index) tiles, and put state `after` in the place of `before`.

        `before` is None for the first state. A segment or tile that is there is replaced. Raises
        UnavailableError if the state is not `before` in each of its fields: a checkpoint only ever
        replaces the one that it extends.
        """

    def forget(self, sealed: int) -> None:
        """Drop the segments below `sealed`, and the full tiles that cover none above it."""


class LogDatabase(Protocol):
    """One log's database. Any number of threads may call it at once, and other processes.

    Failures raise UnavailableError STORAGE_UNAVAILABLE; a transaction that fails has not happened,
    and the next one may succeed.
    """

    def transaction(self) -> AbstractContextManager[LogTransaction]:
        """Wait for the lock and begin; commit durably at the end, or roll back if it raises."""

    def state(self) -> LogState | None:
        """Give the state, or None before the first transaction."""

    def segments(self, start: int, stop: int) -> list[Segment]:
        """Give the segments that hold entries in [start, stop), in order, without those sealed."""

    def tile(self, level: int, index: int) -> bytes | None:
        """Give the hashes of a tile above level 0, unless it is sealed or not yet begun."""

    def find(self, identity: bytes) -> int | None:
        """Give the index of the entry with this identity, or None."""

    def find_all(self, identities: Sequence[bytes]) -> dict[bytes, int]:
        """Give the index of each identity that the log has: many for little more than one."""

    def published(self) -> PublishedCheckpoint | None:
        """Give the checkpoint that was published last, or None before the first one."""

    def publish(self, checkpoint: PublishedCheckpoint) -> None:
        """Put it durably in the place of the published one, if there is none or it `is_before`.

        Else do nothing: another process was quicker. In one step, and never within a transaction
        of the same thread.
        """

    def unpublish(self) -> None:
        """Forget durably what was published, if anything was: the state is told as it is now."""

    def tidy(self) -> None:
        """Do the upkeep of the index of identities that would hold up a transaction.

        A log calls this now and then beside its transactions, in each process. What can be read
        or claimed is the same before, meanwhile and after; a crash at any point changes nothing
        either. A backend without such upkeep does nothing.
        """

    def reindex(self, identities: Iterable[bytes]) -> None:
        """Make the index of identities again: those of all entries, in order from index 0.

        In one transaction: others wait or get STORAGE_UNAVAILABLE, and see the old index or the
        new one. Raises VerificationError TLOG_INVALID, and keeps the old one, if an identity comes
        twice or their count is not the state's size. `identities` may read this log's segments.
        """

    def close(self) -> None:
        """Release files and connections. Nobody may call it afterwards."""


def is_covered(level: int, index: int, sealed: int) -> bool:
    """Say whether the tile covers no leaf at or above `sealed`."""
    return index + 1 <= sealed >> 8 * (level + 1)


def lost_race() -> str:
    """Say why a state was not replaced."""
    return "the log's state is not the one that this batch extends"


def not_an_index(count: int, size: int) -> VerificationError:
    """Say that these identities are not one for each entry."""
    return VerificationError(
        "TLOG_INVALID",
        "the entries' identities are not distinct, or not one for each entry",
        expected=f"{size} identities",
        found=f"{count} distinct ones",
    )
