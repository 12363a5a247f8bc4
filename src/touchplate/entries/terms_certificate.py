"""What a certificate is found by: its key, names and extensions, read as leniently as is safe.

`formats.certificate` refuses what no verifier should take. An index must not: a certificate with a
bad date or a doubled extension may still vouch for somebody elsewhere. So this walk skips what it
does not need, takes repeated extensions too, and leaves what it has found when it fails.

Certificates of one authority differ in few places. Where the values are is found out once for a
layout; whether another certificate is of it is one operation on a long number.
"""

from typing import Final, NamedTuple

from touchplate.formats.certificate import MAX_EXTENSIONS
from touchplate.formats.element import (
    OID,
    SEQUENCE,
    UTF8_STRING,
    DerError,
    element,
    expect,
    expect_last,
    oid_octets,
)
from touchplate.formats.extensions import ARC
from touchplate.formats.standard_extensions import OTHER_NAME_USERNAME

MAX_NAMES: Final = 256

_SAN: Final = b"\x06\x03" + oid_octets("2.5.29.17")
_SAN_OCTETS: Final = len(_SAN)
# Identifier and length octet of 1.3.6.1.4.1.57264.1.N with N below 128; N follows.
_ARC: Final = oid_octets(ARC)
_EXTENSION: Final = bytes((OID, len(_ARC) + 1)) + _ARC
_ARC_OCTETS: Final = len(_EXTENSION)
_LAST_RAW: Final = 6  # numbers 1 to 6 hold bare text, the later ones a DER UTF8String
_ISSUERS: Final = (1, 8)


# Octets from the beginning of an extension's content that the walk looks at, its own or not.
_AHEAD: Final = max(_ARC_OCTETS, _SAN_OCTETS)
_ADDRESS: Final = 0x87

MAX_LAYOUTS: Final = 256
"""That are kept at a time, each of a few times the octets of a certificate."""
MAX_LAYOUT_BYTES: Final = 4096
"""A certificate above this is of no layout, so that what is kept stays small."""


class CertificateTerms:
    """Gathers what one certificate says."""

    __slots__ = ("extensions", "issuers", "names", "spki")

    def __init__(self) -> None:
        self.spki = b""
        self.names: list[str] = []
        self.issuers: list[str] = []
        self.extensions: list[tuple[int, str]] = []


def read_certificate(der: bytes, found: CertificateTerms) -> None:
    """Fill in what the certificate says. Raises DerError; what was found before it stays."""
    _READER.read(der, found)


class _Places:
    """Where a walk finds what a certificate says."""

    __slots__ = ("extensions", "names", "passed", "spki")

    def __init__(self) -> None:
        self.spki = slice(0, 0)
        self.names: list[tuple[int, slice]] = []  # with the tag
        self.extensions: list[tuple[int, slice]] = []  # with the number
        self.passed: list[slice] = []
        """What the walk did not look at, beside the values of `names` and `extensions`."""


class _Layout(NamedTuple):
    """Certificates in which all octets that the walk looks at are the same."""

    looked_at: int
    """A number of all octets, little-endian, with all bits of those octets set."""
    octets: int
    """What stands there."""
    places: _Places


class TermsReader:
    """Reads certificates, and those of a layout that it has met in a third of the time.

    It finds what the walk finds. Any number of threads may use one reader.
    """

    __slots__ = ("_layouts",)

    def __init__(self) -> None:
        """Know no layout."""
        self._layouts: Final[dict[tuple[int, bytes], _Layout | None]] = {}

    def read(self, der: bytes, found: CertificateTerms) -> None:
        """Fill in what the certificate says, as `read_certificate`."""
        # Length of all, and nearly always: of the signed part, and of the serial number.
        name = len(der), der[4:15]
        layout = self._layouts.get(name)
        if layout is not None and int.from_bytes(der, "little") & layout[0] == layout[1]:
            _take(der, layout[2], found)
            return
        places = _Places()
        try:
            _find(der, len(der), places)
        except IndexError as error:
            raise DerError("the certificate ends too early") from error
        finally:
            _take(der, places, found)
        if name in self._layouts:
            self._layouts[name] = _layout(der, places)
        elif len(der) <= MAX_LAYOUT_BYTES:
            if len(self._layouts) >= MAX_LAYOUTS:
                self._layouts.clear()
            self._layouts[name] = None  # a layout is worth its making when it comes again


_READER: Final = TermsReader()


def _layout(der: bytes, places: _Places) -> _Layout:
    mask = bytearray(b"\xff" * len(der))
    values = [place for _, place in (*places.names, *places.extensions)]
    for place in (*places.passed, *values):
        mask[place] = bytes(place.stop - place.start)
    looked_at = int.from_bytes(mask, "little")
    return _Layout(looked_at, int.from_bytes(der, "little") & looked_at, places)


def _take(der: bytes, places: _Places, found: CertificateTerms) -> None:
    """Take the values that are text; what is none cannot be looked for."""
    found.spki = der[places.spki]
    for number, place in places.extensions:
        try:
            text = der[place].decode()
        except UnicodeDecodeError:
            continue
        found.extensions.append((number, text))
        if number in _ISSUERS:
            found.issuers.append(text)
    for tag, place in places.names:
        try:
            name = _address(der[place]) if tag == _ADDRESS else der[place].decode()
        except UnicodeDecodeError:
            continue
        if name or tag != _ADDRESS:
            found.names.append(name)


def _find(der: bytes, end: int, places: _Places) -> None:
    at, _ = expect(der, 0, end, SEQUENCE)
    at, end = expect(der, at, end, SEQUENCE)
    # Of the signature after the signed part nothing is looked at, see `_AHEAD`.
    if end + _AHEAD < len(der):
        places.passed.append(slice(end + _AHEAD, len(der)))
    if der[at] == 0xA0:
        _, _, at = element(der, at, end)
    for _ in range(5):  # serial number, algorithm, issuer, validity, subject
        _, start, at = element(der, at, end)
        places.passed.append(slice(start, at))
    start, (first, at) = at, expect(der, at, end, SEQUENCE)
    places.passed.append(slice(first, at))
    places.spki = slice(start, at)
    while at < end:
        tag, start, at = element(der, at, end)
        if tag == 0xA3:
            start, stop = expect(der, start, at, SEQUENCE)
            _find_extensions(der, start, stop, places)


def _find_extensions(der: bytes, at: int, end: int, places: _Places) -> None:
    """Each is SEQUENCE { OID, critical BOOLEAN DEFAULT FALSE, OCTET STRING }."""
    count = 0
    while at < end:
        count += 1
        if count > MAX_EXTENSIONS:
            raise DerError("too many extensions")
        start, at = expect(der, at, end, SEQUENCE)
        if der[start : start + _ARC_OCTETS] == _EXTENSION:
            start += _ARC_OCTETS
            number = der[start]
            if number < 0x80:
                value, stop = _value(der, start + 1, at)
                _find_text(number, der, value, stop, places)
        elif der[start : start + _SAN_OCTETS] == _SAN:
            start, stop = _value(der, start + _SAN_OCTETS, at)
            _find_names(der, start, stop, places)
        elif start + _AHEAD < at:
            places.passed.append(slice(start + _AHEAD, at))


def _value(der: bytes, at: int, end: int) -> tuple[int, int]:
    """Give the place of the octets after the optional flag."""
    tag, start, stop = element(der, at, end)
    if tag == 0x01:
        _, start, stop = element(der, stop, end)
    return start, stop


def _find_text(number: int, der: bytes, start: int, stop: int, places: _Places) -> None:
    if number > _LAST_RAW:
        try:
            start, stop = expect_last(der, start, stop, UTF8_STRING)
        except DerError:
            return  # of another type: it has no text to look for
    places.extensions.append((number, slice(start, stop)))


def _find_names(der: bytes, at: int, end: int, places: _Places) -> None:
    """Read GeneralNames (RFC 5280 §4.2.1.6): those that are text, and addresses of hosts."""
    at, end = expect(der, at, end, SEQUENCE)
    while at < end and len(places.names) < MAX_NAMES:
        tag, start, at = element(der, at, end)
        if tag in {0x81, 0x82, 0x86, _ADDRESS}:  # e-mail, DNS name, URI
            places.names.append((tag, slice(start, at)))
        elif tag == 0xA0:
            kind, inner = expect(der, start, at, OID)
            if der[kind:inner] == OTHER_NAME_USERNAME:
                inner, stop = expect(der, inner, at, 0xA0)
                inner, stop = expect(der, inner, stop, UTF8_STRING)
                places.names.append((tag, slice(inner, stop)))


def _address(value: bytes) -> str:
    """Write an IP address as the v1 log does; empty if it is none."""
    from ipaddress import IPv4Address, IPv6Address

    if len(value) == 4:
        return str(IPv4Address(value))
    if len(value) != 16:
        return ""
    address = IPv6Address(value)
    return str(address.ipv4_mapped or address)
