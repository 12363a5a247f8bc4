"""Timestamp responses put together (RFC 3161 §2.4.2, RFC 5652 §5, RFC 5816), from a template.

All that does not change from one response to the next is encoded once, for a certificate and a
signer: names, identifiers, certificates. What is left for each is the TSTInfo, four attributes and
a signature. The reading side is `timestamp.py`.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from touchplate.errors import SettingsError
from touchplate.formats import der
from touchplate.formats.certificate import Certificate
from touchplate.formats.timestamp_request import HASH_OIDS, TimestampRequest
from touchplate.keys.algorithms import HASH_SIZES, Algorithm

DEFAULT_POLICY: Final = "1.3.6.1.4.1.57264.2"

# PKIFailureInfo bits (RFC 3161 §2.4.2) and the responses that reject with them.
FAILURES: Final[Mapping[str, int]] = {
    "badAlg": 0,
    "badRequest": 2,
    "badDataFormat": 5,
    "timeNotAvailable": 14,
    "unacceptedPolicy": 15,
    "unacceptedExtension": 16,
    "addInfoNotAvailable": 17,
    "systemFailure": 25,
}

_SIGNED_DATA: Final = der.oid("1.2.840.113549.1.7.2")
_TST_INFO: Final = der.oid("1.2.840.113549.1.9.16.1.4")
_GRANTED: Final = der.sequence(der.integer(0))
_VERSION_1: Final = der.integer(1)
_VERSION_3: Final = der.integer(3)
_ACCURACY: Final = der.sequence(der.integer(1))  # one second
_SIGNED_ATTRIBUTES: Final = bytes((der.context(0),))
_CONTENT_TYPE: Final = der.sequence(der.oid("1.2.840.113549.1.9.3"), der.set_of([_TST_INFO]))
_SIGNING_TIME: Final = der.oid("1.2.840.113549.1.9.5")
_MESSAGE_DIGEST: Final = der.oid("1.2.840.113549.1.9.4")
_SIGNING_CERTIFICATE_V2: Final = der.oid("1.2.840.113549.1.9.16.2.47")

# In a message imprint the algorithm has NULL parameters, in CMS it has none (RFC 5754 §2).
_IMPRINT_ALGORITHMS: Final = {
    name: der.sequence(der.oid(oid), der.null()) for name, oid in HASH_OIDS.items()
}
_DIGEST_ALGORITHMS: Final = {name: der.sequence(der.oid(oid)) for name, oid in HASH_OIDS.items()}
_SIGNATURES: Final[Mapping[tuple[str, str | None], str]] = {
    ("ecdsa", "sha256"): "1.2.840.10045.4.3.2",
    ("ecdsa", "sha384"): "1.2.840.10045.4.3.3",
    ("ecdsa", "sha512"): "1.2.840.10045.4.3.4",
    ("rsa-pkcs1", "sha256"): "1.2.840.113549.1.1.11",
}


_HASHES: Final = {name: getattr(hashlib, name) for name in _DIGEST_ALGORITHMS}

# An authority has few policies, and checks one before it gets here.
_oid = lru_cache(maxsize=16)(der.oid)


@dataclass(frozen=True, slots=True)
class HashTemplate:
    """What depends on the hash of a request's imprint."""

    # Before the digest in messageImprint, whose length is known by the hash.
    imprint: bytes
    digest_size: int
    # The attribute that names the signing certificate, with this hash.
    signing_certificate: bytes
    # The attributes contentType, signingTime, messageDigest and the above, in DER's order. It is
    # known beforehand: what varies in them stands after their lengths and types.
    order: tuple[int, int, int, int]
    # The SET's header.
    attributes: bytes


@dataclass(frozen=True, slots=True)
class ResponseTemplate:
    """The constant parts of one authority's responses."""

    hash_name: str
    # TSTInfo after the nonce: [0] around the subject as a directory name.
    tsa: bytes
    # SignerInfo before and after the signed attributes, without the signature.
    before_attributes: bytes
    after_attributes: bytes
    # SignedData before the TSTInfo.
    digests: bytes
    # The whole [0] of SignedData.
    certificates: bytes
    # Before the messageDigest's value.
    message_digest: bytes
    hashes: Mapping[str, HashTemplate]


def make_template(
    certificate: Certificate, algorithm: Algorithm, chain: tuple[Certificate, ...] = ()
) -> ResponseTemplate:
    """Encode what is constant for a signing certificate; `chain` goes along where certificates do.

    Raises SETTINGS_INVALID for an algorithm that clients do not accept in timestamps.
    """
    oid = _SIGNATURES.get((algorithm.kind, algorithm.hash))
    if oid is None or algorithm.hash is None:
        raise SettingsError("SETTINGS_INVALID", f"{algorithm.name} does not sign timestamps")
    serial = der.tlv(der.INTEGER, certificate.serial_bytes)
    issuer_serial = der.sequence(der.sequence(der.explicit(4, certificate.issuer_der)), serial)
    listed = sorted(item.der for item in (certificate, *chain))
    digest_algorithm = _DIGEST_ALGORITHMS[algorithm.hash]
    size = HASH_SIZES[algorithm.hash]
    digest = der.set_of([der.octet_string(bytes(size))])
    return ResponseTemplate(
        hash_name=algorithm.hash,
        tsa=der.explicit(0, der.explicit(4, certificate.subject_der)),
        before_attributes=_VERSION_1
        + der.sequence(certificate.issuer_der, serial)
        + digest_algorithm,
        after_attributes=der.sequence(der.oid(oid)),
        digests=_VERSION_3 + der.tlv(der.SET, digest_algorithm),
        certificates=der.tlv(der.context(0), b"".join(listed)),
        message_digest=der.sequence(_MESSAGE_DIGEST, digest)[:-size],
        hashes={
            name: _make_hash_template(name, certificate.der, issuer_serial, size)
            for name in ("sha256", "sha384", "sha512")
        },
    )


def _make_hash_template(
    hash_name: str, certificate: bytes, issuer_serial: bytes, signer_size: int
) -> HashTemplate:
    size = HASH_SIZES[hash_name]  # type: ignore[index]  # a name of the table
    algorithm = _IMPRINT_ALGORITHMS[hash_name]
    # RFC 5035 §4: SHA-256 is the default, and defaults are not encoded.
    named = b"" if hash_name == "sha256" else algorithm
    hashed = der.octet_string(hashlib.new(hash_name, certificate).digest())
    certificate_id = der.sequence(der.sequence(der.sequence(named, hashed, issuer_serial)))
    signing_certificate = der.sequence(_SIGNING_CERTIFICATE_V2, der.set_of([certificate_id]))
    digest = der.set_of([der.octet_string(bytes(signer_size))])
    attributes = (
        _CONTENT_TYPE,
        _encode_times(datetime(2026, 1, 1, tzinfo=UTC))[1],
        der.sequence(_MESSAGE_DIGEST, digest),
        signing_certificate,
    )
    first, second, third, fourth = sorted(range(4), key=attributes.__getitem__)
    whole = der.set_of(attributes)
    return HashTemplate(
        imprint=der.sequence(algorithm, der.octet_string(bytes(size)))[:-size],
        digest_size=size,
        signing_certificate=signing_certificate,
        order=(first, second, third, fourth),
        attributes=whole[: len(whole) - sum(map(len, attributes))],
    )


@lru_cache(maxsize=8)
def _encode_times(at: datetime) -> tuple[bytes, bytes]:
    """Give genTime and the attribute signingTime; many timestamps are of one second."""
    signing_time = der.sequence(_SIGNING_TIME, der.set_of([der.certificate_time(at)]))
    return der.generalized_time(at), signing_time


def encode_tst_info(
    request: TimestampRequest,
    template: ResponseTemplate,
    *,
    policy: str,
    serial: int,
    at: datetime,
) -> bytes:
    """Give the TSTInfo: whole seconds (so must `at` be), accuracy of one second, no ordering.

    The digest must be as long as its hash has it.
    """
    parts = template.hashes[request.hash_name]
    if len(request.digest) != parts.digest_size or at.microsecond:
        raise AssertionError("a digest of another length, or a fraction of a second")
    content = b"".join(
        (
            _VERSION_1,
            _oid(policy),
            parts.imprint,
            request.digest,
            _integer(serial),
            _encode_times(at)[0],
            _ACCURACY,
            b"" if request.nonce is None else _integer(request.nonce),
            template.tsa,
        )
    )
    return der.head(der.SEQUENCE, len(content)) + content


def encode_signed_attributes(
    tst_info: bytes, template: ResponseTemplate, *, hash_name: str, at: datetime
) -> bytes:
    """Give the attributes that are signed, as a SET; in the response the tag is another.

    `hash_name` is the request's: with it the signing certificate is named (ESSCertIDv2).
    """
    parts = template.hashes[hash_name]
    attributes = (
        _CONTENT_TYPE,
        _encode_times(at)[1],
        template.message_digest + _HASHES[template.hash_name](tst_info).digest(),
        parts.signing_certificate,
    )
    first, second, third, fourth = parts.order
    return b"".join(
        (
            parts.attributes,
            attributes[first],
            attributes[second],
            attributes[third],
            attributes[fourth],
        )
    )


def encode_response(
    tst_info: bytes,
    attributes: bytes,
    signature: bytes,
    template: ResponseTemplate,
    *,
    with_certificates: bool,
) -> bytes:
    """Give the whole TimeStampResp, granted."""
    # Sizes are known before anything is put together, so each byte is copied once.
    certificates = template.certificates if with_certificates else b""
    signature_head = der.head(der.OCTET_STRING, len(signature))
    size = (
        len(template.before_attributes)
        + len(attributes)
        + len(template.after_attributes)
        + len(signature_head)
        + len(signature)
    )
    info_head = der.head(der.SEQUENCE, size)
    size += len(info_head)
    infos_head = der.head(der.SET, size)
    size += len(infos_head) + len(certificates)
    octets_head = der.head(der.OCTET_STRING, len(tst_info))
    content_size = len(octets_head) + len(tst_info)
    wrapped_head = der.head(_SIGNED_ATTRIBUTES[0], content_size)  # [0] here too
    content_size += len(wrapped_head) + len(_TST_INFO)
    content_head = der.head(der.SEQUENCE, content_size)
    size += len(content_head) + content_size + len(template.digests)
    data_head = der.head(der.SEQUENCE, size)
    size += len(data_head)
    explicit_head = der.head(_SIGNED_ATTRIBUTES[0], size)
    size += len(explicit_head) + len(_SIGNED_DATA)
    token_head = der.head(der.SEQUENCE, size)
    size += len(token_head) + len(_GRANTED)
    return b"".join(
        (
            der.head(der.SEQUENCE, size),
            _GRANTED,
            token_head,
            _SIGNED_DATA,
            explicit_head,
            data_head,
            template.digests,
            content_head,
            _TST_INFO,
            wrapped_head,
            octets_head,
            tst_info,
            certificates,
            infos_head,
            info_head,
            template.before_attributes,
            _SIGNED_ATTRIBUTES,
            attributes[1:],
            template.after_attributes,
            signature_head,
            signature,
        )
    )


def _integer(value: int) -> bytes:
    size = (value if value >= 0 else ~value).bit_length() // 8 + 1
    return der.head(der.INTEGER, size) + value.to_bytes(size, "big", signed=True)


def encode_rejection(failure: str) -> bytes:
    """Give a TimeStampResp of status rejection with one failure bit."""
    bit = FAILURES[failure]
    octets = bytearray(bit // 8 + 1)
    octets[-1] = 0x80 >> bit % 8
    info = der.bit_string(bytes(octets), 7 - bit % 8)
    return der.sequence(der.sequence(der.integer(2), info))
