"""A tile log elsewhere, read so that nothing in it is believed: checkpoint -> tiles -> entries.

The tiles at the right edge must lead to the checkpoint's root; each full tile is held to the hash
that the tile above has for it, and each entry to its tile. So an entry is proven when it is read,
and not only when the last one was.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from itertools import count, islice
from typing import Final, NamedTuple, Protocol

from touchplate.errors import MalformedError, VerificationError
from touchplate.formats.checkpoint import Checkpoint
from touchplate.merkle.edge import Edge, levels_of
from touchplate.merkle.tile import TILE_WIDTH, fold_tile, tile_path, tile_width, tree_root
from touchplate.merkle.tree import EMPTY_ROOT, HASH_SIZE, RootHash, leaf_hash
from touchplate.tilelog.bundle import MAX_ENTRY, record_data, split_records
from touchplate.tilelog.export import TIME_SIZE, times_path

MAX_BUNDLE: Final = TILE_WIDTH * (MAX_ENTRY + 2)
_CACHED_TILES: Final = 64
_AT_ONCE: Final = 8  # bundles that are read at the same time
_AHEAD: Final = 16  # bundles that are read before they are asked for

ReadFile = Callable[[str, int], bytes | None]
"""A path below the log, and the most bytes -> the file, or None if there is none."""


class SourceEntry(NamedTuple):
    """An entry of another log, proven to be in it."""

    data: bytes
    time_ms: int | None
    """When it was integrated there, Unix time; None if the log does not say. Nothing proves it."""


class Source(Protocol):
    """A log to import: all of it is known to lead to one root before its last entry counts."""

    @property
    def size(self) -> int:
        """Give the number of entries."""

    @property
    def root(self) -> RootHash:
        """Give the root over them that is to be reached."""

    def root_at(self, size: int) -> RootHash:
        """Give the root of its first entries."""

    def entries(self, start: int) -> Iterator[SourceEntry]:
        """Give the entries from `start` on, in order."""


class TileSource:
    """The tree of one checkpoint, in files. Any thread may call the methods."""

    def __init__(self, read: ReadFile, checkpoint: Checkpoint, *, has_times: bool = False) -> None:
        """Read the right edge; raises VerificationError TLOG_INVALID if it leads elsewhere.

        With `has_times` entries have the times that an export of ours put beside them.
        """
        self._read = read
        self._has_times = has_times
        self.checkpoint = checkpoint
        self.size = checkpoint.size
        self.root = checkpoint.root
        self._tile = lru_cache(_CACHED_TILES)(self._read_tile)
        if self.size >= 1 << 56:
            raise VerificationError("TLOG_INVALID", f"no log has {self.size} entries")
        edge = []
        for level in range(levels_of(self.size)):
            index = self.size >> 8 * (level + 1)
            width = tile_width(level, index, self.size)
            edge.append(self._read_hashes(level, index, width) if width else b"")
        self._edge = edge
        found = Edge.of_tiles(self.size, edge).root() if self.size else EMPTY_ROOT
        if found != self.root:
            raise VerificationError(
                "TLOG_INVALID",
                f"the tiles at size {self.size} do not lead to the checkpoint's root",
                expected=self.root.hex(),
                found=found.hex(),
            )

    def root_at(self, size: int) -> RootHash:
        """Give the root of the tree at an earlier size."""
        return tree_root(
            size, lambda level, index, width: self._tile(level, index)[: width * HASH_SIZE]
        )

    def entries(self, start: int) -> Iterator[SourceEntry]:
        """Give the entries from `start` on, in order; several bundles are read at once.

        Raises TLOG_INVALID, ENTRY_MALFORMED, UnavailableError, and what `read` raises.
        """
        indexes = range(start // TILE_WIDTH, -(-self.size // TILE_WIDTH))
        pool = ThreadPoolExecutor(_AT_ONCE, "read")
        try:
            waiting: deque[Future[list[SourceEntry]]] = deque()
            rest = iter(indexes)
            for skip in count():
                waiting.extend(
                    pool.submit(self.bundle, index) for index in islice(rest, _AHEAD - len(waiting))
                )
                if not waiting:
                    return
                found = waiting.popleft().result()
                yield from found[start % TILE_WIDTH :] if skip == 0 else found
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def bundle(self, index: int) -> list[SourceEntry]:
        """Give the entries of a bundle, each of them the leaf that the tree has there."""
        width = tile_width(0, index, self.size)
        path = tile_path("entries", index, width)
        data = self._fetch(path, tile_path("entries", index), MAX_BUNDLE)
        try:
            records = split_records(data)
        except MalformedError as error:
            raise _invalid(f"{path}: {error}") from error
        if len(records) < width:
            raise _invalid(f"{path} holds {len(records)} entries")
        entries = [record_data(record) for record in records[:width]]
        hashes = self._tile(0, index)
        for place, entry in enumerate(entries):
            if leaf_hash(entry) != hashes[place * HASH_SIZE : (place + 1) * HASH_SIZE]:
                raise _invalid(
                    f"entry {index * TILE_WIDTH + place} in {path} is not the leaf of its tile"
                )
        return list(map(SourceEntry, entries, self._times(index, width)))

    def _times(self, index: int, width: int) -> list[int | None]:
        if not self._has_times:
            return [None] * width
        path = times_path(index, width)
        data = self._fetch(path, times_path(index), TILE_WIDTH * TIME_SIZE)
        if len(data) % TIME_SIZE or len(data) < width * TIME_SIZE:
            raise _invalid(f"{path} holds {len(data)} bytes")
        times: list[int | None] = []
        for at in range(0, width * TIME_SIZE, TIME_SIZE):
            time_ms = int.from_bytes(data[at : at + TIME_SIZE], "big")
            if time_ms >> 62:
                raise _invalid(f"{path} holds a time that is none")
            times.append(time_ms)
        return times

    def _read_tile(self, level: int, index: int) -> bytes:
        """Give all hashes of a tile, proven."""
        width = tile_width(level, index, self.size)
        if width < TILE_WIDTH:
            return self._edge[level]
        hashes = self._read_hashes(level, index, width)
        above = self._tile(level + 1, index // TILE_WIDTH)
        place = index % TILE_WIDTH * HASH_SIZE
        if fold_tile(hashes)[-1][0] != above[place : place + HASH_SIZE]:
            raise _invalid(f"{tile_path(level, index)} is not what the tile above it covers")
        return hashes

    def _read_hashes(self, level: int, index: int, width: int) -> bytes:
        path = tile_path(level, index, width)
        hashes = self._fetch(path, tile_path(level, index), TILE_WIDTH * HASH_SIZE)
        if len(hashes) % HASH_SIZE or len(hashes) < width * HASH_SIZE:
            raise _invalid(f"{path} holds {len(hashes)} bytes")
        return hashes[: width * HASH_SIZE]

    def _fetch(self, path: str, full: str, max_bytes: int) -> bytes:
        """Read a file; a log may drop a partial one once there is the full one."""
        data = self._read(path, max_bytes)
        if data is None and path != full:
            data = self._read(full, max_bytes)
        if data is None:
            raise _invalid(f"{path} is missing")
        return data


def _invalid(message: str) -> VerificationError:
    return VerificationError("TLOG_INVALID", f"the log to be read is not whole: {message}")
