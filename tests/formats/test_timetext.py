from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchplate.formats.timetext import format_timestamp, parse_timestamp, time_range_json


@given(st.datetimes(timezones=st.just(UTC)))
def test_timestamp_round_trip(time: datetime) -> None:
    """A time is read back as it was written."""
    assert parse_timestamp(format_timestamp(time)) == time


@given(st.text(max_size=40))
def test_timestamp_garbage(text: str) -> None:
    """Garbage is a ValueError here, which the reader turns into ours."""
    with pytest.raises(ValueError, match=r".+"):
        parse_timestamp(text)


@pytest.mark.parametrize(
    "text",
    [
        "2030-01-01T24:00:00Z",
        "2030-01-01T23:59:60Z",
        "2030-01-01T00:00:00",
        "2030-01-01 00:00:00Z",
        "2030-01-01T00:00:00z",
        "2030-01-01T00:00:00.Z",
        "2030-01-01T00:00:00.1234567890Z",
        "2030-01-01T00:00:00+24:00",
        "2030-01-01T00:00:00+00:60",
        "2030-01-01T00:00:00+0000",
        "2030-01-01T00:00:00x00:00",
        "2030-01-01T00:00:00+00x00",
        "2030-01-01T00:00:00+00:000",
        "2030-01-01T00:00:00+0a:00",
        "2030-W01-1T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
    ],
)
def test_no_timestamp(text: str) -> None:
    """Other forms of ISO 8601, and times that do not exist, are refused on every Python."""
    with pytest.raises(ValueError, match=r".+"):
        parse_timestamp(text)


def test_most_of_a_timestamp() -> None:
    """Nine digits of fraction, of which six count, and the largest offsets."""
    last = "2030-01-01T00:00:00.123456789+23:59"
    assert parse_timestamp(last) == datetime(2029, 12, 31, 0, 1, 0, 123456, tzinfo=UTC)
    first = "2030-01-01T00:00:00.1-23:59"
    assert parse_timestamp(first) == datetime(2030, 1, 1, 23, 59, 0, 100000, tzinfo=UTC)


def test_format_timestamp() -> None:
    """Times are written with no, three or six fractional digits, in UTC."""
    zone = timezone(timedelta(hours=2))
    assert format_timestamp(datetime(2030, 1, 1, 2, tzinfo=zone)) == "2030-01-01T00:00:00Z"
    half = datetime(2030, 1, 1, 0, 0, 0, 500000, tzinfo=UTC)
    assert format_timestamp(half) == "2030-01-01T00:00:00.500Z"
    micro = half.replace(microsecond=1)
    assert format_timestamp(micro) == "2030-01-01T00:00:00.000001Z"
    assert format_timestamp(datetime(1, 1, 1, tzinfo=UTC)) == "0001-01-01T00:00:00Z"
    with pytest.raises(AssertionError):
        format_timestamp(datetime(2030, 1, 1))  # noqa: DTZ001 - that is the case
    assert time_range_json(half, micro) == {
        "start": "2030-01-01T00:00:00.500Z",
        "end": "2030-01-01T00:00:00.000001Z",
    }
