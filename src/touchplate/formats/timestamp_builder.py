"""Timestamp responses put together (RFC 3161 §2.4.2, RFC 5652 §5, RFC 5816), from a template.

All that does not change from one response to the next is encoded once, for a certificate and a
signer: names, identifiers, certificates. What is left for each is the TSTInfo, four attributes and
a signature. The reading side is `timestamp.py`.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final

from touchplate.errors import SettingsError
from touchplate.formats import der
from touchplate.formats.certificate import Certificate
from touchplate.formats.timestamp_request import HASH_OIDS, TimestampRequest
from touchplate.keys.algorithms import Algorithm

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
_SET: Final = bytes((der.SET,))
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


# An authority has few policies, and checks one before it gets here.
_oid = lru_cache(maxsize=16)(der.oid)


@dataclass(frozen=True, slots=True)
class ResponseTemplate:
    """The constant parts of one authority's responses."""

    hash_name: str
    # TSTInfo.tsa: [0] around the subject as a directory name.
    tsa: bytes
    # Issuer and serial number: `sid`, and the same as names inside ESSCertIDv2.
    signer_id: bytes
    issuer_serial: bytes
    # AlgorithmIdentifiers of CMS.
    digest: bytes
    signature: bytes
    # The whole [0] of SignedData.
    certificates: bytes
    # Hash of the signing certificate, by the name of the hash.
    certificate_hashes: Mapping[str, bytes]


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
    issuer_name = der.explicit(4, certificate.issuer_der)
    listed = sorted(item.der for item in (certificate, *chain))
    return ResponseTemplate(
        hash_name=algorithm.hash,
        tsa=der.explicit(0, der.explicit(4, certificate.subject_der)),
        signer_id=der.sequence(certificate.issuer_der, serial),
        issuer_serial=der.sequence(der.sequence(issuer_name), serial),
        digest=_DIGEST_ALGORITHMS[algorithm.hash],
        signature=der.sequence(der.oid(oid)),
        certificates=der.tlv(der.context(0), b"".join(listed)),
        certificate_hashes={
            name: hashlib.new(name, certificate.der).digest()
            for name in ("sha256", "sha384", "sha512")
        },
    )


def encode_tst_info(
    request: TimestampRequest,
    template: ResponseTemplate,
    *,
    policy: str,
    serial: int,
    at: datetime,
) -> bytes:
    """Give the TSTInfo: whole seconds, accuracy of one second, no ordering."""
    imprint = der.sequence(_IMPRINT_ALGORITHMS[request.hash_name], der.octet_string(request.digest))
    nonce = b"" if request.nonce is None else der.integer(request.nonce)
    return der.sequence(
        _VERSION_1,
        _oid(policy),
        imprint,
        der.integer(serial),
        der.generalized_time(at.replace(microsecond=0)),
        _ACCURACY,
        nonce,
        template.tsa,
    )


def encode_signed_attributes(
    tst_info: bytes, template: ResponseTemplate, *, hash_name: str, at: datetime
) -> bytes:
    """Give the attributes that are signed, as a SET; in the response the tag is another.

    `hash_name` is the request's: with it the signing certificate is named (ESSCertIDv2).
    """
    digest = hashlib.new(template.hash_name, tst_info).digest()
    # RFC 5035 §4: SHA-256 is the default, and defaults are not encoded.
    named = b"" if hash_name == "sha256" else _IMPRINT_ALGORITHMS[hash_name]
    certificate_id = der.sequence(
        named, der.octet_string(template.certificate_hashes[hash_name]), template.issuer_serial
    )
    listed = der.sequence(der.sequence(certificate_id))
    return der.set_of(
        (
            _CONTENT_TYPE,
            der.sequence(_SIGNING_TIME, der.set_of([der.certificate_time(at)])),
            der.sequence(_MESSAGE_DIGEST, der.set_of([der.octet_string(digest)])),
            der.sequence(_SIGNING_CERTIFICATE_V2, der.set_of([listed])),
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
    signer_info = der.sequence(
        _VERSION_1,
        template.signer_id,
        template.digest,
        _SIGNED_ATTRIBUTES + attributes[1:],
        template.signature,
        der.octet_string(signature),
    )
    signed_data = der.sequence(
        _VERSION_3,
        der.tlv(der.SET, template.digest),
        der.sequence(_TST_INFO, der.explicit(0, der.octet_string(tst_info))),
        template.certificates if with_certificates else b"",
        der.tlv(der.SET, signer_info),
    )
    return der.sequence(_GRANTED, der.sequence(_SIGNED_DATA, der.explicit(0, signed_data)))


def encode_rejection(failure: str) -> bytes:
    """Give a TimeStampResp of status rejection with one failure bit."""
    bit = FAILURES[failure]
    octets = bytearray(bit // 8 + 1)
    octets[-1] = 0x80 >> bit % 8
    info = der.bit_string(bytes(octets), 7 - bit % 8)
    return der.sequence(der.sequence(der.integer(2), info))
