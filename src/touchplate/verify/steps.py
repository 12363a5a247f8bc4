"""The record of a verification: each check as it passes or fails, with its evidence.

The error, `--explain`, `--json` and the web page all tell the story that is recorded here.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from touchplate.errors import TouchplateError

Evidence = Callable[[], tuple[str, ...]]
"""Lines that say what was found. A function, so that they cost nothing until somebody looks."""


def _nothing() -> tuple[str, ...]:
    return ()


class Step(NamedTuple):
    """One check that was made: passed if `error` is None."""

    name: str
    look: Evidence
    error: TouchplateError | None = None

    @property
    def evidence(self) -> tuple[str, ...]:
        """What the check rests on, one fact a line."""
        return self.look()


class Steps:
    """Records steps in order: say `name`, make the check, and say that it `passed`.

    Give one to `verify` to see the steps of a verification that failed. One record is one run's.
    """

    __slots__ = ("_taken", "name")

    name: str
    """The check that is being made."""

    def __init__(self) -> None:
        self._taken: Final[list[Step]] = []
        self.name = ""

    @property
    def taken(self) -> tuple[Step, ...]:
        """The steps so far; only the last can have failed."""
        return tuple(self._taken)

    def passed(self, evidence: Evidence = _nothing) -> None:
        """The current check has passed, and rests on this."""
        # As `Step(…)` in half the time: there are ten in each verification.
        self._taken.append(tuple.__new__(Step, (self.name, evidence, None)))

    def failed(self, error: TouchplateError) -> None:
        """The current check has failed. A bug of ours is none that failed, nor one that passed."""
        self._taken.append(Step(self.name, _nothing, error))
