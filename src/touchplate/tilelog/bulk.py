"""Loading: entries that exist already, by the million -> objects -> state.

Full bundles and tiles go to the object store before the state moves, and never through the
database. Meanwhile other processes may append: a load is one more writer, with larger batches. What
it left behind when it was killed is told from promised entries by a note (`Sealer.put`).
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final, NamedTuple

from touchplate.merkle.edge import EMPTY_EDGE, Edge, Growth, extend
from touchplate.merkle.tile import TILE_WIDTH
from touchplate.merkle.tree import EMPTY_ROOT, HASH_SIZE, leaf_hash
from touchplate.storage.database import STAMP_SIZE, LogDatabase, LogState, Segment
from touchplate.storage.objects import ObjectStore
from touchplate.tilelog.batch import frozen
from touchplate.tilelog.entry import Leaf, SignedCheckpoint
from touchplate.tilelog.publish import Publisher
from touchplate.tilelog.seal import Sealer
from touchplate.tilelog.settings import TileLogSettings
from touchplate.tilelog.tiles import Tiles, encode_stamp, existing

_BATCH: Final = 16_384  # entries in one transaction
_TIDY_ENTRIES: Final = 65_536


class LoadedEntry(NamedTuple):
    """An entry with what the log would have found out for itself."""

    identity: bytes  # as of a Submission
    leaf: Leaf  # built: nobody asks what its index is
    time_ms: int  # Unix time; one before that of the entry before it counts as equal to that


class Loaded(NamedTuple):
    """What came of a load."""

    checkpoint: SignedCheckpoint  # the published one
    added: int
    known: int  # entries that the log had already, or that came twice


def load(
    settings: TileLogSettings,
    database: LogDatabase,
    objects: ObjectStore,
    entries: Iterable[LoadedEntry],
    *,
    batch: int = _BATCH,
    progress: Callable[[int], None] | None = None,
) -> Loaded:
    """Append the entries to a log that exists (a `TileLog` was opened once), in their order.

    Entries that the log has are passed over, so a load that was cut short is begun again with the
    same entries, or with the rest. `progress` gets the log's size after each batch. Every batch is
    durable before the next one is read. Raises UnavailableError, RefusedError LOG_FROZEN, and
    SettingsError STATE_BEHIND as opening the log does.
    """
    loader = _Loader(settings, database, objects)
    added = known = untidy = 0
    source = iter(entries)
    while chunk := list(islice(source, batch)):
        new = loader.append(chunk)
        added, known, untidy = added + new, known + len(chunk) - new, untidy + new
        if untidy >= _TIDY_ENTRIES:
            database.tidy()
            untidy = 0
        if progress is not None:
            progress(loader.state().size)
    database.tidy()
    return Loaded(loader.publish(), added, known)


class _Loader:
    """Appends batches; one thread uses it. It remembers the edge as `Sequencer` does."""

    def __init__(
        self, settings: TileLogSettings, database: LogDatabase, objects: ObjectStore
    ) -> None:
        self._settings = settings
        self._database = database
        self._tiles = Tiles(settings, database, objects)
        self._sealer = Sealer(settings, database, objects, self._tiles)
        self._publisher = Publisher(settings, database, self._tiles)
        existing(self._sealer.check_not_behind())
        self._edge: Edge = EMPTY_EDGE
        self._root: bytes = EMPTY_ROOT
        self._last_ms = 0  # time of the last entry

    def state(self) -> LogState:
        return self._tiles.state()

    def publish(self) -> SignedCheckpoint:
        state = self.state()
        self._sealer.note(state)
        return self._publisher.publish(state)

    def append(self, entries: Sequence[LoadedEntry]) -> int:
        """Commit the entries, but those that are known; give how many were new."""
        unique: dict[bytes, LoadedEntry] = {}
        for entry in entries:
            unique.setdefault(entry.identity, entry)
        while True:
            sealed = self._seal()
            with self._database.transaction() as transaction:
                before = existing(transaction.state())
                if before.frozen:
                    raise frozen()
                if sealed < before.size - before.size % TILE_WIDTH:
                    continue  # another process was quicker: seal what it appended first
                indexes = transaction.claim(list(unique), before.size)
                new = [
                    entry
                    for entry, index in zip(unique.values(), indexes, strict=True)
                    if index >= before.size
                ]
                if not new:
                    return 0
                growth = self._grow(before, new)
                stamps, last_ms = _stamps(new, self._last_ms)
                after = self._state(before, growth, last_ms)
                start = before.size - before.size % TILE_WIDTH
                rows = self._database.segments(start, before.size)
                full = self._bundles(start, rows, new, stamps)
                for level, index, hashes in growth.full_tiles:
                    ends = (index + 1 << 8 * (level + 1)) - TILE_WIDTH
                    full[ends][self._tiles.tile_key(level, index)] = hashes
                if full:
                    self._sealer.put(full, before, after.size)
                transaction.store(
                    before, after, _rest(before, growth, new, stamps), _partial_tiles(growth)
                )
                transaction.forget(after.sealed)
            self._edge, self._root, self._last_ms = growth.edge, after.root, last_ms
            return len(new)

    def _seal(self) -> int:
        """Seal what is full, as the log's own thread may be doing."""
        state = self.state()
        sealed = state.sealed
        while sealed < state.size - state.size % TILE_WIDTH:
            sealed = self._sealer.seal(sealed)
        return sealed

    def _grow(self, before: LogState, new: Sequence[LoadedEntry]) -> Growth:
        if self._edge.size != before.size or self._root != before.root:
            self._edge, self._root = self._tiles.edge(before), before.root
            last = self._tiles.entry(before.size - 1) if before.size else None
            self._last_ms = last.time_ms if last else 0
        return extend(self._edge, [leaf_hash(entry.leaf.hashed) for entry in new])

    def _state(self, before: LogState, growth: Growth, time_ms: int) -> LogState:
        size, root = growth.edge.size, growth.root()
        time_ms = max(time_ms, before.time_ms)
        envelope = self._settings.sign(size, root, time_ms, ())
        return LogState(size, root, time_ms, envelope, size - size % TILE_WIDTH)

    def _bundles(
        self, start: int, rows: Sequence[Segment], new: Sequence[LoadedEntry], stamps: bytes
    ) -> dict[int, dict[str, bytes]]:
        """Give the objects of the bundles from `start` on that are full now, by first entry."""
        records = self._settings.split(b"".join(row.records for row in rows))
        records += [entry.leaf.record for entry in new]
        stamps = b"".join(row.stamps for row in rows) + stamps
        full = {}
        for place in range(0, len(records) - len(records) % TILE_WIDTH, TILE_WIDTH):
            index, stop = (start + place) // TILE_WIDTH, place + TILE_WIDTH
            full[start + place] = {
                self._tiles.entries_key(index): b"".join(records[place:stop]),
                self._tiles.stamps_key(index): stamps[place * STAMP_SIZE : stop * STAMP_SIZE],
            }
        return full


def _stamps(new: Sequence[LoadedEntry], time_ms: int) -> tuple[bytes, int]:
    """Give the stamps of entries after one of `time_ms`, and the time of the last of them."""
    stamps = []
    for entry in new:
        time_ms = max(time_ms, entry.time_ms)
        stamps.append(encode_stamp(time_ms, entry.identity))
    return b"".join(stamps), time_ms


def _rest(
    before: LogState, growth: Growth, new: Sequence[LoadedEntry], stamps: bytes
) -> list[Segment]:
    """Give the row of the new entries that are in no full bundle yet."""
    size = growth.edge.size
    count = min(size % TILE_WIDTH, size - before.size)
    if not count:
        return []
    records = b"".join(entry.leaf.record for entry in new[-count:])
    hashes = growth.edge.tiles[0][-count * HASH_SIZE :]
    return [Segment(size - count, records, hashes, stamps[-count * STAMP_SIZE :])]


def _partial_tiles(growth: Growth) -> dict[tuple[int, int], bytes]:
    """Give the tiles above level 0 that are not full; those that are full are objects."""
    return {
        (level, growth.edge.size >> 8 * (level + 1)): hashes
        for level, hashes in enumerate(growth.edge.tiles)
        if level and hashes
    }
