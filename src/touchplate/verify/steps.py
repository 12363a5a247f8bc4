"""The record of a verification: each check as it passes or fails, with its evidence.

The error, `--explain`, `--json` and the web page all tell the story that is recorded here.
"""

from collections.abc import Callable
from types import TracebackType
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
    """Records steps in order. `with step("name"): …` is one step; one record is one run's.

    Give one to `verify` to see the steps of a verification that failed.
    """

    __slots__ = ("_evidence", "_name", "_taken")

    def __init__(self) -> None:
        self._taken: Final[list[Step]] = []
        self._name = ""
        self._evidence: Evidence = _nothing

    @property
    def taken(self) -> tuple[Step, ...]:
        """The steps so far; only the last can have failed."""
        return tuple(self._taken)

    def __call__(self, name: str) -> "Steps":
        """Begin the step of this name."""
        self._name = name
        self._evidence = _nothing
        return self

    def show(self, evidence: Evidence) -> None:
        """Say what the current step rests on."""
        self._evidence = evidence

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            # As `Step(…)` in half the time: there are ten in each verification.
            self._taken.append(tuple.__new__(Step, (self._name, self._evidence, None)))
        elif isinstance(error, TouchplateError):
            self._taken.append(Step(self._name, self._evidence, error))
