"""The record of a verification."""

import pytest

from touchplate.errors import VerificationError
from touchplate.verify import Steps


def test_in_order() -> None:
    """Steps are recorded in the order in which they ended, each with its own evidence."""
    steps = Steps()
    with steps("first"):
        steps.show(lambda: ("one", "two"))
    with steps("second"):
        pass

    found = [(step.name, step.evidence, step.error) for step in steps.taken]
    assert found == [("first", ("one", "two"), None), ("second", (), None)]


def test_failure() -> None:
    """A step that fails is recorded with its error, which goes on its way."""
    steps = Steps()
    error = VerificationError("CERT_CHAIN", "no")
    with pytest.raises(VerificationError), steps("chain"):
        raise error

    [step] = steps.taken
    assert (step.name, step.error) == ("chain", error)


def test_bug() -> None:
    """A bug of ours is no step at all, least of all one that passed."""
    steps = Steps()
    with pytest.raises(AssertionError), steps("chain"):
        raise AssertionError("a bug")

    assert steps.taken == ()


def test_evidence_costs_nothing_until_seen() -> None:
    """What a step rests on is written down only when somebody looks."""
    steps = Steps()
    asked: list[str] = []

    def look() -> tuple[str, ...]:
        asked.append("asked")
        return ("fact",)

    with steps("first"):
        steps.show(look)
    [step] = steps.taken
    assert not asked
    assert step.evidence == ("fact",)
    assert asked == ["asked"]
