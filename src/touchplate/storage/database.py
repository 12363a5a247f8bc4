"""The seam of a log's database: what changes while the log grows.

It holds one row of state, the entries that are not yet in full bundles, the tiles above level 0
that are not yet full, and the index of every identity. All of it changes in transactions that one
process has at a time; whoever reads sees the last one that was committed.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, Protocol

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

        The identities are distinct. The new ones get indexes without gaps, in their order.
        """

    def store(
        self,
        before: LogState | None,
        after: LogState,
        segments: Sequence[Segment] = (),
        tiles: Mapping[tuple[int, int], bytes] | None = None,
    ) -> None:
        """Write segments and (level, index) tiles, and put state `after` in the place of `before`.

        Raises UnavailableError if the state is not `before`: a checkpoint only ever replaces the
        one that it extends.
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

    def close(self) -> None:
        """Release files and connections. Nobody may call it afterwards."""


def is_covered(level: int, index: int, sealed: int) -> bool:
    """Say whether the tile covers no leaf at or above `sealed`."""
    return index + 1 <= sealed >> 8 * (level + 1)


def lost_race() -> str:
    """Say why a state was not replaced."""
    return "the log's state is not the one that this batch extends"
