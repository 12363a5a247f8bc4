"""RFC 3161 timestamps, the reading side: a response, the token in it, and what the token signs.

TimeStampResp (RFC 3161 §2.4.2) holds a CMS SignedData (RFC 5652 §5) over a TSTInfo. Everything a
verifier needs is taken out in one pass; nothing here is verified. Requests are in
`timestamp_request.py`, the writing side in `timestamp_builder.py`.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple, NoReturn

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


def parse_timestamp_response(der: bytes) -> TimestampResponse:
    """The response in these DER bytes.

    Raises MalformedError TIMESTAMP_MALFORMED: not strict DER, not one signer, a content that is
    no TSTInfo, an attribute twice or missing, an unknown hash, or over `MAX_RESPONSE_BYTES`.
    """
    if len(der) > MAX_RESPONSE_BYTES:
        _refuse(f"{len(der)} bytes, more than {MAX_RESPONSE_BYTES}")
    try:
        at, end = expect_last(der, 0, len(der), SEQUENCE)
        start, at = expect(der, at, end, SEQUENCE)
        start, stop = expect(der, start, at, INTEGER)
        status = integer(der, start, stop)
        token = None if at == end else _token(der, at, end)
    except DerError as error:
        _refuse(str(error), error)
    if (token is None) == (status in {GRANTED, GRANTED_WITH_MODS}):
        _refuse(f"status {status} does not fit {'no token' if token is None else 'a token'}")
    return TimestampResponse(status, token)


def _refuse(reason: str, error: Exception | None = None) -> NoReturn:
    raise MalformedError("TIMESTAMP_MALFORMED", f"timestamp: {reason}") from error


def _token(der: bytes, at: int, end: int) -> TimestampToken:
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
    start, stop = expect_last(der, start, stop, OCTET_STRING)
    tst_info = der[start:stop]
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
    signer = _signer(der, start, stop)
    if signer.digest_algorithm not in digest_algorithms:
        raise DerError("the signer's hash is not among those of the token")
    return _content(tst_info, certificates, signer)


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


def _signer(der: bytes, at: int, end: int) -> SignerInfo:
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
    signed = b"\x31" + der[attributes + 1 : at]
    values = _attributes(der, start, at)
    start, (_, at) = at, expect(der, at, end, SEQUENCE)
    algorithm = der[start:at]
    start, at = expect(der, at, end, OCTET_STRING)
    if at != end:
        expect_last(der, at, end, 0xA1)  # attributes that nobody signed say nothing
    content_type, message_digest = values.get(_CONTENT_TYPE), values.get(_MESSAGE_DIGEST)
    if content_type is None or message_digest is None:
        raise DerError("the signed attributes lack the content's type or digest")
    first, last = expect_last(message_digest, 0, len(message_digest), OCTET_STRING)
    name, certificate_hash = _certificate_id(values)
    return SignerInfo(
        issuer_der=issuer,
        serial_bytes=serial,
        subject_key_id=key_id,
        digest_algorithm=digest_algorithm,
        signed=signed,
        content_type=content_type,
        message_digest=message_digest[first:last],
        certificate_hash_algorithm=name,
        certificate_hash=certificate_hash,
        signature_algorithm=algorithm,
        signature=der[start:at],
    )


def _attributes(der: bytes, at: int, end: int) -> dict[bytes, bytes]:
    """Each is SEQUENCE { OID, SET { one value } }; the values by the octets of the OID."""
    values: dict[bytes, bytes] = {}
    while at < end:
        start, stop = expect(der, at, end, SEQUENCE)
        name, start = expect(der, start, stop, OID)
        oid = der[name:start]
        start, stop = expect_last(der, start, stop, SET)
        if oid in values or len(values) == MAX_ATTRIBUTES:
            raise DerError(f"signed attribute {oid_name(oid)} stands twice, or there are too many")
        values[oid] = der[start:stop]
        at = stop
    return values


def _certificate_id(values: Mapping[bytes, bytes]) -> tuple[str, bytes]:
    """Name of the hash, and hash, of the first certificate that SigningCertificate(V2) lists."""
    # RFC 5035 §4: SigningCertificateV2 ::= SEQUENCE { SEQUENCE OF ESSCertIDv2, policies }
    value, name = values.get(_SIGNING_CERTIFICATE_V2), "sha256"
    if value is None:
        value, name = values.get(_SIGNING_CERTIFICATE), "sha1"
    if value is None:
        raise DerError("the signed attributes do not name the signer's certificate")
    at, end = expect_last(value, 0, len(value), SEQUENCE)
    at, end = expect(value, at, end, SEQUENCE)
    at, end = expect(value, at, end, SEQUENCE)
    if name == "sha256" and at < end and value[at] == SEQUENCE:
        name, at = _hash(value, at, end)
    start, stop = expect(value, at, end, OCTET_STRING)
    return name, value[start:stop]


def _hash(der: bytes, at: int, end: int) -> tuple[str, int]:
    stop = expect(der, at, end, SEQUENCE)[1]
    name = HASH_ALGORITHMS.get(der[at:stop])
    if name is None:
        raise DerError(f"hash algorithm {der[at:stop].hex()} is not known")
    return name, stop


def _content(der: bytes, certificates: tuple[bytes, ...], signer: SignerInfo) -> TimestampToken:
    # RFC 3161 §2.4.2: TSTInfo ::= SEQUENCE { version, policy, messageImprint, serialNumber,
    #   genTime, accuracy, ordering, nonce, [0] tsa, [1] extensions }
    at, end = expect_last(der, 0, len(der), SEQUENCE)
    start, at = expect(der, at, end, INTEGER)
    if der[start:at] != b"\x01":
        raise DerError("TSTInfo of a version other than 1")
    start, at = expect(der, at, end, OID)
    policy = der[start:at]
    start, at = expect(der, at, end, SEQUENCE)
    imprint_algorithm, start = _hash(der, start, at)
    start, stop = expect_last(der, start, at, OCTET_STRING)
    imprint = der[start:stop]
    start, at = expect(der, at, end, INTEGER)
    serial = der[start:at]
    start, at = expect(der, at, end, GENERALIZED_TIME)
    when = _moment(der[start:at])
    nonce = None
    while at < end:
        tag, start, at = element(der, at, end)
        if tag == INTEGER:
            nonce = integer(der, start, at)
    return TimestampToken(
        tst_info=der,
        policy=policy,
        imprint_algorithm=imprint_algorithm,
        imprint=imprint,
        serial_bytes=serial,
        at=when,
        nonce=nonce,
        certificates=certificates,
        signer=signer,
    )


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
