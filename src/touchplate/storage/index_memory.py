"""The search index's database in memory."""

import secrets
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from threading import Lock
from typing import Final

from touchplate.storage.index import SALT_SIZE
from touchplate.storage.index_runs import Run, find, merge, mergeable, pack

_ALL: Final = b"\xff" * 64  # above every posting


class MemoryIndex:
    """A search index that lives as long as this value."""

    def __init__(self) -> None:
        self._salt = secrets.token_bytes(SALT_SIZE)
        self._lock = Lock()  # of everything below
        self._runs: dict[str, tuple[Run, ...]] = {}
        self._blocks: dict[int, tuple[list[bytes], list[bytes]]] = {}
        self._leaders: dict[str, tuple[str, int]] = {}
        self._number = 0

    def salt(self) -> bytes:
        """Give the key of this index's terms."""
        return self._salt

    def next(self, log: str) -> int:
        """Give the index of the first entry that is not indexed."""
        with self._lock:
            return self._next(log)

    def tip(self, log: str) -> tuple[int, bytes]:
        """Give the same, and the root of the tree that the entries before it make."""
        with self._lock:
            runs = self._runs.get(log)
            return (runs[-1].stop, runs[-1].root) if runs else (0, b"")

    def add(
        self, log: str, first: int, stop: int, postings: Sequence[bytes], root: bytes = b""
    ) -> bool:
        """Index the entries [first, stop), if `first` is still the next one."""
        with self._lock:
            if self._next(log) != first:
                return False
            if stop > first:
                run = self._write(first, stop, root, iter([sorted(postings)]))
                self._runs[log] = (*self._runs.get(log, ()), run)
            return True

    def find(
        self, log: str, term: bytes, start: int, stop: int, limit: int, *, newest_first: bool
    ) -> list[int]:
        """Give the first `limit` entries in [start, stop) that have the term, in order."""
        with self._lock:
            runs = self._runs.get(log, ())
            return find(self, runs, term, start, stop, limit, newest_first=newest_first)

    def tidy(self, log: str, pause: Callable[[], None]) -> bool:
        """Merge some runs."""
        with self._lock:
            runs = self._runs.get(log, ())
            chosen = mergeable(runs)
            if not chosen:
                return False
            sources = (self.blocks(run.number, b"", _ALL, backwards=False) for run in chosen)
            last = chosen[-1]
            merged = self._write(chosen[0].first, last.stop, last.root, merge(sources, pause))
            self._runs[log] = (*runs[: len(runs) - len(chosen)], merged)
            for run in chosen:
                del self._blocks[run.number]
            return True

    def drop(self, log: str) -> None:
        """Forget all about a log."""
        with self._lock:
            for run in self._runs.pop(log, ()):
                del self._blocks[run.number]

    def lead(self, log: str, holder: str, now_ms: int, until_ms: int) -> bool:
        """Take or renew the task of following a log."""
        with self._lock:
            leader, until = self._leaders.get(log, (holder, 0))
            if leader != holder and until > now_ms:
                return False
            self._leaders[log] = (holder, until_ms)
            return True

    def size(self) -> int:
        """Give the bytes of all blocks."""
        with self._lock:
            return sum(sum(map(len, blocks)) for _, blocks in self._blocks.values())

    def close(self) -> None:
        """Keep everything: whoever opens this value next goes on with it."""

    def blocks(self, number: int, low: bytes, high: bytes, *, backwards: bool) -> Iterator[bytes]:
        """Give the blocks of a run that may hold postings in [low, high)."""
        fences, blocks = self._blocks[number]
        chosen = range(max(0, bisect_right(fences, low) - 1), bisect_left(fences, high))
        return (blocks[place] for place in (reversed(chosen) if backwards else chosen))

    def _next(self, log: str) -> int:
        runs = self._runs.get(log)
        return runs[-1].stop if runs else 0

    def _write(
        self, first: int, stop: int, root: bytes, postings: Iterator[Sequence[bytes]]
    ) -> Run:
        packed = list(pack(postings))
        self._number += 1
        self._blocks[self._number] = (
            [block.first for block in packed],
            [block.data for block in packed],
        )
        return Run(self._number, first, stop, root)
