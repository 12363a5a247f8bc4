"""The record of a verification."""

import pytest

from tests.verify.mint import Mint
from touchplate.errors import VerificationError
from touchplate.verify import Steps
from touchplate.verify.policy import Signed


def test_in_order() -> None:
    """Steps are recorded in the order in which they ended, each with its own evidence."""
    steps = Steps()
    steps.name = "first"
    steps.passed(lambda: ("one", "two"))
    steps.name = "second"
    steps.passed()

    found = [(step.name, step.evidence, step.error) for step in steps.taken]
    assert found == [("first", ("one", "two"), None), ("second", (), None)]


def test_failure() -> None:
    """A step that fails is recorded with its error, and without what an earlier one rests on."""
    steps = Steps()
    steps.name = "first"
    steps.passed(lambda: ("one",))
    error = VerificationError("CERT_CHAIN", "no")
    steps.name = "chain"
    steps.failed(error)

    step = steps.taken[-1]
    assert (step.name, step.evidence, step.error) == ("chain", (), error)


def test_bug(mint: Mint) -> None:
    """A bug of ours is no step at all, least of all one that passed."""
    steps = Steps()
    with pytest.raises(AssertionError, match="a bug"):
        mint.verify(mint.bundle(), policy=_Broken(), steps=steps)

    assert [step.name for step in steps.taken if step.error] == []
    assert "identity" not in [step.name for step in steps.taken]


class _Broken:
    """A policy with a bug."""

    pins = frozenset({"issuer", "identity"})
    keys = ()

    def check(self, signed: Signed) -> None:
        """Fail in no way that a policy may."""
        raise AssertionError(f"a bug, met with {signed.key}")


def test_evidence_costs_nothing_until_seen() -> None:
    """What a step rests on is written down only when somebody looks."""
    steps = Steps()
    asked: list[str] = []

    def look() -> tuple[str, ...]:
        asked.append("asked")
        return ("fact",)

    steps.name = "first"
    steps.passed(look)
    [step] = steps.taken
    assert not asked
    assert step.evidence == ("fact",)
    assert asked == ["asked"]
