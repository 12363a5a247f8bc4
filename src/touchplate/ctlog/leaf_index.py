"""From the hash of a leaf to its index (RFC 6962 §4.5), without reading the whole log.

An index of leaf hashes is kept in the search index's database, as a log of its own: terms are keyed
hashes, so nobody can make two of them collide. It is made from the tiles of level 0, when somebody
asks, and can be made again at any time. Each answer is held against the tile; what is not indexed
yet is read. So an answer is exact, and never depends on what the database says alone.
"""

from collections.abc import Callable
from datetime import timedelta
from hashlib import blake2b
from threading import Lock
from typing import Final

from touchplate.errors import UnavailableError, VerificationError
from touchplate.merkle.tile import TILE_WIDTH
from touchplate.merkle.tree import HASH_SIZE
from touchplate.storage.index import TERM_SIZE, IndexDatabase, encode_entry
from touchplate.tilelog.log import TileLog

STEP: Final = 4096
"""Entries that are indexed in one go; fewer than so many at the end are read each time."""
MAX_STEPS: Final = 64
"""So many of them for one question: a log of a million entries is indexed by its fourth."""
_PAGE: Final = 8
_SOON: Final = timedelta(seconds=1)


class LeafIndex:
    """The index of one log's leaves. Any thread may ask, and any other process too."""

    def __init__(
        self, log: TileLog, database: IndexDatabase, name: str, *, step: int = STEP
    ) -> None:
        """Take the log, and what its index is called; `step` is a multiple of a tile's width."""
        self._log = log
        self._database = database
        self._name = name
        self._step = step
        self._salt = database.salt()
        self._lock = Lock()  # one thread indexes
        self._is_checked = False

    def find(self, leaf_hash: bytes, size: int) -> int | None:
        """Give the lowest index below `size`, the size of a tree that is there, or None.

        Raises UnavailableError LOG_BUSY while the index is made, VerificationError TLOG_INVALID.
        """
        indexed = min(self._follow(size), size)
        found = self._find_indexed(leaf_hash, indexed)
        if found is not None:
            return found
        return find_in_tiles(self._log, leaf_hash, indexed, size)

    def _find_indexed(self, leaf_hash: bytes, stop: int) -> int | None:
        term, start = self._term(leaf_hash), 0
        while True:
            candidates = self._database.find(
                self._name, term, start, stop, _PAGE, newest_first=False
            )
            for entry in candidates:
                tile, place = divmod(entry, TILE_WIDTH)
                hashes = read_leaf_tile(self._log, tile, min(stop - tile * TILE_WIDTH, TILE_WIDTH))
                if hashes[place * HASH_SIZE : (place + 1) * HASH_SIZE] == leaf_hash:
                    return entry
            if len(candidates) < _PAGE:
                return None
            start = candidates[-1] + 1

    def _follow(self, size: int) -> int:
        """Index what is missing below `size`, up to whole steps; give how far the index goes."""
        target = size - size % self._step
        if self._is_checked and self._database.next(self._name) >= target:
            return target
        with self._lock:
            if not self._is_checked:
                self._check_tip()
                self._is_checked = True
            for _ in range(MAX_STEPS):
                first = self._database.next(self._name)
                if first >= target:
                    return target
                self._add(first)
        if self._database.next(self._name) < target:
            raise UnavailableError(
                "LOG_BUSY", "the index of leaf hashes is being made", retry_after=_SOON
            )
        return target

    def _check_tip(self) -> None:
        """Drop an index that is of another tree, such as one that a backup has put back."""
        first, root = self._database.tip(self._name)
        size = self._log.checkpoint().size
        if first and (first > size or self._log.root_at(first) != root):
            self._database.drop(self._name)

    def _add(self, first: int) -> None:
        postings = []
        for tile in range(first // TILE_WIDTH, (first + self._step) // TILE_WIDTH):
            hashes = read_leaf_tile(self._log, tile, TILE_WIDTH)
            postings += [
                self._term(hashes[at : at + HASH_SIZE])
                + encode_entry(tile * TILE_WIDTH + at // HASH_SIZE)
                for at in range(0, len(hashes), HASH_SIZE)
            ]
        stop = first + self._step
        # Nothing is lost if another process was quicker.
        self._database.add(self._name, first, stop, postings, self._log.root_at(stop))
        while self._database.tidy(self._name, _go_on):
            pass

    def _term(self, leaf_hash: bytes) -> bytes:
        return blake2b(leaf_hash, digest_size=TERM_SIZE, key=self._salt).digest()


Find = Callable[[bytes, int], int | None]
"""Leaf hash and tree size -> the lowest index, or None."""


def find_in_tiles(log: TileLog, leaf_hash: bytes, start: int, stop: int) -> int | None:
    """Give the lowest index in [start, stop) with this leaf hash; `start` begins a tile."""
    for tile in range(start // TILE_WIDTH, (stop + TILE_WIDTH - 1) // TILE_WIDTH):
        hashes = read_leaf_tile(log, tile, min(stop - tile * TILE_WIDTH, TILE_WIDTH))
        at = hashes.find(leaf_hash)
        while at >= 0:
            if at % HASH_SIZE == 0:
                return tile * TILE_WIDTH + at // HASH_SIZE
            at = hashes.find(leaf_hash, at + 1)
    return None


def read_leaf_tile(log: TileLog, tile: int, width: int) -> bytes:
    """Read a tile of level 0 (TLOG_INVALID)."""
    hashes = log.read_tile(0, tile, width)
    if hashes is None:
        raise VerificationError("TLOG_INVALID", f"tile 0/{tile} is missing")
    return hashes


def _go_on() -> None:
    """Wait for nobody."""
