"""Sealing: full entry bundles and tiles go from the database to the object store.

Only what is committed is sealed, so an object's bytes are a function of the tree and never change.
The order is: commit the entries with their rows, write the objects, and only then, in a later
transaction, drop the rows. A crash between any two of them repeats work and loses nothing.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from touchplate.errors import RefusedError, SettingsError, VerificationError
from touchplate.merkle.tile import TILE_WIDTH, tile_path
from touchplate.merkle.tree import EMPTY_ROOT, HASH_SIZE
from touchplate.storage.database import STAMP_SIZE, LogDatabase, LogState
from touchplate.storage.objects import ObjectStore
from touchplate.tilelog.settings import TileLogSettings
from touchplate.tilelog.tiles import Tiles, missing

_MAX_SEALED: Final = 16  # bundles in one go, after which the database may drop their rows
_NOTE: Final = re.compile(rb"(\d{1,19}) ([0-9a-f]{64})\n", re.ASCII)
_LEFT: Final = re.compile(rb"(\d{1,19}) ([0-9a-f]{64}) (\d{1,19})\n", re.ASCII)


class _Left(NamedTuple):
    """How far the objects of a load may go that began to extend the tree of this size and root."""

    size: int
    root: bytes
    stop: int


class Sealer:
    """Writes what is full. Several processes may seal at once: they write the same bytes."""

    def __init__(
        self,
        settings: TileLogSettings,
        database: LogDatabase,
        objects: ObjectStore,
        tiles: Tiles,
    ) -> None:
        self._settings = settings
        self._database = database
        self._objects = objects
        self._tiles = tiles

    def seal(self, start: int) -> int:
        """Write some of the full bundles at and above `start`; give up to where they rest now."""
        state = self._tiles.state()
        sealed = max(start, state.sealed)
        stop = min(state.size - state.size % TILE_WIDTH, sealed + _MAX_SEALED * TILE_WIDTH)
        full: dict[int, dict[str, bytes]] = {}
        while sealed < stop:
            bundle = self._bundle(sealed // TILE_WIDTH)
            if bundle:
                full[sealed] = bundle | self._tiles_ending_at(sealed + TILE_WIDTH)
                sealed += TILE_WIDTH
            elif self._tiles.state().sealed > sealed:
                # Another process has dropped the rows meanwhile, so it had sealed them.
                sealed = self._tiles.state().sealed
            else:
                raise missing(tile_path(self._settings.entries_tile, sealed // TILE_WIDTH))
        self.put(full, state)
        # Read again: while we wrote objects another process may have noted more than we saw then.
        self.note(self._tiles.state())
        return sealed

    def put(
        self, full: Mapping[int, Mapping[str, bytes]], state: LogState, stop: int | None = None
    ) -> None:
        """Write the objects of full bundles, by first entry, in the log's state.

        A load puts them before the state moves to the size `stop`: that is noted first. If it dies
        then, the objects are nobody's, and the note tells them from entries that were promised and
        that an old database lacks; they are replaced. Raises RefusedError FILE_EXISTS if other
        bytes are there that no load has left.
        """
        left = None
        if stop is not None:
            left = self._left()
            self._announce(state, max(stop, left.stop) if left else stop)
        try:
            self._objects.put_all(
                {key: data for each in full.values() for key, data in each.items()}
            )
        except RefusedError:
            left = self._left() if stop is None else left
            for start, objects in full.items():
                try:
                    self._objects.put_all(objects)
                except RefusedError:
                    if not self._is_left(left, start, state):
                        raise
                    for key, data in objects.items():
                        self._objects.replace(key, data)

    def _announce(self, state: LogState, stop: int) -> None:
        note = f"{state.size} {state.root.hex()} {stop}\n"
        self._objects.replace(self._left_key(), note.encode())

    def _left(self) -> _Left | None:
        note = self._note(self._left_key(), _LEFT, "remove it, and begin the import again")
        return note and _Left(int(note[1]), bytes.fromhex(note[2].decode()), int(note[3]))

    def _is_left(self, left: _Left | None, start: int, state: LogState) -> bool:
        """Say whether the objects of the bundle at `start` may be what a load has left."""
        if left is None or left.size > state.size or not left.size - TILE_WIDTH < start < left.stop:
            return False
        return (self._tiles.root_at(left.size) if left.size else EMPTY_ROOT) == left.root

    def check_not_behind(self) -> LogState | None:
        """Give the state once it is held to what was published.

        A database from an old backup lacks entries that were promised; going on from there would
        fork the log. Raises SettingsError STATE_BEHIND, FILE_UNREADABLE for a damaged note.
        """
        while True:
            state = self._database.state()
            try:
                self._check_not_behind(state)
            except SettingsError:
                # Another process may have published since the state was read.
                if self._database.state() == state:
                    raise
            else:
                return state

    def _check_not_behind(self, state: LogState | None) -> None:
        size = state.size if state else 0
        published = self._note(
            self._published_key(),
            _NOTE,
            "if a witness or a client's checkpoint proves that the database is the newest one, "
            "remove this note: it is written anew",
        )
        if published is not None:
            self.check_extends(state, int(published[1]), bytes.fromhex(published[2].decode()))
        start = size - size % TILE_WIDTH
        if self._objects.get(self._tiles.entries_key(start // TILE_WIDTH)) is not None and not (
            state and self._is_left(self._left(), start, state)
        ):
            raise _behind(f"the object store holds entries above the stored size {size}")

    def check_extends(self, state: LogState | None, size: int, root: bytes) -> None:
        """Hold the state to a checkpoint that was seen. Raises SettingsError STATE_BEHIND."""
        stored = state.size if state else 0
        if stored < size:
            raise _behind(f"the log was published at size {size} and is stored at size {stored}")
        if (self._tiles.root_at(size) if size else EMPTY_ROOT) != root:
            raise _behind(f"the stored log has another root at size {size} than was published")

    def note(self, state: LogState) -> None:
        """Note in the object store how far the log has come, for `check_not_behind`."""
        self._objects.replace(self._published_key(), f"{state.size} {state.root.hex()}\n".encode())

    def _note(self, key: str, form: re.Pattern[bytes], hint: str) -> re.Match[bytes] | None:
        """Read a note of ours. It is replaced whole: one that is damaged is the storage's doing."""
        note = self._objects.get(key)
        if note is None:
            return None
        match = form.fullmatch(note)
        if match is None:
            raise SettingsError(
                "FILE_UNREADABLE",
                f"the note {key} in the object store is damaged",
                found=repr(note[:100]),
                hint=hint,
            )
        return match

    def _left_key(self) -> str:
        return f"{self._settings.name}/loading"

    def _published_key(self) -> str:
        return f"{self._settings.name}/published"

    def _bundle(self, index: int) -> dict[str, bytes]:
        """Give the objects of a full bundle, or nothing if its rows are not there."""
        start = index * TILE_WIDTH
        segments = self._database.segments(start, start + TILE_WIDTH)
        if not segments:
            return {}
        records = b"".join(segment.records for segment in segments)
        hashes = b"".join(segment.hashes for segment in segments)
        stamps = b"".join(segment.stamps for segment in segments)
        if not (
            len(hashes) == TILE_WIDTH * HASH_SIZE
            and len(stamps) == TILE_WIDTH * STAMP_SIZE
            and len(self._settings.split(records)) == TILE_WIDTH
        ):
            raise VerificationError(
                "TLOG_INVALID", f"the rows of entry bundle {index} do not make a full one"
            )
        return {
            self._tiles.entries_key(index): records,
            self._tiles.stamps_key(index): stamps,
            self._tiles.tile_key(0, index): hashes,
        }

    def _tiles_ending_at(self, sealed: int) -> dict[str, bytes]:
        """Give the tiles above level 0 that end exactly at `sealed`."""
        objects = {}
        level = 1
        while sealed % (1 << 8 * (level + 1)) == 0:
            index = (sealed >> 8 * (level + 1)) - 1
            hashes = self._database.tile(level, index)
            if hashes is not None:
                objects[self._tiles.tile_key(level, index)] = hashes
            elif self._objects.get(self._tiles.tile_key(level, index)) is None:
                raise missing(tile_path(level, index))
            level += 1
        return objects


def _behind(message: str) -> SettingsError:
    """Say that this state must not be written to."""
    return SettingsError(
        "STATE_BEHIND",
        message,
        hint="the database may come from an old backup: restore the newest one, "
        "or begin a new log under a new name",
    )
