"""The clock: believed while the median of several sources says so, and not otherwise."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchplate.errors import UnavailableError
from touchplate.tsa.drift import Answer, Drift, DriftSettings, combine

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
S = timedelta(seconds=1)


class Place:
    """A clock that is `wrong` by so much, and sources that are right, or not, or silent."""

    def __init__(self, count: int = 3) -> None:
        self.passed = 0.0
        self.wrong = timedelta(0)
        self.says: dict[str, timedelta | None] = {str(n): timedelta(0) for n in range(count)}
        settings = DriftSettings(tuple(self.says))
        self.drift = Drift(settings, self.ask, now=self.now, monotonic=lambda: self.passed)

    def now(self) -> datetime:
        """Give what the clock says."""
        return START + timedelta(seconds=self.passed) + self.wrong

    def ask(self, source: str) -> timedelta:
        """Answer as the source does."""
        said = self.says[source]
        if said is None:
            raise UnavailableError("SERVICE_UNAVAILABLE", "silent")
        return said - self.wrong

    def state(self) -> str:
        """Say how the clock is."""
        return self.drift.state(self.now())


def test_unproven_at_first() -> None:
    """Before the first round nothing is proven, and the error says when to come again."""
    place = Place()
    with pytest.raises(UnavailableError) as caught:
        place.drift.check(place.now())

    assert (caught.value.code, caught.value.retry_after) == ("TIME_UNPROVEN", S)


def test_agreeing() -> None:
    """Sources that agree with the clock prove it."""
    place = Place()
    place.drift.measure()

    assert place.state() == "proven"
    place.drift.check(place.now())


@pytest.mark.parametrize("seconds", [-5, 5])
def test_drifted_and_back(seconds: int) -> None:
    """A clock that is off is not believed; once it is right again it is, by itself."""
    place = Place()
    place.wrong = seconds * S
    place.drift.measure()
    assert place.state() == "drifted"

    place.wrong = timedelta(0)
    assert place.state() == "set"
    assert place.drift.wanted.is_set()
    place.drift.measure()
    assert place.state() == "proven"


@pytest.mark.parametrize("lie", [-3600 * S, 3600 * S, 0.9 * S])
def test_one_lies(lie: timedelta) -> None:
    """One source of three can neither stop timestamps nor hide that the clock is off."""
    place = Place()
    place.says["1"] = lie
    place.drift.measure()
    assert place.state() == "proven"

    place.wrong = 10 * S
    place.says["1"] = place.wrong
    place.drift.measure()
    assert place.state() == "drifted"


def test_two_answer() -> None:
    """If two of three answer and disagree, the worse of them counts."""
    place = Place()
    place.says |= {"0": None, "1": -3 * S}
    place.drift.measure()

    assert place.drift.last.offset == -3 * S
    assert place.state() == "drifted"


def test_silent() -> None:
    """When too few answer, what was proven holds for the grace, and no longer."""
    place = Place()
    place.drift.measure()
    place.says |= {"0": None, "1": None}
    place.passed = 650
    place.drift.measure()
    assert place.drift.last.offset is None
    assert [answer.failure for answer in place.drift.last.answers] == [
        *2 * ["SERVICE_UNAVAILABLE"],
        "",
    ]
    assert place.state() == "proven"

    place.passed = 661
    assert place.state() == "unproven"
    place.says["0"] = timedelta(0)
    place.drift.measure()
    assert place.state() == "proven"


def test_silence_proves_nothing() -> None:
    """Sources that were silent from the start prove nothing, also not that the clock is off."""
    place = Place()
    place.says = dict.fromkeys(place.says)
    place.drift.measure()

    assert place.state() == "unproven"


@pytest.mark.parametrize("seconds", [-2, 2])
def test_set_between_rounds(seconds: int) -> None:
    """A clock that is set between two rounds is noticed at the next stamp."""
    place = Place()
    place.drift.measure()
    place.passed = 10
    place.wrong = seconds * S

    assert place.state() == "set"
    assert place.drift.wanted.is_set()


def test_slow_drift_between_rounds() -> None:
    """A small step on top of a small offset counts as their sum."""
    place = Place()
    place.wrong = 0.7 * S
    place.drift.measure()
    assert place.state() == "proven"
    place.wrong = 1.3 * S
    assert place.state() == "drifted"


@given(st.lists(st.integers(-10, 10), min_size=1, max_size=9), st.data())
def test_honest_majority(offsets: list[int], data: st.DataObject) -> None:
    """With fewer liars than honest ones, the median is no better than the best honest one says."""
    liars = data.draw(st.lists(st.integers(-100, 100), max_size=(len(offsets) - 1)))
    answers = [Answer("", each * S) for each in (*offsets, *liars)]
    found = combine(answers, 1)

    assert found is not None
    assert min(offsets) * S <= found <= max(offsets) * S


def test_quorum() -> None:
    """More than half of the sources have to answer."""
    some = [Answer("", timedelta(0)), Answer("", None)]

    assert [DriftSettings(("",) * count).quorum for count in (1, 2, 3, 4, 5)] == [1, 2, 2, 3, 3]
    assert combine(some, 1) == timedelta(0)
    assert combine(some, 2) is None
    assert combine([], 0) is None
