"""A log's database in memory."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock

from touchplate.errors import UnavailableError
from touchplate.storage.database import (
    BUNDLE_WIDTH,
    LogState,
    LogTransaction,
    PublishedCheckpoint,
    Segment,
    is_covered,
    lost_race,
    not_an_index,
)


class MemoryLog:
    """A log's database that lives as long as this value; several logs may be opened over it."""

    def __init__(self) -> None:
        self._writing = Lock()
        self._lock = Lock()  # of everything below
        self._state: LogState | None = None
        self._segments: dict[int, Segment] = {}
        self._tiles: dict[tuple[int, int], bytes] = {}
        self._identities: dict[bytes, int] = {}
        self._published: PublishedCheckpoint | None = None

    @contextmanager
    def transaction(self) -> Iterator[LogTransaction]:
        """Wait for the lock and begin; all changes are applied at the end."""
        with self._writing:
            changes = _Changes(self._state, self._identities)
            yield changes
            self._apply(changes)

    def state(self) -> LogState | None:
        """Give the state."""
        with self._lock:
            return self._state

    def segments(self, start: int, stop: int) -> list[Segment]:
        """Give the segments that hold entries in [start, stop)."""
        with self._lock:
            near = range(start - start % BUNDLE_WIDTH, stop)
            found = [self._segments[first] for first in near if first in self._segments]
        return [segment for segment in found if segment.first + segment.count > start]

    def tile(self, level: int, index: int) -> bytes | None:
        """Give the hashes of a tile above level 0."""
        with self._lock:
            return self._tiles.get((level, index))

    def find(self, identity: bytes) -> int | None:
        """Give the index of the entry with this identity."""
        with self._lock:
            return self._identities.get(identity)

    def find_all(self, identities: Sequence[bytes]) -> dict[bytes, int]:
        """Give the index of each identity that the log has."""
        with self._lock:
            known = self._identities
            return {identity: known[identity] for identity in identities if identity in known}

    def published(self) -> PublishedCheckpoint | None:
        """Give the checkpoint that was published last."""
        with self._lock:
            return self._published

    def publish(self, checkpoint: PublishedCheckpoint) -> None:
        """Put it in the place of the published one if that is before it."""
        with self._lock:
            if self._published is None or self._published.is_before(checkpoint):
                self._published = checkpoint

    def unpublish(self) -> None:
        """Forget what was published."""
        with self._lock:
            self._published = None

    def tidy(self) -> None:
        """Do nothing: a dict needs no upkeep."""

    def reindex(self, identities: Iterable[bytes]) -> None:
        """Make the index of identities again."""
        with self._writing:
            made: dict[bytes, int] = {}
            count = 0
            for identity in identities:
                made[identity] = count
                count += 1
            size = self._state.size if self._state else 0
            if not len(made) == count == size:
                raise not_an_index(len(made), size)
            with self._lock:
                self._identities = made

    def close(self) -> None:
        """Keep everything: the next log that is opened over this value goes on with it."""

    def _apply(self, changes: "_Changes") -> None:
        with self._lock:
            self._state = changes.now
            self._identities.update(changes.identities)
            self._segments.update((segment.first, segment) for segment in changes.segments)
            self._tiles.update(changes.tiles)
            if changes.sealed:
                self._forget(changes.sealed)

    def _forget(self, sealed: int) -> None:
        for first in [first for first in self._segments if first < sealed]:
            del self._segments[first]
        for key in [key for key in self._tiles if is_covered(*key, sealed)]:
            del self._tiles[key]


class _Changes:
    """What one transaction will change."""

    def __init__(self, state: LogState | None, known: Mapping[bytes, int]) -> None:
        self.now = state
        self._known = known
        self.identities: dict[bytes, int] = {}
        self.segments: list[Segment] = []
        self.tiles: dict[tuple[int, int], bytes] = {}
        self.sealed = 0

    def state(self) -> LogState | None:
        return self.now

    def claim(self, identities: Sequence[bytes], first: int) -> list[int]:
        indexes = []
        for identity in identities:
            index = self._known.get(identity)
            if index is None:
                index = self.identities[identity] = first
                first += 1
            indexes.append(index)
        return indexes

    def store(
        self,
        before: LogState | None,
        after: LogState,
        segments: Sequence[Segment] = (),
        tiles: Mapping[tuple[int, int], bytes] | None = None,
    ) -> None:
        if self.now != before:
            raise UnavailableError("STORAGE_UNAVAILABLE", lost_race())
        self.now = after
        self.segments.extend(segments)
        self.tiles.update(tiles or {})

    def forget(self, sealed: int) -> None:
        self.sealed = sealed
