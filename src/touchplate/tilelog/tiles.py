"""Reading the log: its checkpoint, tiles, entries and proofs.

What is not sealed is read from the database, the rest from objects. In this order, for an entry is
in both for a while and never in neither.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from touchplate.errors import RefusedError, UnavailableError, VerificationError
from touchplate.merkle.edge import Edge, extend, levels_of
from touchplate.merkle.proof import check_inclusion
from touchplate.merkle.tile import (
    MAX_LEVEL,
    MAX_SIZE,
    TILE_WIDTH,
    consistency_proof,
    encode_tile_index,
    inclusion_proof,
    partial_width,
    tile_path,
    tree_root,
)
from touchplate.merkle.tree import HASH_SIZE, RootHash, leaf_hash
from touchplate.storage.database import (
    STAMP_SIZE,
    LogDatabase,
    LogState,
    PublishedCheckpoint,
    Segment,
)
from touchplate.storage.objects import ObjectStore
from touchplate.tilelog.cache import BundleCache, SealedBundle
from touchplate.tilelog.entry import Receipt, SignedCheckpoint, StoredEntry
from touchplate.tilelog.settings import TileLogSettings

_FOLLOWED: Final = TILE_WIDTH  # entries of other processes that an edge is extended by
_CACHED_TILES: Final = 1024  # full hash tiles kept in memory, 8 KiB each


class Tiles:
    """The log as it was committed last. Any thread may read, whoever writes."""

    def __init__(
        self, settings: TileLogSettings, database: LogDatabase, objects: ObjectStore
    ) -> None:
        self._settings = settings
        self._database = database
        self._objects = objects
        self._full_tile = lru_cache(_CACHED_TILES)(self._read_full_tile)
        self._bundles = BundleCache()
        self._size = 0  # that the log has at least

    def state(self) -> LogState:
        """Give the state that was committed last."""
        return existing(self._database.state())

    def published(self) -> SignedCheckpoint:
        """Give the checkpoint that readers get: the cosigned one, if this log has them cosigned."""
        if self._settings.cosign is None:
            return checkpoint_of(self.state())
        published = self._database.published()
        if published is None:
            raise UnavailableError("STORAGE_UNAVAILABLE", "the log's database has become empty")
        return checkpoint_of(published)

    def read_tile(self, level: int, index: int, width: int = TILE_WIDTH) -> bytes | None:
        """Give the first `width` hashes of a tile, or None if the log is not that large."""
        if not (0 <= level <= MAX_LEVEL and _is_possible(index, width)):
            return None
        if level:
            hashes = self._database.tile(level, index)
        else:
            hashes = b"".join(segment.hashes for segment in self._segments(index))
        if not hashes and self._is_promised(index * TILE_WIDTH + width << 8 * level):
            hashes = self._objects.get(self.tile_key(level, index))
        if hashes is None or len(hashes) < width * HASH_SIZE:
            return None
        return hashes[: width * HASH_SIZE]

    def read_entries(self, index: int, width: int = TILE_WIDTH) -> bytes | None:
        """Give the first `width` records of an entry bundle, or None if there are fewer."""
        if not _is_possible(index, width):
            return None
        segments = self._segments(index)
        if segments:
            count = sum(segment.count for segment in segments)
            bundle: bytes | None = b"".join(segment.records for segment in segments)
        elif self._is_promised(index * TILE_WIDTH + width):
            count = TILE_WIDTH
            bundle = self._objects.get(self.entries_key(index))
        else:
            return None
        if bundle is None or count < width:
            return None
        return bundle if count == width else b"".join(self._settings.split(bundle)[:width])

    def read_stamps(self, index: int, width: int = TILE_WIDTH) -> bytes | None:
        """Give times and identities of the first `width` entries of a bundle, or None."""
        stamps: bytes | None = b"".join(segment.stamps for segment in self._segments(index))
        stamps = stamps or self._objects.get(self.stamps_key(index))
        if stamps is None or len(stamps) < width * STAMP_SIZE:
            return None
        return stamps[: width * STAMP_SIZE]

    def identities(self) -> Iterator[bytes]:
        """Give all entries' identities in order. Raises TLOG_INVALID if stamps are missing."""
        size = self.state().size
        for start in range(0, size, TILE_WIDTH):
            stamps = self.read_stamps(start // TILE_WIDTH, min(TILE_WIDTH, size - start))
            if stamps is None:
                raise missing(f"the stamps of bundle {start // TILE_WIDTH}")
            for at in range(0, len(stamps), STAMP_SIZE):
                yield parse_stamp(stamps[at : at + STAMP_SIZE])[1]

    def entry(self, index: int) -> StoredEntry | None:
        """Give the entry, or None if the log is not that large."""
        if not _is_possible(index // TILE_WIDTH, TILE_WIDTH) or not self._is_promised(index + 1):
            return None
        bundle = self._bundles.get(index // TILE_WIDTH)
        if bundle is None:
            for segment in self._database.segments(index, index + 1):
                records = self._settings.split(segment.records)
                return _entry(index, index - segment.first, records, segment.stamps)
            bundle = self._sealed_bundle(index // TILE_WIDTH)
        if bundle is None:
            return None
        return _entry(index, index % TILE_WIDTH, bundle.records, bundle.stamps)

    def receipt(self, index: int, checkpoint: SignedCheckpoint | None = None) -> Receipt:
        """Prove an entry's inclusion in the published checkpoint, or in another one.

        Raises RefusedError NOT_FOUND if that is smaller.
        """
        checkpoint = checkpoint or self.published()
        entry = self.entry(index) if 0 <= index < checkpoint.size else None
        if entry is None:
            raise RefusedError("NOT_FOUND", f"the log has no entry {index}")
        leaf = leaf_hash(self._settings.hashed(entry.record))
        proof = inclusion_proof(index, checkpoint.size, self.read_hashes)
        check_inclusion(index, checkpoint.size, leaf, proof, checkpoint.root)
        return Receipt(index, entry.time_ms, leaf, proof, checkpoint, entry.record)

    def consistency(self, old_size: int, new_size: int) -> tuple[bytes, ...]:
        """Give the proof that the tree of `new_size` begins with the tree of `old_size`.

        Raises RefusedError NOT_FOUND if the log is smaller or the sizes are the wrong way round.
        """
        if not 0 <= old_size <= new_size <= self.state().size:
            raise RefusedError("NOT_FOUND", f"the log has no trees {old_size} and {new_size}")
        return consistency_proof(old_size, new_size, self.read_hashes)

    def root_at(self, size: int) -> RootHash:
        """Give the root that the tree had at an earlier size."""
        return tree_root(size, self.read_hashes)

    def edge(self, state: LogState) -> Edge:
        """Load the right edge of that state's tree; it leads to that state's root.

        Raises VerificationError TLOG_INVALID if it does not.
        """
        tiles = []
        for level in range(levels_of(state.size)):
            width = partial_width(level, state.size)
            index = state.size >> 8 * (level + 1)
            tiles.append(self.read_hashes(level, index, width) if width else b"")
        edge = Edge.of_tiles(state.size, tiles)
        if edge.root() != state.root:
            raise VerificationError(
                "TLOG_INVALID",
                f"the tiles at size {state.size} do not lead to the checkpoint's root",
                expected=state.root.hex(),
                found=edge.root().hex(),
            )
        return edge

    def grown(self, edge: Edge, state: LogState) -> Edge | None:
        """Give the same from an edge of an earlier state, by the entries between the two.

        None if they are many, or sealed by now, or lead elsewhere.
        """
        if not edge.size < state.size <= edge.size + _FOLLOWED:
            return None
        at, leaves = edge.size, []
        for segment in self._database.segments(at, state.size):
            if segment.first != at:
                return None
            leaves += [
                segment.hashes[start : start + HASH_SIZE]
                for start in range(0, len(segment.hashes), HASH_SIZE)
            ]
            at += segment.count
        growth = extend(edge, leaves)
        return growth.edge if (at, growth.root()) == (state.size, state.root) else None

    def read_hashes(self, level: int, index: int, width: int) -> bytes:
        """Give the tile as `merkle` asks for it. Raises TLOG_INVALID if it is missing."""
        if width == TILE_WIDTH:
            return self._full_tile(level, index)
        hashes = self.read_tile(level, index, width)
        if hashes is None:
            raise missing(tile_path(level, index, width))
        return hashes

    def tile_key(self, level: int, index: int) -> str:
        """Give the object key of a full tile."""
        return f"{self._settings.name}/{tile_path(level, index)}"

    def entries_key(self, index: int) -> str:
        """Give the object key of a full entry bundle."""
        return f"{self._settings.name}/{tile_path(self._settings.entries_tile, index)}"

    def stamps_key(self, index: int) -> str:
        """Give the object key of a full bundle's times and identities, which are not published."""
        return f"{self._settings.name}/stamps/{encode_tile_index(index)}"

    def _is_promised(self, size: int) -> bool:
        """Say whether the log has so many entries; a load writes objects before they are promised.

        The database is asked only beyond what it said before: a log does not shrink.
        """
        if size > self._size:
            self._size = self.state().size
        return size <= self._size

    def _segments(self, index: int) -> list[Segment]:
        return self._database.segments(index * TILE_WIDTH, (index + 1) * TILE_WIDTH)

    def _read_full_tile(self, level: int, index: int) -> bytes:
        hashes = self.read_tile(level, index)
        if hashes is None:
            raise missing(tile_path(level, index))
        return hashes

    def _sealed_bundle(self, index: int) -> SealedBundle | None:
        records = self._objects.get(self.entries_key(index))
        stamps = self._objects.get(self.stamps_key(index))
        if records is None or stamps is None:
            return None
        bundle = SealedBundle(tuple(self._settings.split(records)), stamps)
        self._bundles.put(index, bundle)
        return bundle


def _entry(index: int, place: int, records: Sequence[bytes], stamps: bytes) -> StoredEntry:
    time_ms, identity = parse_stamp(stamps[place * STAMP_SIZE : (place + 1) * STAMP_SIZE])
    return StoredEntry(index, records[place], time_ms, identity)


def _is_possible(index: int, width: int) -> bool:
    """Say whether any log could have such a tile; the database takes no larger numbers."""
    return 0 <= index < MAX_SIZE // TILE_WIDTH and 0 < width <= TILE_WIDTH


def existing(state: LogState | None) -> LogState:
    """Give the state of a log that was opened, so there is one."""
    if state is None:
        raise UnavailableError("STORAGE_UNAVAILABLE", "the log's database has become empty")
    return state


def checkpoint_of(state: LogState | PublishedCheckpoint) -> SignedCheckpoint:
    """Give the checkpoint that was stored."""
    return SignedCheckpoint(state.size, RootHash(state.root), state.time_ms, state.envelope)


def encode_stamp(time_ms: int, identity: bytes) -> bytes:
    """Give an entry's time and identity as they rest beside its bundle."""
    return time_ms.to_bytes(8, "big") + identity


def parse_stamp(stamp: bytes) -> tuple[int, bytes]:
    """Give an entry's time and identity."""
    return int.from_bytes(stamp[:8], "big"), stamp[8:]


def missing(path: str) -> VerificationError:
    """Say that something is not there that the checkpoint implies."""
    return VerificationError("TLOG_INVALID", f"{path} is missing")
