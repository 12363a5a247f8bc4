"""Who signs when: windows, decisions that are written once, and keys that are exchanged."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchplate.errors import SettingsError, UnavailableError
from touchplate.keys.signer import generate
from touchplate.server.office import Office
from touchplate.server.succession import (
    ROLES,
    Line,
    Succession,
    Tenure,
    check_decisions,
    read_decisions,
    remembered_decisions,
    whole_second,
)
from touchplate.storage.objects import MemoryObjects

START = datetime(2030, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
KEY = generate("ecdsa-p256").public_key.pem()


def line(*begins: int) -> Line:
    """Give a line whose later keys sign from so many hours on."""
    later = [
        Tenure("tsa", number, START, START + hours * HOUR, KEY)
        for number, hours in enumerate(begins, 2)
    ]
    return Line((Tenure("tsa", 1, START, START), *later))


def test_one_key() -> None:
    """A key that nothing was decided after signs for ever."""
    only = line()
    assert only.at(START - HOUR).number == 1
    assert only.at(START + 10_000 * HOUR).number == 1
    assert only.next_change(START) is None
    assert only.pending(START) is None
    assert [(each.tenure.number, each.ends_at) for each in only.windows] == [(1, None)]


def test_two_keys() -> None:
    """The second key signs from its time on, not a moment earlier, and the first until then."""
    both = line(2)
    change = START + 2 * HOUR
    assert both.at(change - timedelta(microseconds=1)).number == 1
    assert both.at(change).number == 2
    assert both.next_change(START) == change
    assert both.next_change(change) is None
    assert both.pending(START) == both.newest
    assert both.pending(change) is None
    assert [each.ends_at for each in both.windows] == [change, None]


def test_taken_place_of() -> None:
    """A key that another took the place of before its time never signs."""
    three = line(100, 3)
    assert [each.ends_at for each in three.windows] == [START + 3 * HOUR, START + 3 * HOUR, None]
    assert [each.is_empty for each in three.windows] == [False, True, False]
    assert three.next_change(START) == START + 3 * HOUR
    for hours in (4, 99, 101):
        assert three.at(START + hours * HOUR).number == 3


@given(st.lists(st.integers(0, 30), max_size=6), st.integers(0, 31))
def test_exactly_one(begins: list[int], hours: int) -> None:
    """At any time exactly one key signs: the one in whose window the time is."""
    keys = line(*begins)
    at = START + hours * HOUR
    inside = [
        each.tenure
        for each in keys.windows
        if each.tenure.signs_from <= at and (each.ends_at is None or at < each.ends_at)
    ]
    assert inside == [keys.at(at)]
    change = keys.next_change(at)
    assert change is None or change > at
    assert change is None or keys.at(change) != keys.at(at)


def test_decisions_are_written_once() -> None:
    """What is decided is read by others; of two that decide at once one is refused."""
    objects = MemoryObjects()
    one, two = Succession(objects, START), Succession(objects, START)
    one.decide(Tenure("tsa", 2, START, START + HOUR, KEY))
    with pytest.raises(SettingsError) as caught:
        two.decide(Tenure("ca", 2, START, START, KEY))
    assert caught.value.code == "SETTINGS_INVALID"
    assert two.lines["tsa"].newest.number == 1
    assert two.read() == one.lines
    two.decide(Tenure("ca", 2, START, START, KEY))
    assert [each.name for each in read_decisions(objects)] == ["tsa-2", "ca-2"]
    assert {role: len(one.read()[role].tenures) for role in ROLES} == {"tsa": 2, "ca": 2, "ct": 1}


def test_old_storage_is_refused() -> None:
    """Storage that lacks a decision which the data folder remembers is refused; more is not."""
    objects = MemoryObjects()
    succession = Succession(objects, START)
    succession.decide(Tenure("tsa", 2, START, START + HOUR, KEY))
    known = remembered_decisions(succession.decided)
    check_decisions(known, succession.decided)
    check_decisions((), succession.decided)
    for found in ((), (Tenure("tsa", 2, START, START, KEY),)):
        with pytest.raises(SettingsError) as caught:
            check_decisions(known, found)
        assert caught.value.code == "STATE_BEHIND"


@pytest.mark.parametrize("text", [b"", b"{}", b'{"format": 2}', b'{"format": 1, "role": "tlog"}'])
def test_foreign_decision(text: bytes) -> None:
    """A decision that was not written by us stops the start, with its name."""
    objects = MemoryObjects()
    objects.put("succession/1", text)
    with pytest.raises(SettingsError, match="succession/1"):
        Succession(objects, START)


class Clock:
    """A clock that is moved."""

    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> datetime:
        return self.at


def test_office_changes_by_the_clock() -> None:
    """Who signs changes at the moment that was decided, without being told again."""
    clock = Clock()
    office = Office(line(), lambda tenure: tenure.number, clock)
    assert office.holder() == 1
    office.take_up(line(2))
    assert office.holder() == 1
    clock.at = START + 2 * HOUR
    assert office.holder() == 2
    assert list(office.opened.values()) == [1, 2]


def test_office_without_the_key(caplog: pytest.LogCaptureFixture) -> None:
    """Without the new key the old one signs to its end and no longer; it is told once."""
    clock = Clock()
    there = {1}

    def open_(tenure: Tenure) -> int:
        if tenure.number not in there:
            raise SettingsError("KEY_NOT_FOUND", f"{tenure.name} is missing", hint="copy it")
        return tenure.number

    office = Office(line(), open_, clock)
    for _ in range(3):
        office.take_up(line(2))
    assert [each.getMessage().count("copy it") for each in caplog.records] == [1]
    assert office.holder() == 1
    clock.at = START + 2 * HOUR
    with pytest.raises(UnavailableError, match="tsa-2 is missing"):
        office.holder()
    with pytest.raises(SettingsError):
        Office(line(2), open_, clock)
    there.add(2)
    office.take_up(line(2))
    assert office.holder() == 2


def test_office_forgets_what_never_signs(caplog: pytest.LogCaptureFixture) -> None:
    """A key that is lost before its time, and whose place another one takes, is not asked for."""
    clock = Clock()
    asked: list[int] = []

    def open_(tenure: Tenure) -> int:
        asked.append(tenure.number)
        if tenure.number == 2:
            raise SettingsError("KEY_NOT_FOUND", f"{tenure.name} is missing")
        return tenure.number

    office = Office(line(7), open_, clock)
    incomplete = [office.is_incomplete]
    office.take_up(line(7, 1))
    incomplete.append(office.is_incomplete)
    assert incomplete == [True, False]
    assert asked == [1, 2, 3]
    caplog.clear()
    Office(line(7, 1), open_, clock)
    assert asked == [1, 2, 3, 1, 3]
    assert caplog.records == []
    clock.at = START + HOUR
    assert office.holder() == 3


def test_office_passes_over() -> None:
    """A key that others know to be at its end is not used, although our clock is behind."""
    clock = Clock()
    office = Office(line(2), lambda tenure: tenure.number, clock)
    assert office.holder() == 1
    office.pass_over(1)
    assert office.holder() == 2
    office.take_up(line(2))
    assert office.holder() == 2
    office.pass_over(2)
    assert office.holder() == 2


def test_whole_second() -> None:
    """Times in the trusted root have no fraction; an end is rounded up."""
    odd = START + timedelta(microseconds=1)
    assert whole_second(odd) == START
    assert whole_second(odd, up=True) == START + timedelta(seconds=1)
    assert whole_second(START, up=True) == START
