"""Counters that several processes have in common: each adds to its own part, each reads all.

One part of the shared memory belongs to one worker's place. It is a list of rows: the count, the
length of the name, the name. Rows are only ever added, and a worker that is started again goes on
with those of its predecessor, so no count goes back while the server runs.
"""

import mmap
from collections import Counter
from threading import Lock
from typing import Final

ROW_BYTES: Final = 256
ROWS: Final = 2048
PART_BYTES: Final = ROWS * ROW_BYTES
MAX_NAME: Final = ROW_BYTES - 16
_WORDS: Final = ROW_BYTES // 8


class Counts:
    """The counters of one process among `parts`. Any thread may call the methods."""

    def __init__(self, memory: memoryview, part: int = 0) -> None:
        self._memory = memory
        self._words = memory.cast("Q")
        self._first = part * ROWS
        self._rows: dict[str, int] = {}
        self._lock = Lock()
        for row, name in self._named(self._first):
            self._rows[name] = row

    def add(self, name: str, count: int = 1) -> None:
        """Add to the counter with this name, such as `requests_total{status="200"}`.

        Names are ours and few: above 2047 of them, or 240 bytes, they are all counted as one.
        """
        self.add_all(((name, count),))

    def add_all(self, counts: tuple[tuple[str, int], ...]) -> None:
        """Add to several counters."""
        with self._lock:
            for name, count in counts:
                row = self._rows.get(name)
                if row is None:
                    row = self._begin(name)
                self._words[row * _WORDS] += count

    def total(self) -> dict[str, int]:
        """Give the sum over all processes of each counter."""
        total: Counter[str] = Counter()
        for first in range(0, len(self._memory) // ROW_BYTES, ROWS):
            for row, name in self._named(first):
                total[name] += self._words[row * _WORDS]
        return dict(total)

    def _named(self, first: int) -> list[tuple[int, str]]:
        found = []
        for row in range(first, first + ROWS):
            length = self._words[row * _WORDS + 1]
            if not length:
                break
            start = row * ROW_BYTES + 16
            found.append((row, bytes(self._memory[start : start + length]).decode()))
        return found

    def _begin(self, name: str) -> int:
        row = self._first + len(self._rows)
        data = name.encode()
        if len(self._rows) >= ROWS - 1 or len(data) > MAX_NAME:
            name, data = "touchplate_other_total", b"touchplate_other_total"
            if name in self._rows:
                return self._rows[name]
        start = row * ROW_BYTES + 16
        self._memory[start : start + len(data)] = data
        # Last: only now other processes see the row.
        self._words[row * _WORDS + 1] = len(data)
        self._rows[name] = row
        return row


class SharedCounts:
    """Memory for the counters of `parts` processes. Make it before they are forked."""

    def __init__(self, parts: int) -> None:
        self._memory = mmap.mmap(-1, parts * PART_BYTES)

    def of(self, part: int) -> Counts:
        """Give the counters of one process."""
        return Counts(memoryview(self._memory), part)


def own_counts() -> Counts:
    """Give counters that no other process has."""
    return SharedCounts(1).of(0)
