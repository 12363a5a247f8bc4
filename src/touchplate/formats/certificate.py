"""X.509 certificates (RFC 5280) as frozen values.

The outer structure is read once, strictly, with `element.py`; what is costly (the public key, the
names) is made when first asked for and kept. This is our own reader because `cryptography.x509`
costs the command line more to import than a whole verification takes; the tests hold the two to
the same answers. What an extension says is in `standard_extensions.py` (RFC 5280) and in
`extensions.py` (Sigstore); whether a certificate may vouch for another, in `verify/path.py`.

The module is long because a form (`CertificateReader`) holds what `_read` does not look at, so each
must be changed with the other in sight.
"""

from binascii import b2a_base64
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from hashlib import sha256
from operator import itemgetter
from types import MappingProxyType
from typing import Any, Final, NamedTuple, NoReturn, TypeVar

from touchplate.errors import MalformedError
from touchplate.formats.base64text import parse_base64
from touchplate.formats.element import (
    BIT_STRING,
    GENERALIZED_TIME,
    INTEGER,
    OCTET_STRING,
    OID,
    SEQUENCE,
    UTC_TIME,
    DerError,
    element,
    expect,
    expect_last,
    header,
    integer,
    oid_name,
    oid_octets,
    time,
    utc_time,
)
from touchplate.formats.standard_extensions import (
    AlternativeName,
    BasicConstraints,
    decode_alternative_names,
    decode_basic_constraints,
    decode_extended_key_usage,
    decode_key_usage,
)
from touchplate.keys.pem import encode_pem
from touchplate.keys.public import PublicKey, load_public_key

MAX_CERTIFICATE_BYTES: Final = 65_536
MAX_EXTENSIONS: Final = 64
MAX_SERIAL_BYTES: Final = 40  # RFC 5280 says 20; some that were issued are longer
MAX_PEM_CERTIFICATES: Final = 16
MAX_FORMS: Final = 128
"""That a reader knows at a time. One signer has a dozen: numbers and signatures vary in size."""
MAX_FORM_BYTES: Final = 4096
"""A certificate above this is of no form, so that what is kept stays small."""

KEY_USAGE: Final = oid_octets("2.5.29.15")
SUBJECT_ALT_NAME: Final = oid_octets("2.5.29.17")
BASIC_CONSTRAINTS: Final = oid_octets("2.5.29.19")
NAME_CONSTRAINTS: Final = oid_octets("2.5.29.30")
EXTENDED_KEY_USAGE: Final = oid_octets("2.5.29.37")
SCT_LIST: Final = oid_octets("1.3.6.1.4.1.11129.2.4.2")
PRECERT_POISON: Final = oid_octets("1.3.6.1.4.1.11129.2.4.3")

CODE_SIGNING: Final = "1.3.6.1.5.5.7.3.3"
TIME_STAMPING: Final = "1.3.6.1.5.5.7.3.8"
ANY_EXTENDED_KEY_USAGE: Final = "2.5.29.37.0"

_BOOLEAN: Final = 0x01
_TRUE: Final = b"\x01\x01\xff"
_UTC_TIME_HEADER: Final = b"\x17\x0d"
_VERSION_3: Final = b"\xa0\x03\x02\x01\x02"


_Value = TypeVar("_Value")


class Extension(NamedTuple):
    """One extension: whether it is critical, the octets of its value, its place."""

    critical: bool
    value: bytes
    start: int
    stop: int


class Certificate:
    """One certificate. Equal when the bytes are equal. Nothing about it has been verified.

    A plain class, because the key and the names are filled in when first asked for; two threads
    that ask at once compute the same value.
    """

    _places: tuple[int, int, int, int]
    # Where, in `der`: the signed part's content begins, its [3] begins, the first extension
    # begins, the signed part ends.
    _found: dict[bytes, tuple[bool, int, int, int]]
    # For each extension whether it is critical, and where its value begins, itself begins, it ends.
    _basic_constraints: BasicConstraints | None
    _extended_key_usage: tuple[str, ...] | None
    _extensions: Mapping[bytes, Extension] | None
    _fingerprint: bytes | None
    _key_usage: frozenset[str] | None
    _names: tuple[AlternativeName, ...] | None
    _pem_base64: bytes | None
    _public_key: PublicKey | None
    _without: dict[bytes, tuple[bytes, slice, bytes, slice, slice]]
    # For an extension how the signed part without it is put together. One for all of a form.

    __slots__ = (
        "_basic_constraints",
        "_extended_key_usage",
        "_extensions",
        "_fingerprint",
        "_found",
        "_key_usage",
        "_names",
        "_pem_base64",
        "_places",
        "_public_key",
        "_without",
        "critical",
        "der",
        "issuer_der",
        "not_after",
        "not_before",
        "serial_bytes",
        "signature",
        "signature_algorithm",
        "spki",
        "subject_der",
        "tbs",
        "version",
    )

    der: bytes
    tbs: bytes
    """The signed part, with tag and length."""
    version: int
    serial_bytes: bytes
    """The content octets of the serial number, as they stand."""
    signature_algorithm: bytes
    """The AlgorithmIdentifier, with tag and length; the same inside and outside the signed part."""
    issuer_der: bytes
    subject_der: bytes
    not_before: datetime
    not_after: datetime
    spki: bytes
    critical: tuple[bytes, ...]
    """The critical extensions, by the content octets of the OID."""
    signature: bytes

    def __eq__(self, other: object) -> bool:
        """The same bytes."""
        return isinstance(other, Certificate) and self.der == other.der

    def __hash__(self) -> int:
        return hash(self.der)

    def __repr__(self) -> str:
        return f"Certificate(sha256={self.fingerprint.hex()})"

    @property
    def serial(self) -> int:
        """The serial number."""
        return int.from_bytes(self.serial_bytes, "big", signed=True)

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the whole certificate."""
        if self._fingerprint is None:
            self._fingerprint = sha256(self.der).digest()
        return self._fingerprint

    @property
    def public_key(self) -> PublicKey:
        """The subject's key. Raises VerificationError KEY_UNREADABLE for a kind not supported."""
        if self._public_key is None:
            self._public_key = load_public_key(self.spki)
        return self._public_key

    @property
    def is_self_issued(self) -> bool:
        """Subject and issuer are the same name, which RFC 5280 does not count in path lengths."""
        return self.subject_der == self.issuer_der

    @property
    def extensions(self) -> Mapping[bytes, Extension]:
        """By the content octets of the OID, in the order of the certificate."""
        if self._extensions is None:
            self._extensions = MappingProxyType(
                {
                    oid: Extension(critical, self.der[first:stop], start, stop)
                    for oid, (critical, first, start, stop) in self._found.items()
                }
            )
        return self._extensions

    def value(self, oid: bytes) -> bytes | None:
        """The octets of one extension's value, None if the certificate has it not."""
        found = self._found.get(oid)
        return None if found is None else self.der[found[1] : found[3]]

    def has_any(self, oids: frozenset[bytes]) -> bool:
        """Whether one of these extensions is there."""
        return not oids.isdisjoint(self._found)

    @property
    def basic_constraints(self) -> BasicConstraints | None:
        """The extension of RFC 5280 §4.2.1.9, None if absent."""
        if self._basic_constraints is None:
            self._basic_constraints = self._decode(BASIC_CONSTRAINTS, decode_basic_constraints)
        return self._basic_constraints

    @property
    def key_usage(self) -> frozenset[str] | None:
        """The names of the bits set, as RFC 5280 §4.2.1.3 writes them; None if absent."""
        if self._key_usage is None:
            self._key_usage = self._decode(KEY_USAGE, decode_key_usage)
        return self._key_usage

    @property
    def extended_key_usage(self) -> tuple[str, ...] | None:
        """The purposes, as dotted OIDs; None if absent."""
        if self._extended_key_usage is None:
            self._extended_key_usage = self._decode(EXTENDED_KEY_USAGE, decode_extended_key_usage)
        return self._extended_key_usage

    @property
    def alternative_names(self) -> tuple[AlternativeName, ...]:
        """The names that are identities: e-mail, URI, user name. DNS names and others are not."""
        if self._names is None:
            self._names = self._decode(SUBJECT_ALT_NAME, decode_alternative_names) or ()
        return self._names

    @property
    def pem_base64(self) -> bytes:
        """Its PEM once more as base64: so v1 log entries hold it."""
        if self._pem_base64 is None:
            self._pem_base64 = b2a_base64(encode_pem("CERTIFICATE", self.der), newline=False)
        return self._pem_base64

    def pem(self) -> str:
        """PEM text: 64 columns, final newline."""
        return encode_pem("CERTIFICATE", self.der).decode()

    def tbs_without(self, oid: bytes) -> bytes:
        """The signed part with one extension taken out and all other bytes as they are.

        This is what a transparency log signed: RFC 6962 §3.1 takes the poison out of a
        precertificate, §3.3 the list of timestamps out of a certificate. If no other extension
        remains the field vanishes. `oid` must be there.
        """
        cut = self._without.get(oid)
        if cut is None:
            cut = self._without[oid] = self._cut(oid)
        head, before, field, left, right = cut
        der = self.der
        return b"".join((head, der[before], field, der[left], der[right]))

    def _cut(self, oid: bytes) -> tuple[bytes, slice, bytes, slice, slice]:
        content, at, first, end = self._places
        _, _, start, stop = self._found[oid]
        field = b""
        rest = start - first + end - stop
        if rest:
            inner = header(SEQUENCE, rest)
            field = header(0xA3, len(inner) + rest) + inner
        return (
            header(SEQUENCE, at - content + len(field) + rest),
            slice(content, at),
            field,
            slice(first, start),
            slice(stop, end),
        )

    def _decode(self, oid: bytes, decode: Callable[[bytes], _Value]) -> _Value | None:
        value = self.value(oid)
        if value is None:
            return None
        try:
            return decode(value)
        except DerError as error:
            _refuse(f"extension {oid_name(oid)}: {error}", error)


class _Form(NamedTuple):
    """One layout of certificates: all octets that `_read` looks at are the same.

    It looks at every tag, length and object identifier, and at a few values. The values of
    extensions, the key, the signature, and most of the serial number are not among them. Some
    extensions are the same in nearly all certificates: in those of a form they are.
    """

    looked_at: Callable[[bytes], tuple[bytes, ...]]
    """Takes those octets."""
    octets: tuple[bytes, ...]
    """What stands there."""
    values: Callable[[bytes], tuple[bytes, ...]]
    """Takes signed part, serial number, key and signature."""
    validity: slice
    like: Certificate
    """One of them."""


class CertificateReader:
    """Reads certificates, and those of a form that it has met in a third of the time.

    The answers are those of `_read`, which reads the first two of a form and whatever is of none.
    Any number of threads may use one reader.
    """

    __slots__ = ("_forms",)

    def __init__(self) -> None:
        """Know no form."""
        self._forms: Final[dict[tuple[int, bytes], _Form | None]] = {}

    def read(self, der: bytes) -> Certificate:
        """The certificate in these bytes. Raises DerError."""
        # Length of all, and nearly always: of the signed part, and of the serial number.
        name = len(der), der[4:15]
        form = self._forms.get(name)
        if form is not None:
            found = _read_alike(der, form)
            if found is not None:
                return found
        certificate, values = _read(der)
        if name in self._forms:
            self._forms[name] = _form(certificate, values)
        elif len(der) <= MAX_FORM_BYTES:
            if len(self._forms) >= MAX_FORMS:
                self._forms.clear()
            self._forms[name] = None  # a form is worth its making when it comes again
        return certificate


def parse_certificate(der: bytes) -> Certificate:
    """The certificate in these DER bytes.

    Raises MalformedError CERTIFICATE_MALFORMED: not strict DER, trailing bytes, an extension
    twice, or more than `MAX_CERTIFICATE_BYTES` or `MAX_EXTENSIONS`.
    """
    if len(der) > MAX_CERTIFICATE_BYTES:
        _refuse(f"{len(der)} bytes, more than {MAX_CERTIFICATE_BYTES}")
    try:
        return _READER.read(bytes(der))
    except DerError as error:
        _refuse(str(error), error)


_READER: Final = CertificateReader()


def parse_pem_certificates(text: str) -> tuple[Certificate, ...]:
    """The certificates of a PEM chain, in order; at least one, and at most 16.

    Raises MalformedError CERTIFICATE_MALFORMED. Text between the blocks is not allowed.
    """
    certificates: list[Certificate] = []
    rest = text.strip()
    while rest:
        begin, middle, tail = rest.partition("-----END CERTIFICATE-----")
        head, marker, body = begin.partition("-----BEGIN CERTIFICATE-----")
        if head or not marker or not middle:
            _refuse("the text is not a PEM chain of certificates")
        if len(certificates) == MAX_PEM_CERTIFICATES:
            _refuse(f"more than {MAX_PEM_CERTIFICATES} certificates in a PEM chain")
        try:
            der = parse_base64("".join(body.split()))
        except ValueError as error:
            _refuse("the base64 of a PEM block does not decode", error)
        certificates.append(parse_certificate(der))
        rest = tail.lstrip()
    if not certificates:
        _refuse("the text holds no certificate")
    return tuple(certificates)


def _refuse(reason: str, error: Exception | None = None) -> NoReturn:
    raise MalformedError("CERTIFICATE_MALFORMED", f"certificate: {reason}") from error


_ALIKE: Final = frozenset({BASIC_CONSTRAINTS, KEY_USAGE, EXTENDED_KEY_USAGE})


def _form(certificate: Certificate, values: tuple[slice, ...]) -> _Form:
    """The form of this certificate; `values` are as `_read` gives them."""
    der, found = certificate.der, certificate._found  # noqa: SLF001 - the class is this module's
    tbs, serial, validity, spki, signature = values
    unread = sorted(
        (
            (serial.start, serial.stop),
            (validity.start, validity.stop),
            expect_last(der, spki.start, spki.stop, SEQUENCE),
            (signature.start, signature.stop),
            *[(first, stop) for oid, (_, first, _, stop) in found.items() if oid not in _ALIKE],
        )
    )
    starts = [0, *[stop for _, stop in unread]]
    looked_at = _getter(map(slice, starts, [*[start for start, _ in unread], None]))
    parts = _getter((tbs, serial, spki, signature))
    return _Form(looked_at, looked_at(der), parts, validity, certificate)


def _getter(places: Iterable[slice]) -> Callable[[bytes], tuple[bytes, ...]]:
    getter: Any = itemgetter(*places)
    take: Callable[[bytes], tuple[bytes, ...]] = getter
    return take


def _read_alike(der: bytes, form: _Form) -> Certificate | None:
    """The certificate if it is of this form and in order; None says nothing."""
    looked_at, octets, values, validity, like = form
    if looked_at(der) != octets:
        return None
    tbs, serial, spki, signature = values(der)
    # A serial number that begins so is neither negative nor padded.
    if not 0 < serial[0] < 0x80:
        return None
    self = Certificate.__new__(Certificate)
    try:
        self.not_before, self.not_after = _validity(der, validity.start, validity.stop)
    except DerError:
        return None
    self._basic_constraints = like._basic_constraints  # noqa: SLF001 - the class is this module's
    self._extended_key_usage = like._extended_key_usage  # noqa: SLF001 - as above
    self._key_usage = like._key_usage  # noqa: SLF001 - as above
    self._extensions = self._fingerprint = self._names = self._pem_base64 = self._public_key = None
    self.der = der
    self.tbs = tbs
    self.version = like.version
    self.serial_bytes = serial
    self.signature_algorithm = like.signature_algorithm
    self.issuer_der = like.issuer_der
    self.subject_der = like.subject_der
    self.spki = spki
    self.signature = signature
    self.critical = like.critical
    self._found = like._found  # noqa: SLF001 - as above
    self._places = like._places  # noqa: SLF001 - as above
    self._without = like._without  # noqa: SLF001 - as above
    return self


def _read(der: bytes) -> tuple[Certificate, tuple[slice, ...]]:
    """The certificate; and where the values are that it does not look into, besides extensions.

    Of the serial number and the validity, which it does look into, `_read_alike` does the same.
    """
    # RFC 5280 §4.1: Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signature }
    end = len(der)
    outer, _ = expect_last(der, 0, end, SEQUENCE)
    at, tbs_end = expect(der, outer, end, SEQUENCE)
    _, algorithm_end = expect(der, tbs_end, end, SEQUENCE)
    bits, bits_end = expect_last(der, algorithm_end, end, BIT_STRING)
    if bits == bits_end or der[bits] != 0:
        raise DerError("the signature is not whole octets")

    self = Certificate.__new__(Certificate)
    self._basic_constraints = self._extended_key_usage = self._key_usage = self._names = None
    self._extensions = self._fingerprint = self._pem_base64 = self._public_key = None
    self.der = der
    self.tbs = der[outer:tbs_end]
    self.signature_algorithm = der[tbs_end:algorithm_end]
    self.signature = der[bits + 1 : bits_end]

    content = at
    self.version = 1
    if der[at] == 0xA0:
        if der[at : at + 5] != _VERSION_3:
            raise DerError("a version other than 1 and 3")
        self.version = 3
        at += 5
    start, at = expect(der, at, tbs_end, INTEGER)
    if integer(der, start, min(at, start + 2)) < 0 or at - start > MAX_SERIAL_BYTES:
        raise DerError("a serial number below zero or too long")
    serial = slice(start, at)
    self.serial_bytes = der[start:at]
    start, (_, at) = at, expect(der, at, tbs_end, SEQUENCE)
    if der[start:at] != self.signature_algorithm:
        raise DerError("the signature algorithm is not the same inside and outside")
    start, (_, at) = at, expect(der, at, tbs_end, SEQUENCE)
    self.issuer_der = der[start:at]
    start, at = expect(der, at, tbs_end, SEQUENCE)
    validity = slice(start, at)
    self.not_before, self.not_after = _validity(der, start, at)
    start, (_, at) = at, expect(der, at, tbs_end, SEQUENCE)
    self.subject_der = der[start:at]
    start, (_, at) = at, expect(der, at, tbs_end, SEQUENCE)
    spki = slice(start, at)
    self.spki = der[start:at]

    self._found, self._without, self.critical = {}, {}, ()
    self._places = (content, at, at, tbs_end)
    if at != tbs_end:
        if self.version != 3:
            raise DerError("extensions in a certificate of version 1")
        # RFC 5280 §4.1.2.8: the unique identifiers [1] and [2] must not be there
        start, stop = expect_last(der, at, tbs_end, 0xA3)
        first, _ = expect_last(der, start, stop, SEQUENCE)
        self._places = (content, at, first, tbs_end)
        self._found, self.critical = _extensions(der, first, stop)
    return self, (slice(outer, tbs_end), serial, validity, spki, slice(bits + 1, bits_end))


def _validity(der: bytes, at: int, end: int) -> tuple[datetime, datetime]:
    # Nearly always two UTCTimes, each of 13 characters.
    if end == at + 30 and der[at : at + 2] == der[at + 15 : at + 17] == _UTC_TIME_HEADER:
        return utc_time(der, at + 2, at + 15), utc_time(der, at + 17, end)
    first, at = _time(der, at, end)
    last, at = _time(der, at, end)
    if at != end:
        raise DerError("more than two times of validity")
    return first, last


def _time(der: bytes, at: int, end: int) -> tuple[datetime, int]:
    tag, start, stop = element(der, at, end)
    if tag not in {UTC_TIME, GENERALIZED_TIME}:
        raise DerError(f"tag {tag:#04x} where a time should be")
    return time(der, tag, start, stop), stop


def _extensions(
    der: bytes, at: int, end: int
) -> tuple[dict[bytes, tuple[bool, int, int, int]], tuple[bytes, ...]]:
    """Each is SEQUENCE { OID, critical BOOLEAN DEFAULT FALSE, OCTET STRING }.

    The hottest loop of a verification: headers of the short form are read in place, and what is
    not as expected is left to `expect`, which reads it again or says what is wrong.
    """
    found: dict[bytes, tuple[bool, int, int, int]] = {}
    flagged: list[bytes] = []
    count = 0
    while at < end:
        start = at
        # The signature follows the extensions, so there is always one more octet to look at.
        inner = at + 2
        at = inner + der[at + 1]
        if der[start] != SEQUENCE or at > end or at >= inner + 0x80:
            inner, at = expect(der, start, end, SEQUENCE)
        name = inner + 2
        if name > at or der[inner] != OID or der[inner + 1] >= 0x80:
            raise DerError(f"an extension without an object identifier at {start}")
        inner = name + der[inner + 1]
        if inner >= at:
            raise DerError(f"an extension without a value at {start}")
        oid = der[name:inner]
        critical = False
        if der[inner] == _BOOLEAN:
            if der[inner : inner + 3] != _TRUE:
                raise DerError("a critical flag that is not TRUE")
            critical = True
            flagged.append(oid)
            inner += 3
        first = inner + 2
        if der[inner] != OCTET_STRING or first + der[inner + 1] != at or at >= first + 0x80:
            first, _ = expect_last(der, inner, at, OCTET_STRING)
        found[oid] = critical, first, start, at
        count += 1
    if count != len(found):
        raise DerError("an extension stands twice")
    if not 1 <= count <= MAX_EXTENSIONS:
        raise DerError(f"{count} extensions, where 1 to {MAX_EXTENSIONS} are allowed")
    return found, tuple(flagged)
