"""How far a long command is: one line on a terminal that is written over, nothing elsewhere."""

import sys
from time import monotonic
from types import TracebackType
from typing import Final, Self

_STEP_SECONDS: Final = 0.2  # between two lines
_WIDTH: Final = 78


class Progress:
    """The line, which counts entries or other `things`. It is empty again after the `with`."""

    def __init__(self, things: str = "entries") -> None:
        self._things = things
        self._shown = sys.stderr.isatty()
        self._told = monotonic()
        self._what = ""
        self._start = (self._told, 0)

    def __call__(self, what: str, done: int, size: int = 0) -> None:
        """Tell how many are done, of how many if that is known."""
        now = monotonic()
        if not self._shown or (what == self._what and now - self._told < _STEP_SECONDS):
            return
        if what != self._what:
            self._what, self._start = what, (now, done)
        self._told = now
        begun, first = self._start
        line = (
            f"{what} {done} of {size} {self._things}, {done * 100 // size} %"
            if size
            else f"{what} {done} {self._things}"
        )
        if done > first and now > begun:  # before that nobody knows how fast it is
            line += f", {(done - first) / (now - begun):.0f}/s"
        print(f"\r{line:<{_WIDTH}}", end="", file=sys.stderr, flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._shown:
            print(f"\r{'':<{_WIDTH}}\r", end="", file=sys.stderr, flush=True)
