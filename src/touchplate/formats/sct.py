"""Signed certificate timestamps (RFC 6962 §3.2, §3.3): the list in a certificate, the bytes signed.

The structures of the log itself (leaves, tree heads) are in `ct.py`.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, NoReturn

from touchplate.errors import MalformedError
from touchplate.formats.element import OCTET_STRING, DerError, encode, expect_last

SHA256: Final = 4
RSA: Final = 1
ECDSA: Final = 3
MAX_SCTS: Final = 32
_FIXED: Final = 1 + 32 + 8  # version, log id, time


class SignedCertificateTimestamp(NamedTuple):
    """A log's promise of version 1. Nothing about it has been verified."""

    log_id: bytes
    """SHA-256 of the log key's SPKI."""
    timestamp_ms: int
    extensions: bytes
    hash_algorithm: int
    signature_algorithm: int
    signature: bytes


def parse_sct(data: bytes) -> SignedCertificateTimestamp:
    """One timestamp in TLS encoding. Raises MalformedError SCT_MALFORMED."""
    end = len(data)
    if end < _FIXED + 6:
        _refuse(f"{end} bytes are too few")
    if data[0] != 0:
        _refuse(f"version {data[0]}, only version 1 (0) is known")
    at = _FIXED + 2
    at += int.from_bytes(data[_FIXED:at], "big")
    if at + 4 > end or at + 4 + int.from_bytes(data[at + 2 : at + 4], "big") != end:
        _refuse("the lengths inside do not add up")
    log_id, timestamp_ms = data[1:33], int.from_bytes(data[33:41], "big")
    extensions = data[_FIXED + 2 : at]
    # As to call the class, in half the time.
    return tuple.__new__(
        SignedCertificateTimestamp,
        (log_id, timestamp_ms, extensions, data[at], data[at + 1], data[at + 4 :]),
    )


def parse_sct_list(value: bytes) -> tuple[SignedCertificateTimestamp, ...]:
    """The timestamps in the value of a certificate's extension 1.3.6.1.4.1.11129.2.4.2.

    Raises MalformedError SCT_MALFORMED: bad lengths, an empty list, or more than `MAX_SCTS`.
    """
    try:
        at, end = expect_last(value, 0, len(value), OCTET_STRING)
    except DerError as error:
        _refuse(str(error), error)
    if end - at < 2 or int.from_bytes(value[at : at + 2], "big") != end - at - 2:
        _refuse("the length of the list is not that of its bytes")
    at += 2
    found: list[SignedCertificateTimestamp] = []
    while at < end:
        size = int.from_bytes(value[at : at + 2], "big")
        at += 2
        if at + size > end:
            _refuse("an item goes on beyond the list")
        found.append(parse_sct(value[at : at + size]))
        at += size
    if not 1 <= len(found) <= MAX_SCTS:
        _refuse(f"a list of {len(found)}, where 1 to {MAX_SCTS} are allowed")
    return tuple(found)


def encode_sct(sct: SignedCertificateTimestamp) -> bytes:
    """The timestamp in TLS encoding."""
    return b"".join(
        (
            b"\x00",
            sct.log_id,
            sct.timestamp_ms.to_bytes(8, "big"),
            len(sct.extensions).to_bytes(2, "big"),
            sct.extensions,
            bytes((sct.hash_algorithm, sct.signature_algorithm)),
            len(sct.signature).to_bytes(2, "big"),
            sct.signature,
        )
    )


def encode_sct_list(scts: Sequence[SignedCertificateTimestamp]) -> bytes:
    """The value of the certificate extension that holds these timestamps."""
    items = b"".join(
        len(item).to_bytes(2, "big") + item for item in (encode_sct(sct) for sct in scts)
    )
    return encode(OCTET_STRING, len(items).to_bytes(2, "big") + items)


def signed_input_precert(
    timestamp_ms: int, extensions: bytes, issuer_key_hash: bytes, tbs: bytes
) -> bytes:
    """The bytes that a log signs for a precertificate, and its leaf (RFC 6962 §3.2, §3.4).

    `tbs` is the signed part of the certificate without the list of timestamps (or of the
    precertificate without the poison); `issuer_key_hash` is SHA-256 of the issuer's SPKI.
    """
    return b"".join(
        (
            b"\x00\x00",
            timestamp_ms.to_bytes(8, "big"),
            b"\x00\x01",
            issuer_key_hash,
            len(tbs).to_bytes(3, "big"),
            tbs,
            len(extensions).to_bytes(2, "big"),
            extensions,
        )
    )


def _refuse(reason: str, error: Exception | None = None) -> NoReturn:
    raise MalformedError("SCT_MALFORMED", f"signed certificate timestamps: {reason}") from error
