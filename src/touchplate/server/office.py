"""The one who signs in a role now: asked for each request, and exchanged when it is time."""

import logging
from collections.abc import Callable
from datetime import datetime
from threading import Lock
from typing import Generic, TypeVar

from touchplate.errors import SettingsError, TouchplateError, UnavailableError
from touchplate.server.succession import Line, Tenure

T = TypeVar("T")

_logger = logging.getLogger("touchplate.server")


class Office(Generic[T]):
    """Holds the opened keys of one role. Any thread may call the methods.

    Which one signs follows from the clock and from what was decided, so all processes change at the
    same moment, without a request that waits or fails. A key that this host cannot open is told to
    the operator when it is announced; if it is still not there when it is to sign, nobody signs.
    """

    def __init__(
        self, line: Line, open_: Callable[[Tenure], T], now: Callable[[], datetime]
    ) -> None:
        """Open the key that signs now (raises as `open_` does), and those that are announced."""
        self._open = open_
        self._now = now
        self._lock = Lock()  # of everything below
        self._line = line
        self._opened: dict[int, T] = {}
        self._told: dict[int, str] = {}  # what the operator knows of keys that cannot be opened
        self._past = 0  # the number of the last one that signs no more, whatever the clock says
        at = now()
        active = line.at(at)
        self._opened[active.number] = open_(active)
        self._holder: T | None = None
        self._change_at: datetime | None = None
        with self._lock:
            self._open_later(active.number)
            self._turn(at)

    @property
    def line(self) -> Line:
        """Give what was decided, as far as this process uses it."""
        return self._line

    @property
    def opened(self) -> dict[Tenure, T]:
        """Give each that was opened, oldest first: the one that signs, and later ones."""
        line = self._line
        return {
            tenure: self._opened[tenure.number]
            for tenure in line.tenures
            if tenure.number in self._opened
        }

    def holder(self) -> T:
        """Give the one that signs now (UnavailableError: this host has not its key)."""
        change_at = self._change_at
        if change_at is not None and self._now() >= change_at:
            with self._lock:
                self._turn(self._now())
        holder = self._holder
        if holder is None:
            raise UnavailableError("SERVICE_UNAVAILABLE", self._missing())
        return holder

    def check(self) -> None:
        """Prove that somebody signs (UnavailableError)."""
        self.holder()

    @property
    def is_incomplete(self) -> bool:
        """Say whether there is a key that signs, or will, and that could not be opened."""
        line = self._line
        first = line.at(self._now()).number
        return any(each.number not in self._opened for each in line.needed(first))

    def take_up(self, line: Line, *, may_open: bool = True) -> None:
        """Use what was decided since. Tries again what failed.

        What cannot be opened is told to the operator, once, and not raised. Unless `may_open`,
        because clients were not told yet, no key is opened; but one that is at its end signs no
        more.
        """
        with self._lock:
            at = self._now()
            first = self._current(at).number
            self._line = line
            if may_open:
                self._open_later(first)
            self._turn(at)

    def pass_over(self, number: int) -> None:
        """Have the one with this number sign no more, although our clock may say so."""
        with self._lock:
            self._past = max(self._past, number)
            self._turn(self._now())

    def _current(self, at: datetime) -> Tenure:
        tenures = self._line.tenures
        past = min(self._past, len(tenures) - 1)
        tenure = self._line.at(at)
        return tenures[past] if tenure.number <= past else tenure

    def _open_later(self, first: int) -> None:
        for tenure in self._line.needed(first):
            if tenure.number in self._opened:
                continue
            try:
                self._opened[tenure.number] = self._open(tenure)
            except (SettingsError, UnavailableError) as error:
                if self._told.get(tenure.number) != str(error):
                    _logger.error(  # noqa: TRY400  ours to tell
                        "%s is to sign from %s, and cannot here: %s",
                        *(tenure.name, tenure.signs_from, _told(error)),
                    )
                self._told[tenure.number] = str(error)
            else:
                self._told.pop(tenure.number, None)

    def _turn(self, at: datetime) -> None:
        tenure = self._current(at)
        before, self._holder = self._holder, self._opened.get(tenure.number)
        self._change_at = self._line.next_change(at)
        if before is not None and before is not self._holder and self._holder is not None:
            _logger.info("%s signs from now on", tenure.name)

    def _missing(self) -> str:
        tenure = self._current(self._now())
        return f"the key {tenure.name} is not there: {self._told.get(tenure.number, 'not opened')}"


def _told(error: TouchplateError) -> str:
    return f"{error}; {error.hint}" if error.hint else str(error)
