"""Whether the clock may be believed: what several time sources say of it, and for how long.

    sources -> offsets -> median -> within the bound -> the clock is proven

A majority of the sources that are set has to answer, and the median of their offsets counts: fewer
than half of those that answer can lie, or be far off, and not hide what the others say. Nothing is
stamped before the first round, after one that finds the clock too far off, when too few have
answered for too long, and after the clock was set; one good round later it goes on by itself.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Event
from typing import Final

from touchplate.errors import MalformedError, UnavailableError

_SOON: Final = timedelta(seconds=1)
MAX_SOURCES: Final = 16

Ask = Callable[[str], timedelta]
"""Ask one source for its time less ours (UnavailableError, MalformedError)."""


@dataclass(frozen=True, slots=True)
class DriftSettings:
    """What proves the clock."""

    # Time servers; an odd number, three or more, tolerates one that lies.
    sources: tuple[str, ...]
    # How far the median may be from our clock.
    max_drift: timedelta = timedelta(seconds=1)
    # How often they are asked.
    period: timedelta = timedelta(seconds=60)
    # How long the last good round counts when too few answer.
    grace: timedelta = timedelta(seconds=600)

    @property
    def quorum(self) -> int:
        """How many sources have to answer: more than half."""
        return len(self.sources) // 2 + 1


@dataclass(frozen=True, slots=True)
class Answer:
    """What one source said: its time less ours, or why there is none."""

    source: str
    offset: timedelta | None
    # Code of the error, empty if there is none.
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Round:
    """What all sources said at about one time."""

    answers: tuple[Answer, ...]
    # The median; None: too few answered.
    offset: timedelta | None


@dataclass(frozen=True, slots=True)
class _Proof:
    """The last round that says something: how far off the clock is, and when that was measured."""

    offset: timedelta
    at_monotonic: float
    # The clock less the monotonic one then. When the clock is set it changes.
    base: float


class Drift:
    """Watches over the clock. `measure` is called by one thread, all else by any."""

    def __init__(
        self,
        settings: DriftSettings,
        ask: Ask,
        *,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self.settings = settings
        self.wanted = Event()
        """Set when a round is wanted before its time."""
        self.last = Round((), None)
        self._ask = ask
        self._now = now
        self._monotonic = monotonic
        # Replaced as a whole.
        self._proof: _Proof | None = None

    def measure(self) -> Round:
        """Ask all sources at once, and take what they say for true if enough of them say it."""
        with ThreadPoolExecutor(len(self.settings.sources), "time-source") as pool:
            answers = tuple(pool.map(self._answer, self.settings.sources))
        offset = combine(answers, self.settings.quorum)
        self.last = Round(answers, offset)
        if offset is not None:
            mark = self._monotonic()
            self._proof = _Proof(offset, mark, self._now().timestamp() - mark)
        return self.last

    def check(self, at: datetime) -> None:
        """Hold the time that the clock gave just now to what is proven.

        Raises UnavailableError TIME_UNPROVEN.
        """
        state = self.state(at)
        if state != "proven":
            raise UnavailableError("TIME_UNPROVEN", f"the clock is {state}", retry_after=_SOON)

    def state(self, at: datetime) -> str:
        """Say of a time that the clock gave just now: `proven`, `unproven`, `drifted` or `set`."""
        proof, settings = self._proof, self.settings
        if proof is None:
            return "unproven"
        mark = self._monotonic()
        # How far the clock has moved against the monotonic one since it was measured.
        moved = at.timestamp() - mark - proof.base
        if abs(moved) > settings.max_drift.total_seconds():
            self.wanted.set()
            return "set"
        if abs(proof.offset.total_seconds() - moved) > settings.max_drift.total_seconds():
            return "drifted"
        if mark - proof.at_monotonic > (settings.grace + settings.period).total_seconds():
            return "unproven"
        return "proven"

    def _answer(self, source: str) -> Answer:
        try:
            return Answer(source, self._ask(source))
        except (MalformedError, UnavailableError) as error:
            return Answer(source, None, error.code)


def combine(answers: Sequence[Answer], quorum: int) -> timedelta | None:
    """Give the median of the offsets, None if fewer than `quorum` sources answered.

    Of an even number it is the worse one of those in the middle: their mean would let one source
    hide what another one says.
    """
    offsets = sorted(answer.offset for answer in answers if answer.offset is not None)
    if len(offsets) < max(1, quorum):
        return None
    return max(offsets[(len(offsets) - 1) // 2], offsets[len(offsets) // 2], key=abs)
