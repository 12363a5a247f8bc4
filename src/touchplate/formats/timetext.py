"""Times as protobuf JSON writes them: RFC 3339 in UTC, with up to nine digits of fraction.

We keep microseconds; what is below is cut off.
"""

from datetime import UTC, datetime, timedelta, timezone


def parse_timestamp(text: str) -> datetime:
    """Read an RFC 3339 time with offset, as UTC. Raises ValueError; below a microsecond is cut."""
    whole, rest = text[:19], text[19:]
    shape = whole[4:5] + whole[7:8] + whole[10:11] + whole[13:14] + whole[16:17]
    # Python 3.13 reads the hour 24 as the next day's midnight; RFC 3339 has none.
    if shape != "--T::" or whole[11:13] == "24" or not text.isascii() or not rest:
        raise ValueError("not an RFC 3339 time")
    fraction = ""
    if rest.startswith("."):
        tail = rest[1:].lstrip("0123456789")
        fraction, rest = rest[1 : len(rest) - len(tail)], tail
        if not 1 <= len(fraction) <= 9:
            raise ValueError("a fraction has one to nine digits")
    time = datetime.fromisoformat(whole).replace(
        microsecond=int(fraction[:6].ljust(6, "0") or "0"), tzinfo=UTC
    )
    if rest == "Z":
        return time
    if len(rest) != 6 or rest[0] not in "+-" or rest[3] != ":":
        raise ValueError("an RFC 3339 time ends with Z or an offset")
    hours, minutes = rest[1:3], rest[4:6]
    if not (hours + minutes).isdigit() or int(hours) > 23 or int(minutes) > 59:
        raise ValueError("the offset is not a time of day")
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    zone = timezone(-offset if rest[0] == "-" else offset)
    try:
        return time.replace(tzinfo=zone).astimezone(UTC)
    except OverflowError as error:
        raise ValueError("the time is outside of the years 1 to 9999") from error


def format_timestamp(time: datetime) -> str:
    """Give an aware time as protobuf JSON does: UTC, Z, and no, three or six fractional digits."""
    if time.tzinfo is None:
        raise AssertionError("a time without a zone")
    utc = time.astimezone(UTC)
    text = (
        f"{utc.year:04}-{utc.month:02}-{utc.day:02}T{utc.hour:02}:{utc.minute:02}:{utc.second:02}"
    )
    if utc.microsecond % 1000:
        return f"{text}.{utc.microsecond:06}Z"
    if utc.microsecond:
        return f"{text}.{utc.microsecond // 1000:03}Z"
    return text + "Z"


def time_range_json(start: datetime, end: datetime | None) -> dict[str, str]:
    """Give a TimeRange; no member for an open end."""
    members = {"start": format_timestamp(start)}
    if end is not None:
        members["end"] = format_timestamp(end)
    return members
