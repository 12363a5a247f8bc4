"""Read the whole log again, in parts that processes share, and name everything that is wrong.

`check` stops at the first fault and is for tests and small logs. Here each part of 65,536 entries
is read on its own (`audit_part`), and what the parts found is put together (`combine`): the same
proof, with every fault in it, as fast as the machine reads and hashes.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from touchplate.errors import MalformedError, TouchplateError
from touchplate.merkle.edge import EMPTY_EDGE, Edge, extend, levels_of
from touchplate.merkle.tile import TILE_WIDTH, fold_tile, tile_path
from touchplate.merkle.tree import EMPTY_ROOT, HASH_SIZE, LeafHash, leaf_hash
from touchplate.storage.database import STAMP_SIZE, LogDatabase, LogState
from touchplate.storage.objects import ObjectStore
from touchplate.tilelog.entry import duplicate_identity
from touchplate.tilelog.settings import TileLogSettings
from touchplate.tilelog.tiles import Tiles, parse_stamp

PART_BUNDLES: Final = TILE_WIDTH  # of 256 entries each: what one tile of level 1 covers
MAX_FAULTS: Final = 100  # named in each part; more are counted

CheckEntry = Callable[[bytes], bool]
"""A record -> whether it holds all that its signature needs; raises what is wrong with it."""


class Fault(NamedTuple):
    """One thing that is wrong."""

    place: str
    """The path of a tile, `entry N`, `the checkpoint`, …"""
    text: str


class Part(NamedTuple):
    """What was found in one part of the log."""

    number: int
    entries: int
    faults: tuple[Fault, ...]
    more: int
    """Faults beyond those named."""
    roots: tuple[bytes, ...]
    """The hash of each full bundle's 256 leaves; empty where neither entries nor tile are there."""
    tail: bytes
    """The leaf hashes of the bundle that is not full."""
    first_ms: int
    last_ms: int
    signed: int
    """Entries whose own signature was checked."""


class Audit(NamedTuple):
    """What was found in the whole log."""

    size: int
    root: bytes
    faults: tuple[Fault, ...]
    more: int
    signed: int


def count_parts(size: int) -> int:
    """Give the number of parts that a log of this size has."""
    return -(-size // (PART_BUNDLES * TILE_WIDTH))


class Auditor:
    """Reads one log. Several may read the same one at once, and it may grow meanwhile."""

    def __init__(
        self,
        settings: TileLogSettings,
        database: LogDatabase,
        objects: ObjectStore,
        *,
        check_entry: CheckEntry | None = None,
        is_leaf_identity: bool = False,
    ) -> None:
        """Take the log; of `settings` only name, paths and framing are used.

        With `is_leaf_identity` an entry's identity must be its leaf hash. `check_entry` is called
        with each record.
        """
        self._settings = settings
        self._database = database
        self._tiles = Tiles(settings, database, objects)
        self._check_entry = check_entry
        self._is_leaf_identity = is_leaf_identity
        self._faults: list[Fault] = []
        self._more = 0
        self._signed = 0
        self._first_ms = self._last_ms = -1

    def audit_part(self, number: int, size: int) -> Part:
        """Read part `number` of the log of `size` entries. Raises UnavailableError."""
        self._faults, self._more, self._signed = [], 0, 0
        self._first_ms = self._last_ms = -1
        first = number * PART_BUNDLES
        stop = min(first + PART_BUNDLES, -(-size // TILE_WIDTH))
        roots, tail = [], b""
        for index in range(first, stop):
            width = min(TILE_WIDTH, size - index * TILE_WIDTH)
            hashes = self._audit_bundle(index, width)
            if width == TILE_WIDTH:
                roots.append(fold_tile(hashes)[-1][0] if hashes else b"")
            else:
                tail = hashes
        entries = min(size, stop * TILE_WIDTH) - first * TILE_WIDTH
        return Part(
            number, entries, tuple(self._faults), self._more, tuple(roots), tail,
            self._first_ms, self._last_ms, self._signed,
        )  # fmt: skip

    def _audit_bundle(self, index: int, width: int) -> bytes:
        """Check a bundle, its tile and its stamps; give the leaf hashes, from the entries."""
        start = index * TILE_WIDTH
        records = self._read_records(index, width)
        leaves: list[LeafHash] = []
        for place, record in enumerate(records):
            try:
                leaves.append(leaf_hash(self._settings.hashed(record)))
                if self._check_entry is not None:
                    self._signed += self._check_entry(record)
            except TouchplateError as error:
                self._fault(f"entry {start + place}", f"{error.code}: {error}")
        self._audit_stamps(index, width, leaves)
        path = tile_path(0, index, width)
        tile = self._tiles.read_tile(0, index, width)
        if len(leaves) != width:
            # Told already. The tile may do for what is above, so that one fault is one.
            if tile is None:
                self._fault(path, "is missing")
            return tile or b""
        hashes = b"".join(leaves)
        if tile is None:
            self._fault(path, "is missing")
        elif tile != hashes:
            for place in range(width):
                part = slice(place * HASH_SIZE, (place + 1) * HASH_SIZE)
                if tile[part] != hashes[part]:
                    self._fault(
                        f"entry {start + place}",
                        f"its leaf hash {hashes[part].hex()} is not the one in {path}",
                    )
        return hashes

    def _read_records(self, index: int, width: int) -> Sequence[bytes]:
        path = tile_path(self._settings.entries_tile, index, width)
        bundle = self._tiles.read_entries(index, width)
        if bundle is None:
            self._fault(path, "is missing, or holds too few entries")
            return ()
        try:
            records = self._settings.split(bundle)
        except MalformedError as error:
            self._fault(path, f"is malformed: {error}")
            return ()
        if len(records) != width:
            self._fault(path, f"holds {len(records)} entries")
        return records

    def _audit_stamps(self, index: int, width: int, leaves: Sequence[bytes]) -> None:
        """Hold times to order, and each identity to lead to its entry: so none comes twice."""
        stamps = self._tiles.read_stamps(index, width)
        if stamps is None:
            self._fault(f"stamps of bundle {index}", "are missing, or too few")
            return
        parts = [stamps[at : at + STAMP_SIZE] for at in range(0, width * STAMP_SIZE, STAMP_SIZE)]
        known = self._database.find_all([parse_stamp(stamp)[1] for stamp in parts])
        for place, stamp in enumerate(parts):
            entry = index * TILE_WIDTH + place
            time_ms, identity = parse_stamp(stamp)
            found = known.get(identity)
            if found != entry:
                if found is not None and found < entry and self._is_same(found, identity):
                    self._fault(f"entry {entry}", f"has the identity of entry {found}")
                else:
                    what = "nowhere" if found is None else f"to entry {found}"
                    self._fault(f"entry {entry}", f"its identity leads {what}")
            if (
                self._is_leaf_identity
                and len(leaves) == width
                and identity != leaves[place]
                and identity != duplicate_identity(leaves[place], entry)
            ):
                self._fault(f"entry {entry}", "its identity is not its leaf hash")
            if time_ms < self._last_ms:
                self._fault(f"entry {entry}", "is older than the one before it")
            if self._first_ms < 0:
                self._first_ms = time_ms
            self._last_ms = time_ms

    def _is_same(self, entry: int, identity: bytes) -> bool:
        stored = self._tiles.entry(entry)
        return stored is not None and stored.identity == identity

    def _fault(self, place: str, text: str) -> None:
        if len(self._faults) < MAX_FAULTS:
            self._faults.append(Fault(place, text))
        else:
            self._more += 1

    def combine(self, state: LogState, parts: Sequence[Part]) -> Audit:
        """Put the parts of the log in this state together, in order: upper tiles, root, times."""
        self._faults, self._more = [], 0
        upper = list(self._audit_upper(state, parts))
        faults = [*(fault for part in parts for fault in part.faults), *self._faults, *upper]
        last_ms = -1
        for part in parts:
            if part.first_ms >= 0:
                if part.first_ms < last_ms:
                    first = part.number * PART_BUNDLES * TILE_WIDTH
                    faults.append(Fault(f"entry {first}", "is older than the one before it"))
                last_ms = part.last_ms
        if last_ms > state.time_ms:
            faults.append(Fault("the checkpoint", "an entry is younger than it"))
        return Audit(
            state.size,
            state.root,
            tuple(faults),
            sum(part.more for part in parts),
            sum(part.signed for part in parts),
        )

    def _audit_upper(self, state: LogState, parts: Sequence[Part]) -> Iterator[Fault]:
        """Check the tiles above level 0 and the root. Roots of bundles are leaves one level up."""
        roots = [root for part in parts for root in part.roots]
        if not all(roots):
            yield Fault("the root", "cannot be computed: entries and their tiles are missing")
            return
        tail = parts[-1].tail if parts else b""
        if len(tail) != state.size % TILE_WIDTH * HASH_SIZE:
            yield Fault("the root", "cannot be computed: the last entries are missing")
            return
        growth = extend(EMPTY_EDGE, roots)
        for level, index, hashes in growth.full_tiles:
            yield from self._audit_tile(level + 1, index, hashes)
        for level, hashes in enumerate(growth.edge.tiles):
            if hashes:
                index = len(roots) >> 8 * (level + 1)
                yield from self._audit_tile(level + 1, index, hashes)
        tiles = (tail, *growth.edge.tiles)[: levels_of(state.size)]
        root = Edge.of_tiles(state.size, tiles).root() if state.size else EMPTY_ROOT
        if root != state.root:
            yield Fault(
                "the root",
                f"the entries lead to {root.hex()}, the checkpoint says {state.root.hex()}",
            )

    def _audit_tile(self, level: int, index: int, hashes: bytes) -> Iterator[Fault]:
        width = len(hashes) // HASH_SIZE
        tile = self._tiles.read_tile(level, index, width)
        if tile is None:
            yield Fault(tile_path(level, index, width), "is missing")
        elif tile != hashes:
            yield Fault(tile_path(level, index, width), "is not what its leaves make")
