"""DER (X.690): a strict reader for nested structures, and a writer.

Definite lengths in the fewest octets, tag numbers below 31, INTEGER and BOOLEAN in their one DER
form. `Reader` is for messages read once, such as timestamps and CSRs; certificates use the leaner
functions of `element`.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from touchplate.errors import MalformedError
from touchplate.formats import element as _element
from touchplate.formats.element import oid_octets, oid_text

INTEGER: Final = _element.INTEGER
BIT_STRING: Final = _element.BIT_STRING
OCTET_STRING: Final = _element.OCTET_STRING
OID: Final = _element.OID
UTF8_STRING: Final = _element.UTF8_STRING
UTC_TIME: Final = _element.UTC_TIME
GENERALIZED_TIME: Final = _element.GENERALIZED_TIME
SEQUENCE: Final = _element.SEQUENCE
SET: Final = _element.SET

BOOLEAN: Final = 0x01
NULL: Final = 0x05
ENUMERATED: Final = 0x0A
PRINTABLE_STRING: Final = 0x13
IA5_STRING: Final = 0x16
CONTEXT: Final = 0x80
CONSTRUCTED: Final = 0x20

MAX_LENGTH_OCTETS: Final = 4

tlv: Final = _element.encode
"""Encode one element: `tlv(tag, content)`."""


def context(number: int, *, constructed: bool = True) -> int:
    """Give the tag octet of context-specific tag `number`: `[0]` constructed is 0xa0."""
    if not 0 <= number <= 30:
        raise AssertionError(f"tag number {number}")
    return CONTEXT | (CONSTRUCTED if constructed else 0) | number


class Reader:
    """Reads the elements of one structure in order. Every error has the code given at the start."""

    __slots__ = ("_at", "_code", "_data", "_end", "_what")

    def __init__(
        self,
        data: bytes,
        *,
        what: str = "the structure",
        code: str = "DER_MALFORMED",
        start: int = 0,
        end: int | None = None,
    ) -> None:
        """Read `data` from `start` to `end`; `what` names the structure in errors."""
        self._data = data
        self._at = start
        self._end = len(data) if end is None else end
        self._what = what
        self._code = code

    def error(self, text: str) -> MalformedError:
        """Give the error that says what is wrong here; the caller raises it."""
        return MalformedError(self._code, f"{self._what}: {text} (byte {self._at})")

    def done(self) -> bool:
        """Say whether nothing is left."""
        return self._at == self._end

    def finish(self) -> None:
        """Refuse bytes that are left."""
        if self._at != self._end:
            raise self.error(f"{self._end - self._at} bytes too many")

    def peek(self) -> int:
        """Give the tag octet of the next element, -1 if nothing is left."""
        return self._data[self._at] if self._at < self._end else -1

    def _header(self) -> tuple[int, int, int]:
        """Give tag, start and end of the content of the next element; it stays the next."""
        data, at, end = self._data, self._at, self._end
        if end - at < 2:
            raise self.error("an element is cut off")
        tag, size = data[at], data[at + 1]
        start = at + 2
        if tag & 0x1F == 0x1F:
            raise self.error("tag numbers above 30 are not used here")
        if size >= 0x80:
            octets = size & 0x7F
            if not 1 <= octets <= MAX_LENGTH_OCTETS or end - start < octets:
                raise self.error("the length is not one of DER, or is too large")
            size = int.from_bytes(data[start : start + octets], "big")
            if size < 0x80 or size >> (8 * (octets - 1)) == 0:
                raise self.error("the length is not in the fewest octets")
            start += octets
        stop = start + size
        if stop > end:
            raise self.error("an element reaches past the end")
        return tag, start, stop

    def _take(self, tag: int) -> tuple[int, int]:
        found, start, stop = self._header()
        if found != tag:
            raise self.error(f"expected tag {tag:#04x}, found {found:#04x}")
        self._at = stop
        return start, stop

    def element(self) -> tuple[int, bytes]:
        """Take the next element of any tag; give its tag and content."""
        tag, start, stop = self._header()
        self._at = stop
        return tag, self._data[start:stop]

    def raw(self, tag: int | None = None) -> bytes:
        """Take the next element (with this tag); give all its bytes, header included."""
        found, _, stop = self._header()
        if tag is not None and found != tag:
            raise self.error(f"expected tag {tag:#04x}, found {found:#04x}")
        begin, self._at = self._at, stop
        return self._data[begin:stop]

    def read(self, tag: int) -> bytes:
        """Take the next element, which has this tag; give its content."""
        start, stop = self._take(tag)
        return self._data[start:stop]

    def enter(self, tag: int = SEQUENCE, what: str | None = None) -> "Reader":
        """Take the next element, which has this tag; give a reader of its content."""
        start, stop = self._take(tag)
        return Reader(self._data, what=what or self._what, code=self._code, start=start, end=stop)

    def enter_optional(self, tag: int, what: str | None = None) -> "Reader | None":
        """Take the next element if it has this tag."""
        return self.enter(tag, what) if self.peek() == tag else None

    def integer(self, tag: int = INTEGER) -> int:
        """Take an INTEGER (or ENUMERATED, or an implicit tag)."""
        content = self.read(tag)
        if not content:
            raise self.error("an empty INTEGER")
        if len(content) > 1 and (content[0], content[1] >> 7) in ((0, 0), (0xFF, 1)):
            raise self.error("an INTEGER is not in the fewest octets")
        return int.from_bytes(content, "big", signed=True)

    def boolean(self, tag: int = BOOLEAN) -> bool:
        """Take a BOOLEAN: 00 or ff."""
        content = self.read(tag)
        if content not in (b"\x00", b"\xff"):
            raise self.error("a BOOLEAN is neither 00 nor ff")
        return content == b"\xff"

    def null(self) -> None:
        """Take a NULL."""
        if self.read(NULL):
            raise self.error("a NULL is not empty")

    def oid(self, tag: int = OID) -> str:
        """Take an OBJECT IDENTIFIER; give it as dotted numbers."""
        content = self.read(tag)
        try:
            return oid_text(content)
        except ValueError as error:
            raise self.error(str(error)) from error

    def octets(self, tag: int = OCTET_STRING) -> bytes:
        """Take an OCTET STRING."""
        return self.read(tag)

    def bits(self, tag: int = BIT_STRING) -> bytes:
        """Take a BIT STRING of whole octets."""
        content = self.read(tag)
        if not content or content[0]:
            raise self.error("a BIT STRING is not of whole octets")
        return content[1:]

    def text(self, tag: int = UTF8_STRING) -> str:
        """Take a string of this tag, as UTF-8."""
        content = self.read(tag)
        try:
            return content.decode()
        except UnicodeDecodeError as error:
            raise self.error("a string is not UTF-8") from error

    def time(self) -> datetime:
        """Take a UTCTime or a GeneralizedTime in their DER forms, as UTC, to the microsecond."""
        tag, start, stop = self._header()
        try:
            time = parse_time(tag, self._data[start:stop])
        except ValueError as error:
            raise self.error(str(error)) from error
        self._at = stop
        return time


def parse_time(tag: int, content: bytes) -> datetime:
    """Read UTCTime or GeneralizedTime content (X.690 §11.7, §11.8). Raises ValueError.

    Below a microsecond is cut off.
    """
    text = content.decode("ascii")
    if tag == UTC_TIME and len(text) == 13:
        text = ("19" if text[:2] >= "50" else "20") + text  # RFC 5280 §4.1.2.5.1
    elif tag != GENERALIZED_TIME:
        raise ValueError("not a UTCTime or GeneralizedTime")
    digits, point, fraction = text[:-1].partition(".")
    if text[-1:] != "Z" or len(digits) != 14 or not digits.isdigit():
        raise ValueError("a time is not of the form YYYYMMDDHHMMSS[.f]Z")
    if point and (tag == UTC_TIME or not fraction.isdigit() or fraction.endswith("0")):
        raise ValueError("the fraction of a time is not in its DER form")
    year, month, day = int(digits[:4]), int(digits[4:6]), int(digits[6:8])
    hour, minute, second = int(digits[8:10]), int(digits[10:12]), int(digits[12:])
    micros = int(fraction[:6].ljust(6, "0")) if point else 0
    return datetime(year, month, day, hour, minute, second, micros, tzinfo=UTC)


@lru_cache(maxsize=4096)
def head(tag: int, size: int) -> bytes:
    """Encode tag and length of an element whose content has this size; for what is made often."""
    element = tlv(tag, bytes(size))
    return element[: len(element) - size]


def sequence(*parts: bytes) -> bytes:
    """Encode a SEQUENCE of encoded elements."""
    return tlv(SEQUENCE, b"".join(parts))


def set_of(parts: Iterable[bytes]) -> bytes:
    """Encode a SET OF encoded elements, sorted (X.690 §11.6)."""
    return tlv(SET, b"".join(sorted(parts)))


def integer(value: int, tag: int = INTEGER) -> bytes:
    """Encode an INTEGER."""
    size = (value if value >= 0 else ~value).bit_length() // 8 + 1
    return tlv(tag, value.to_bytes(size, "big", signed=True))


def boolean(value: bool, tag: int = BOOLEAN) -> bytes:  # noqa: FBT001 - it is the value
    """Encode a BOOLEAN."""
    return tlv(tag, b"\xff" if value else b"\x00")


def null() -> bytes:
    """Encode a NULL."""
    return b"\x05\x00"


def oid(dotted: str, tag: int = OID) -> bytes:
    """Encode an OBJECT IDENTIFIER from dotted numbers."""
    return tlv(tag, oid_octets(dotted))


def octet_string(content: bytes, tag: int = OCTET_STRING) -> bytes:
    """Encode an OCTET STRING."""
    return tlv(tag, content)


def bit_string(content: bytes, unused: int = 0) -> bytes:
    """Encode a BIT STRING whose last octet has `unused` unused bits."""
    return tlv(BIT_STRING, bytes((unused,)) + content)


def utf8_string(text: str) -> bytes:
    """Encode a UTF8String."""
    return tlv(UTF8_STRING, text.encode())


def printable_string(text: str) -> bytes:
    """Encode a PrintableString."""
    return tlv(PRINTABLE_STRING, text.encode("ascii"))


def ia5_string(text: str, tag: int = IA5_STRING) -> bytes:
    """Encode an IA5String."""
    return tlv(tag, text.encode("ascii"))


def utc_time(time: datetime) -> bytes:
    """Encode a UTCTime; whole seconds, 1950 to 2049."""
    text = _digits(time)
    if not "1950" <= text[:4] <= "2049":
        raise AssertionError(f"{time} is no UTCTime")
    return tlv(UTC_TIME, f"{text[2:]}Z".encode())


def generalized_time(time: datetime) -> bytes:
    """Encode a GeneralizedTime, with a fraction if the time has one (X.690 §11.7)."""
    micros = time.microsecond
    fraction = f".{micros:06}".rstrip("0") if micros else ""
    return tlv(GENERALIZED_TIME, f"{_digits(time)}{fraction}Z".encode())


def certificate_time(time: datetime) -> bytes:
    """Encode a certificate's time (RFC 5280 §4.1.2.5): UTCTime through 2049."""
    whole = time.replace(microsecond=0)
    if whole.astimezone(UTC).year < 2050:
        return utc_time(whole)
    return generalized_time(whole)


def explicit(number: int, element: bytes) -> bytes:
    """Wrap an encoded element in the context-specific tag `number`."""
    return tlv(context(number), element)


def implicit(number: int, element: bytes) -> bytes:
    """Replace the tag of an encoded element by the context-specific `number`."""
    return bytes((CONTEXT | element[0] & CONSTRUCTED | number,)) + element[1:]


def _digits(time: datetime) -> str:
    offset = time.utcoffset()
    if offset is None:
        raise AssertionError("a time without a zone")
    if offset != timedelta(0):
        time = time.astimezone(UTC)
    return (
        f"{time.year:04}{time.month:02}{time.day:02}{time.hour:02}{time.minute:02}{time.second:02}"
    )
