"""RFC 3161 timestamps, the reading side: a response, the token in it, and what the token signs.

TimeStampResp (RFC 3161 §2.4.2) holds a CMS SignedData (RFC 5652 §5) over a TSTInfo. Everything a
verifier needs is taken out in one pass; nothing here is verified. Requests are in
`timestamp_request.py`, the writing side in `timestamp_builder.py`.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any, Final, NamedTuple, NoReturn

from touchplate.errors import MalformedError
from touchplate.formats.element import (
    GENERALIZED_TIME,
    INTEGER,
    OCTET_STRING,
    OID,
    SEQUENCE,
    SET,
    DerError,
    element,
    encode,
    expect,
    expect_last,
    integer,
    oid_name,
    oid_octets,
    time,
)

MAX_RESPONSE_BYTES: Final = 65_536
MAX_CERTIFICATES: Final = 16
MAX_ATTRIBUTES: Final = 32
MAX_FORMS: Final = 32
"""That a reader knows at a time. An authority has a dozen: numbers and signatures vary in size."""
GRANTED: Final = 0
GRANTED_WITH_MODS: Final = 1

_SIGNED_DATA: Final = encode(OID, oid_octets("1.2.840.113549.1.7.2"))
_TST_INFO: Final = encode(OID, oid_octets("1.2.840.113549.1.9.16.1.4"))
_VERSION_3: Final = b"\x02\x01\x03"
# RFC 5652 §5.3: the way in which the signer is named decides the version.
_SIGNER_VERSIONS: Final = {SEQUENCE: b"\x01", 0x80: b"\x03"}
_CONTENT_TYPE: Final = oid_octets("1.2.840.113549.1.9.3")
_MESSAGE_DIGEST: Final = oid_octets("1.2.840.113549.1.9.4")
_SIGNING_CERTIFICATE: Final = oid_octets("1.2.840.113549.1.9.16.2.12")
_SIGNING_CERTIFICATE_V2: Final = oid_octets("1.2.840.113549.1.9.16.2.47")
_READ: Final = {_CONTENT_TYPE, _MESSAGE_DIGEST, _SIGNING_CERTIFICATE, _SIGNING_CERTIFICATE_V2}

_HASH_OIDS: Final[Mapping[str, str]] = {
    "sha1": "1.3.14.3.2.26",
    "sha256": "2.16.840.1.101.3.4.2.1",
    "sha384": "2.16.840.1.101.3.4.2.2",
    "sha512": "2.16.840.1.101.3.4.2.3",
}
# The whole AlgorithmIdentifier, with parameters NULL or absent (RFC 5754 §2), to the hash's name.
HASH_ALGORITHMS: Final[Mapping[bytes, str]] = {
    encode(SEQUENCE, encode(OID, oid_octets(dotted)) + parameters): name
    for name, dotted in _HASH_OIDS.items()
    for parameters in (b"", b"\x05\x00")
}


class SignerInfo(NamedTuple):
    """Who signed, and the attributes that were signed. RFC 5652 §5.3."""

    issuer_der: bytes
    """Issuer of the signer's certificate; empty if `subject_key_id` names the signer."""
    serial_bytes: bytes
    subject_key_id: bytes
    digest_algorithm: str
    """Name of the hash of the content: `sha256`, …"""
    signed: bytes
    """The DER SET OF the attributes: what the signature is over."""
    content_type: bytes
    """The object identifier, with tag and length, that the attributes hold."""
    message_digest: bytes
    certificate_hash_algorithm: str
    certificate_hash: bytes
    """Hash of the signer's certificate, of ESSCertID (sha1) or ESSCertIDv2."""
    signature_algorithm: bytes
    """The AlgorithmIdentifier, with tag and length."""
    signature: bytes


class TimestampToken(NamedTuple):
    """One token: exactly one signer, who says that the imprint existed at `at`."""

    tst_info: bytes
    """The DER of the TSTInfo: what `message_digest` is the hash of."""
    policy: bytes
    """Content octets of the policy's object identifier."""
    imprint_algorithm: str
    imprint: bytes
    serial_bytes: bytes
    at: datetime
    nonce: int | None
    certificates: tuple[bytes, ...]
    """DER of the certificates that came with it, unread."""
    signer: SignerInfo

    @property
    def policy_oid(self) -> str:
        """The policy in dotted form."""
        return oid_name(self.policy)


class TimestampResponse(NamedTuple):
    """The status and, if it was granted, the token."""

    status: int
    token: TimestampToken | None


class _Form(NamedTuple):
    """One layout of responses: where the octets are that differ from one to the next.

    All others, with every tag and every length, are the same in each response of the form.
    """

    fixed: Callable[[bytes], tuple[bytes, ...]]
    octets: tuple[bytes, ...]
    """What stands at the fixed places."""
    parts: Callable[[bytes], tuple[bytes, ...]]
    response: TimestampResponse
    """One of them."""


class _Places(NamedTuple):
    """Where a response has what differs from one to the next. The reader looks into none of it."""

    parts: tuple[slice, ...]
    """Imprint, serial number, time, nonce (may be empty), digest of the content, signature; and
    the content, and the signed attributes without their tag, in which some of these lie."""
    unread: tuple[slice, ...]
    """The values of attributes that mean nothing here."""


class TimestampReader:
    """Reads responses, and those of a form that it has met in a quarter of the time.

    An authority's responses differ in a few values. One whose octets elsewhere are those of a
    response that was read has the same structure, so only the values are left to read. The answers
    are those of `parse_timestamp_response`. Any number of threads may use one reader.
    """

    __slots__ = ("_forms",)

    def __init__(self) -> None:
        """Know no form."""
        self._forms: Final[dict[tuple[int, bytes], _Form]] = {}

    def read(self, der: bytes) -> TimestampResponse:
        """The response in these bytes. Raises as `parse_timestamp_response` does."""
        name = len(der), der[48:56]  # in the latter is the length of the content, as a rule
        form = self._forms.get(name)
        if form is not None and form.fixed(der) == form.octets:
            return _read_alike(der, form)
        response, places = _parse(der)
        if places is not None:
            if len(self._forms) >= MAX_FORMS:
                self._forms.clear()
            self._forms[name] = _form(der, response, places)
        return response


def parse_timestamp_response(der: bytes) -> TimestampResponse:
    """The response in these DER bytes.

    Raises MalformedError TIMESTAMP_MALFORMED: not strict DER, not one signer, a content that is
    no TSTInfo, an attribute twice or missing, an unknown hash, or over `MAX_RESPONSE_BYTES`.
    """
    return _parse(der)[0]


def _parse(der: bytes) -> tuple[TimestampResponse, _Places | None]:
    """The response, and where its token has what varies."""
    if len(der) > MAX_RESPONSE_BYTES:
        _refuse(f"{len(der)} bytes, more than {MAX_RESPONSE_BYTES}")
    token = places = None
    try:
        at, end = expect_last(der, 0, len(der), SEQUENCE)
        start, at = expect(der, at, end, SEQUENCE)
        start, stop = expect(der, start, at, INTEGER)
        status = integer(der, start, stop)
        if at != end:
            token, places = _token(der, at, end)
    except DerError as error:
        _refuse(str(error), error)
    if (token is None) == (status in {GRANTED, GRANTED_WITH_MODS}):
        _refuse(f"status {status} does not fit {'no token' if token is None else 'a token'}")
    return TimestampResponse(status, token), places


def _form(der: bytes, response: TimestampResponse, places: _Places) -> _Form:
    """The form of this response: whatever is not in a part that varies is fixed."""
    fixed: list[slice] = []
    at = 0
    for part in sorted((*places.parts[:6], *places.unread), key=lambda part: part.start):
        fixed.append(slice(at, part.start))
        at = part.stop
    fixed.append(slice(at, len(der)))
    octets = _getter(fixed)
    return _Form(octets, octets(der), _getter(places.parts), response)


def _getter(places: Iterable[slice]) -> Callable[[bytes], tuple[bytes, ...]]:
    """What takes the octets at these places out of a response, in one call."""
    getter: Any = itemgetter(*places)
    take: Callable[[bytes], tuple[bytes, ...]] = getter
    return take


def _read_alike(der: bytes, form: _Form) -> TimestampResponse:
    """The response, whose fixed octets are those of the form."""
    imprint, serial, moment, nonce, digest, signature, content, attributes = form.parts(der)
    status, token = form.response
    if token is None:
        raise AssertionError("a form without a token")
    try:
        at = _moment(moment)
        number = integer(nonce, 0, len(nonce)) if nonce else None
    except DerError as error:
        _refuse(str(error), error)
    issuer, own, key_id, algorithm, _, kind, _, name, named, way, _ = token.signer
    _, policy, hashed, *_, certificates, _ = token
    signed = b"\x31" + attributes
    # As to call the three classes, in half the time.
    signer = tuple.__new__(
        SignerInfo,
        (issuer, own, key_id, algorithm, signed, kind, digest, name, named, way, signature),
    )
    token = tuple.__new__(
        TimestampToken,
        (content, policy, hashed, imprint, serial, at, number, certificates, signer),
    )
    return tuple.__new__(TimestampResponse, (status, token))


def _refuse(reason: str, error: Exception | None = None) -> NoReturn:
    raise MalformedError("TIMESTAMP_MALFORMED", f"timestamp: {reason}") from error


def _token(der: bytes, at: int, end: int) -> tuple[TimestampToken, _Places]:
    # RFC 5652 §3: ContentInfo ::= SEQUENCE { id-signedData, [0] EXPLICIT SignedData }
    at, end = expect_last(der, at, end, SEQUENCE)
    if not der.startswith(_SIGNED_DATA, at):
        raise DerError("the token is not CMS SignedData")
    at, end = expect_last(der, at + len(_SIGNED_DATA), end, 0xA0)
    at, end = expect_last(der, at, end, SEQUENCE)
    # §5.1: version, digestAlgorithms, encapContentInfo, [0] certificates, [1] crls, signerInfos
    if not der.startswith(_VERSION_3, at):  # a content that is not id-data makes it 3
        raise DerError("SignedData of a version other than 3")
    start, at = expect(der, at + len(_VERSION_3), end, SET)
    digest_algorithms: list[str] = []
    while start < at:
        name, start = _hash(der, start, at)
        digest_algorithms.append(name)
    start, at = expect(der, at, end, SEQUENCE)
    if not der.startswith(_TST_INFO, start):
        raise DerError("the token's content is not TSTInfo")
    start, stop = expect_last(der, start + len(_TST_INFO), at, 0xA0)
    content, content_end = expect_last(der, start, stop, OCTET_STRING)
    certificates: tuple[bytes, ...] = ()
    tag, start, stop = element(der, at, end)
    if tag == 0xA0:
        certificates = _certificates(der, start, stop)
        tag, start, stop = element(der, stop, end)
    if tag == 0xA1:
        tag, start, stop = element(der, stop, end)
    if tag != SET or stop != end:
        raise DerError("the list of signers is not where it should be")
    start, stop = expect_last(der, start, stop, SEQUENCE)  # exactly one signer
    signer, signer_parts, unread = _signer(der, start, stop)
    if signer.digest_algorithm not in digest_algorithms:
        raise DerError("the signer's hash is not among those of the token")
    token, token_parts = _content(der, content, content_end, certificates, signer)
    digest, signature, attributes = signer_parts
    parts = (*token_parts, digest, signature, slice(content, content_end), attributes)
    return token, _Places(parts, unread)


def _certificates(der: bytes, at: int, end: int) -> tuple[bytes, ...]:
    found: list[bytes] = []
    while at < end:
        start = at
        tag, _, at = element(der, start, end)
        if tag == SEQUENCE:  # the other choices are attribute certificates
            found.append(der[start:at])
    if len(found) > MAX_CERTIFICATES:
        raise DerError(f"{len(found)} certificates, more than {MAX_CERTIFICATES}")
    return tuple(found)


def _signer(
    der: bytes, at: int, end: int
) -> tuple[SignerInfo, tuple[slice, slice, slice], tuple[slice, ...]]:
    # §5.3: version, sid, digestAlgorithm, [0] signedAttrs, signatureAlgorithm, signature
    issuer = serial = key_id = b""
    start, at = expect(der, at, end, INTEGER)
    version = der[start:at]
    tag, start, at = element(der, at, end)
    if version != _SIGNER_VERSIONS.get(tag):
        raise DerError(f"SignerInfo of version {version.hex()} that names its signer by {tag:#04x}")
    if tag == SEQUENCE:
        stop = expect(der, start, at, SEQUENCE)[1]
        issuer = der[start:stop]
        start, stop = expect_last(der, stop, at, INTEGER)
        serial = der[start:stop]
    else:
        key_id = der[start:at]
    digest_algorithm, at = _hash(der, at, end)
    attributes = at
    start, at = expect(der, at, end, 0xA0)
    # §5.4: the signature is over the attributes with the tag of SET OF in place of [0]
    signed = slice(attributes + 1, at)
    values = _attributes(der, start, at)
    start, (_, at) = at, expect(der, at, end, SEQUENCE)
    algorithm = der[start:at]
    start, at = expect(der, at, end, OCTET_STRING)
    if at != end:
        expect_last(der, at, end, 0xA1)  # attributes that nobody signed say nothing
    content_type, message_digest = values.get(_CONTENT_TYPE), values.get(_MESSAGE_DIGEST)
    if content_type is None or message_digest is None:
        raise DerError("the signed attributes lack the content's type or digest")
    first, last = expect_last(der, message_digest.start, message_digest.stop, OCTET_STRING)
    name, certificate_hash = _certificate_id(der, values)
    signer = SignerInfo(
        issuer_der=issuer,
        serial_bytes=serial,
        subject_key_id=key_id,
        digest_algorithm=digest_algorithm,
        signed=b"\x31" + der[signed],
        content_type=der[content_type],
        message_digest=der[first:last],
        certificate_hash_algorithm=name,
        certificate_hash=certificate_hash,
        signature_algorithm=algorithm,
        signature=der[start:at],
    )
    unread = tuple(value for oid, value in values.items() if oid not in _READ)
    return signer, (slice(first, last), slice(start, at), signed), unread


def _attributes(der: bytes, at: int, end: int) -> dict[bytes, slice]:
    """Each is SEQUENCE { OID, SET { one value } }; where values are, by the octets of the OID."""
    values: dict[bytes, slice] = {}
    while at < end:
        start, stop = expect(der, at, end, SEQUENCE)
        name, start = expect(der, start, stop, OID)
        oid = der[name:start]
        start, stop = expect_last(der, start, stop, SET)
        if oid in values or len(values) == MAX_ATTRIBUTES:
            raise DerError(f"signed attribute {oid_name(oid)} stands twice, or there are too many")
        values[oid] = slice(start, stop)
        at = stop
    return values


def _certificate_id(der: bytes, values: Mapping[bytes, slice]) -> tuple[str, bytes]:
    """Name of the hash, and hash, of the first certificate that SigningCertificate(V2) lists."""
    # RFC 5035 §4: SigningCertificateV2 ::= SEQUENCE { SEQUENCE OF ESSCertIDv2, policies }
    value, name = values.get(_SIGNING_CERTIFICATE_V2), "sha256"
    if value is None:
        value, name = values.get(_SIGNING_CERTIFICATE), "sha1"
    if value is None:
        raise DerError("the signed attributes do not name the signer's certificate")
    at, end = expect_last(der, value.start, value.stop, SEQUENCE)
    at, end = expect(der, at, end, SEQUENCE)
    at, end = expect(der, at, end, SEQUENCE)
    if name == "sha256" and at < end and der[at] == SEQUENCE:
        name, at = _hash(der, at, end)
    start, stop = expect(der, at, end, OCTET_STRING)
    return name, der[start:stop]


def _hash(der: bytes, at: int, end: int) -> tuple[str, int]:
    stop = expect(der, at, end, SEQUENCE)[1]
    name = HASH_ALGORITHMS.get(der[at:stop])
    if name is None:
        raise DerError(f"hash algorithm {der[at:stop].hex()} is not known")
    return name, stop


def _content(
    der: bytes, start: int, end: int, certificates: tuple[bytes, ...], signer: SignerInfo
) -> tuple[TimestampToken, tuple[slice, slice, slice, slice]]:
    # RFC 3161 §2.4.2: TSTInfo ::= SEQUENCE { version, policy, messageImprint, serialNumber,
    #   genTime, accuracy, ordering, nonce, [0] tsa, [1] extensions }
    content = der[start:end]
    at, end = expect_last(der, start, end, SEQUENCE)
    start, at = expect(der, at, end, INTEGER)
    if der[start:at] != b"\x01":
        raise DerError("TSTInfo of a version other than 1")
    start, at = expect(der, at, end, OID)
    policy = der[start:at]
    start, at = expect(der, at, end, SEQUENCE)
    imprint_algorithm, start = _hash(der, start, at)
    imprint = slice(*expect_last(der, start, at, OCTET_STRING))
    serial = slice(*expect(der, at, end, INTEGER))
    moment = slice(*expect(der, serial.stop, end, GENERALIZED_TIME))
    nonce = slice(moment.stop, moment.stop)
    at = moment.stop
    while at < end:
        tag, start, at = element(der, at, end)
        if tag == INTEGER:
            integer(der, start, at)
            nonce = slice(start, at)
    token = TimestampToken(
        tst_info=content,
        policy=policy,
        imprint_algorithm=imprint_algorithm,
        imprint=der[imprint],
        serial_bytes=der[serial],
        at=_moment(der[moment]),
        nonce=integer(der, nonce.start, nonce.stop) if nonce.start < nonce.stop else None,
        certificates=certificates,
        signer=signer,
    )
    return token, (imprint, serial, moment, nonce)


def _moment(octets: bytes) -> datetime:
    """GenTime, RFC 3161 §2.4.2: YYYYMMDDHHMMSS[.s…]Z, no trailing zeros; to the microsecond."""
    if len(octets) == 15:
        return time(octets, GENERALIZED_TIME, 0, 15)
    try:
        text = octets.decode("ascii")
    except UnicodeDecodeError as error:
        raise DerError("a time that is not ASCII") from error
    seconds, dot, fraction = text[:-1].partition(".")
    if (
        text[-1:] != "Z"
        or len(seconds) != 14
        or not seconds.isdigit()
        or seconds[8:10] == "24"
        or (dot and (not fraction.isdigit() or fraction.endswith("0") or len(fraction) > 9))
    ):
        raise DerError(f"time {text!r} is not of the form that timestamps use")
    try:
        whole = datetime.fromisoformat(f"{seconds[:8]}T{seconds[8:]}+00:00")
    except ValueError as error:
        raise DerError(f"time {text!r} does not exist") from error
    return whole + timedelta(microseconds=int(fraction[:6].ljust(6, "0"))) if dot else whole
