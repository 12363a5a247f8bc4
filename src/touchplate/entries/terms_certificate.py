"""What a certificate is found by: its key, names and extensions, read as leniently as is safe.

`formats.certificate` refuses what no verifier should take. An index must not: a certificate with a
bad date or a doubled extension may still vouch for somebody elsewhere. So this walk skips what it
does not need, takes repeated extensions too, and leaves what it has found when it fails.
"""

from typing import Final

from touchplate.formats.certificate import MAX_EXTENSIONS
from touchplate.formats.element import (
    OCTET_STRING,
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
    end = len(der)
    try:
        _read(der, end, found)
    except IndexError as error:
        raise DerError("the certificate ends too early") from error


def _read(der: bytes, end: int, found: CertificateTerms) -> None:
    at, _ = expect(der, 0, end, SEQUENCE)
    at, end = expect(der, at, end, SEQUENCE)
    if der[at] == 0xA0:
        _, _, at = element(der, at, end)
    for _ in range(5):  # serial number, algorithm, issuer, validity, subject
        tag, size = der[at], der[at + 1]
        # As `element`, which reads those that are longer, or wrong.
        if size < 0x80 and tag & 0x1F != 0x1F and at + 2 + size <= end:
            at += 2 + size
        else:
            _, _, at = element(der, at, end)
    start, (_, at) = at, expect(der, at, end, SEQUENCE)
    found.spki = der[start:at]
    while at < end:
        tag, start, at = element(der, at, end)
        if tag == 0xA3:
            start, stop = expect(der, start, at, SEQUENCE)
            _read_extensions(der, start, stop, found)


def _read_extensions(der: bytes, at: int, end: int, found: CertificateTerms) -> None:
    """Each is SEQUENCE { OID, critical BOOLEAN DEFAULT FALSE, OCTET STRING }."""
    count = 0
    while at < end:
        count += 1
        if count > MAX_EXTENSIONS:
            raise DerError("too many extensions")
        # As `expect`, which reads those that are longer, or wrong.
        if der[at] == SEQUENCE and der[at + 1] < 0x80 and at + 2 + der[at + 1] <= end:
            start, at = at + 2, at + 2 + der[at + 1]
        else:
            start, at = expect(der, at, end, SEQUENCE)
        if der[start : start + _ARC_OCTETS] == _EXTENSION:
            start += _ARC_OCTETS
            number = der[start]
            if number < 0x80:
                value, stop = _value(der, start + 1, at)
                _take_extension(number, der, value, stop, found)
        elif der[start : start + _SAN_OCTETS] == _SAN:
            start, stop = _value(der, start + _SAN_OCTETS, at)
            _read_names(der, start, stop, found)


def _value(der: bytes, at: int, end: int) -> tuple[int, int]:
    """Give the place of the octets after the optional flag."""
    if der[at] == OCTET_STRING and at + 2 + der[at + 1] == end < at + 0x82:
        return at + 2, end
    tag, start, stop = element(der, at, end)
    if tag == 0x01:
        _, start, stop = element(der, stop, end)
    return start, stop


def _take_extension(
    number: int, der: bytes, start: int, stop: int, found: CertificateTerms
) -> None:
    if number > _LAST_RAW:
        if der[start] == UTF8_STRING and start + 2 + der[start + 1] == stop < start + 0x82:
            start += 2
        else:
            try:
                start, stop = expect_last(der, start, stop, UTF8_STRING)
            except DerError:
                return  # of another type: it has no text to look for
    try:
        text = der[start:stop].decode()
    except UnicodeDecodeError:
        return
    found.extensions.append((number, text))
    if number in _ISSUERS:
        found.issuers.append(text)


def _read_names(der: bytes, at: int, end: int, found: CertificateTerms) -> None:
    """Read GeneralNames (RFC 5280 §4.2.1.6): those that are text, and addresses of hosts."""
    at, end = expect(der, at, end, SEQUENCE)
    while at < end and len(found.names) < MAX_NAMES:
        tag, start, at = element(der, at, end)
        value = der[start:at]
        if tag in {0x81, 0x82, 0x86}:  # e-mail, DNS name, URI
            _take_name(value, found)
        elif tag == 0x87:
            name = _address(value)
            if name:
                found.names.append(name)
        elif tag == 0xA0:
            kind, inner = expect(der, start, at, OID)
            if der[kind:inner] == OTHER_NAME_USERNAME:
                inner, stop = expect(der, inner, at, 0xA0)
                inner, stop = expect(der, inner, stop, UTF8_STRING)
                _take_name(der[inner:stop], found)


def _take_name(value: bytes, found: CertificateTerms) -> None:
    try:
        found.names.append(value.decode())
    except UnicodeDecodeError:
        return


def _address(value: bytes) -> str:
    """Write an IP address as the v1 log does; empty if it is none."""
    from ipaddress import IPv4Address, IPv6Address

    if len(value) == 4:
        return str(IPv4Address(value))
    if len(value) != 16:
        return ""
    address = IPv6Address(value)
    return str(address.ipv4_mapped or address)
