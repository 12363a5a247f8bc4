"""One DER element at a time: the reading side of X.690 for the parsers on the verify path.

A parser holds the bytes and positions and calls `element` for each tag, length and value; nothing
is copied until a value is wanted. X.690 §10.1: definite lengths in the fewest octets. Errors are
`DerError`, which each parser turns into the code of its own format.
"""

from datetime import datetime
from typing import Final

INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
OID: Final = 0x06
UTF8_STRING: Final = 0x0C
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18
SEQUENCE: Final = 0x30
SET: Final = 0x31

MAX_OID_OCTETS: Final = 64
"""Of one that is made readable: an arc without end would cost the square of its length."""


class DerError(ValueError):
    """These bytes are not DER, or not the element asked for. Never leaves `formats`."""


def element(data: bytes, at: int, end: int) -> tuple[int, int, int]:
    """Tag, first and last-plus-one position of the content of the element at `at`, before `end`."""
    try:
        tag = data[at]
        size = data[at + 1]
    except IndexError as error:
        raise DerError(f"the bytes end where an element should begin, at {at}") from error
    start = at + 2
    if size > 0x7F:
        octets = size & 0x7F
        if not 1 <= octets <= 4:
            raise DerError(f"length of {octets} octets at {at}")
        size = int.from_bytes(data[start : start + octets], "big")
        if size < 0x80 or size >> (8 * (octets - 1)) == 0:
            raise DerError(f"length at {at} is not in the fewest octets")
        start += octets
    if tag & 0x1F == 0x1F:
        raise DerError(f"tag number above 30 at {at}")
    stop = start + size
    if stop > end:
        raise DerError(f"the element at {at} goes on beyond its place")
    return tag, start, stop


def expect(data: bytes, at: int, end: int, tag: int) -> tuple[int, int]:
    """First and last-plus-one position of the content of the element at `at`, which has `tag`."""
    # Nearly all elements have a length of one octet, or of one or two more: those are done here.
    if at + 4 <= end and data[at] == tag:
        size = data[at + 1]
        start = at + 2
        if size == 0x82 and data[start]:
            size = data[start] << 8 | data[at + 3]
            start = at + 4
        elif size == 0x81 and data[start] > 0x7F:
            size = data[start]
            start = at + 3
        elif size > 0x7F:
            size = end
        if start + size <= end:
            return start, start + size
    found, start, stop = element(data, at, end)
    if found != tag:
        raise DerError(f"tag {found:#04x} at {at}, expected {tag:#04x}")
    return start, stop


def expect_last(data: bytes, at: int, end: int, tag: int) -> tuple[int, int]:
    """As `expect`, and the element ends exactly at `end`."""
    if at + 2 <= end and data[at] == tag and at + 2 + data[at + 1] == end < at + 0x82:
        return at + 2, end
    start, stop = expect(data, at, end, tag)
    if stop != end:
        raise DerError(f"{end - stop} bytes after the element at {at}")
    return start, stop


def integer(data: bytes, start: int, stop: int) -> int:
    """The INTEGER whose content lies between `start` and `stop` (X.690 §8.3: fewest octets)."""
    if start == stop:
        raise DerError(f"empty INTEGER at {start}")
    if stop - start > 1 and (
        (data[start] == 0 and data[start + 1] < 0x80)
        or (data[start] == 0xFF and data[start + 1] >= 0x80)
    ):
        raise DerError(f"INTEGER at {start} is not in the fewest octets")
    return int.from_bytes(data[start:stop], "big", signed=True)


def utc_time(data: bytes, start: int, stop: int) -> datetime:
    """As `time`, of a UTCTime of 13 characters."""
    # Nearly always it exists, is before 2050, and ends as it should.
    text = data[start:stop]
    if text[:12].isdigit() and text[12] == 0x5A and text[0] < 0x35 and text[6:8] != b"24":
        digits = text.decode("ascii")
        try:
            return datetime.fromisoformat(f"20{digits[:6]}T{digits[6:12]}+00:00")
        except ValueError:
            pass  # `time` says so
    return time(data, UTC_TIME, start, stop)


def time(data: bytes, tag: int, start: int, stop: int) -> datetime:
    """The UTCTime or GeneralizedTime in the forms that RFC 5280 §4.1.2.5 allows: seconds, and Z."""
    try:
        text = data[start:stop].decode("ascii")
    except UnicodeDecodeError as error:
        raise DerError("a time that is not ASCII") from error
    if tag == UTC_TIME and len(text) == 13:
        text = ("19" if text[0] >= "5" else "20") + text
    elif tag != GENERALIZED_TIME or len(text) != 15:
        raise DerError(f"time {text!r} is not of the form that certificates use")
    if text[14] != "Z" or not text[:14].isdigit() or text[8:10] == "24":
        raise DerError(f"time {text!r} is not of the form that certificates use")
    try:
        return datetime.fromisoformat(f"{text[:8]}T{text[8:14]}+00:00")
    except ValueError as error:
        raise DerError(f"time {text!r} does not exist") from error


def encode(tag: int, content: bytes) -> bytes:
    """One element with this tag and content."""
    return header(tag, len(content)) + content


def header(tag: int, size: int) -> bytes:
    """What stands before the content of an element: its tag and its length."""
    if size < 0x80:
        return bytes((tag, size))
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets


def oid_octets(dotted: str) -> bytes:
    """The content octets of an object identifier: `1.2.840` -> 2a8648."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    octets = bytearray()
    for arc in (first * 40 + second, *rest):
        septets = [arc & 0x7F]
        while arc := arc >> 7:
            septets.append(arc & 0x7F | 0x80)
        octets += bytes(reversed(septets))
    return bytes(octets)


def oid_text(octets: bytes) -> str:
    """The dotted form of an object identifier's content octets."""
    if len(octets) > MAX_OID_OCTETS:
        raise DerError(f"object identifier of {len(octets)} octets, more than {MAX_OID_OCTETS}")
    if not octets or octets[-1] & 0x80:
        raise DerError(f"object identifier {octets.hex()!r} ends within an arc")
    arcs: list[int] = []
    arc = 0
    begins = True
    for octet in octets:
        if begins and octet == 0x80:
            raise DerError(f"object identifier {octets.hex()!r} has a padded arc")
        arc = arc << 7 | octet & 0x7F
        begins = octet < 0x80
        if begins:
            arcs.append(arc)
            arc = 0
    root = min(arcs[0] // 40, 2)
    return ".".join(str(number) for number in (root, arcs[0] - 40 * root, *arcs[1:]))


def oid_name(octets: bytes) -> str:
    """The dotted form for a message, or the octets in hex if they are no object identifier."""
    try:
        return oid_text(octets)
    except DerError:
        return f"of octets {octets[:40].hex()}"
