"""Which entries may match: postings of several conditions, walked side by side in one direction.

Each condition is a stream of entries in order. The one that is behind is moved to where the
foremost stands, until all stand on one entry; so two frequent terms that seldom meet cost what the
less frequent one has. A budget bounds what one question may cost.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from touchplate.storage.index import IndexDatabase

_FIRST_READ: Final = 32
_MOST_READ: Final = 2048


class BudgetSpentError(Exception):
    """A question has looked at all it may. Stays within this room."""

    def __init__(self, entry: int) -> None:
        super().__init__()
        self.entry = entry
        """The entry up to which nothing more matches; the next question goes on there."""


class Budget:
    """How many postings may still be read."""

    def __init__(self, postings: int) -> None:
        self._left = postings

    def take(self, count: int) -> None:
        """Count postings that were read."""
        self._left -= count

    @property
    def is_spent(self) -> bool:
        """Say whether it is used up."""
        return self._left < 0


def candidates(
    database: IndexDatabase,
    log: str,
    conditions: Sequence[Sequence[bytes]],
    start: int,
    stop: int,
    *,
    newest_first: bool,
    budget: Budget,
) -> Iterator[int]:
    """Give the entries in [start, stop) that have a term of each condition, in order.

    Without conditions those are all. Raises BudgetSpentError.
    """
    if not conditions:
        yield from range(stop - 1, start - 1, -1) if newest_first else range(start, stop)
        return
    streams = [
        _Stream(database, log, terms, start, stop, newest_first=newest_first, budget=budget)
        for terms in conditions
    ]
    foremost = streams[0].seek(stop - 1 if newest_first else start)
    while foremost is not None:
        behind: int | None = foremost
        for stream in streams:
            behind = stream.seek(foremost)
            if behind != foremost:
                break
        if behind == foremost:
            yield foremost
            behind = streams[0].seek(foremost - 1 if newest_first else foremost + 1)
        foremost = behind


class _Stream:
    """The entries of one condition, read a little at a time."""

    def __init__(
        self,
        database: IndexDatabase,
        log: str,
        terms: Sequence[bytes],
        start: int,
        stop: int,
        *,
        newest_first: bool,
        budget: Budget,
    ) -> None:
        self._database = database
        self._log = log
        self._terms = terms
        self._start, self._stop = start, stop
        self._newest_first = newest_first
        self._budget = budget
        self._read = _FIRST_READ
        self._known: list[int] = []  # in order; up to `_until` there are no others
        self._place = 0
        self._until: int | None = None  # the last entry that `_known` speaks of

    def seek(self, entry: int) -> int | None:
        """Give the first entry at or after this one, in the stream's direction; None at its end."""
        if not self._start <= entry < self._stop:
            return None
        while True:
            while self._place < len(self._known):
                found = self._known[self._place]
                if found <= entry if self._newest_first else found >= entry:
                    return found
                self._place += 1
            if self._until is not None and self._is_at_end():
                return None
            if self._until is not None:
                following = self._until - 1 if self._newest_first else self._until + 1
                if entry < following if self._newest_first else entry > following:
                    # Another condition has few entries here: most of what is read is passed over.
                    self._read = _FIRST_READ
                else:
                    entry = following
                    self._read = min(_MOST_READ, 2 * self._read)
            self._fill(entry)

    def _is_at_end(self) -> bool:
        return self._until == (self._start if self._newest_first else self._stop - 1)

    def _fill(self, entry: int) -> None:
        # The first time is free: a question must come further than the one before it.
        if self._budget.is_spent and self._until is not None:
            raise BudgetSpentError(entry)
        start = self._start if self._newest_first else entry
        stop = entry + 1 if self._newest_first else self._stop
        found: set[int] = set()
        ends: list[int] = []
        for term in self._terms:
            some = self._database.find(
                self._log, term, start, stop, self._read, newest_first=self._newest_first
            )
            found.update(some)
            if len(some) == self._read:
                ends.append(some[-1])
        # Of a term that had more to give, nothing is known behind its last one.
        if not ends:
            until = self._start if self._newest_first else self._stop - 1
        else:
            until = max(ends) if self._newest_first else min(ends)
        known = (each for each in found if (each >= until if self._newest_first else each <= until))
        self._known, self._place = sorted(known, reverse=self._newest_first), 0
        self._until = until
        self._budget.take(len(found) + 1)
