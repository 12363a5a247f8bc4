"""Signed certificate timestamps."""

import base64
import json
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from touchplate.errors import MalformedError
from touchplate.formats.certificate import SCT_LIST, parse_certificate
from touchplate.formats.element import encode
from touchplate.formats.sct import (
    SignedCertificateTimestamp,
    encode_sct,
    encode_sct_list,
    parse_sct,
    parse_sct_list,
    signed_input_precert,
)

GOOD = SignedCertificateTimestamp(
    log_id=sha256(b"log").digest(),
    timestamp_ms=1_893_456_000_123,
    extensions=bytes.fromhex("0000050000000007"),
    hash_algorithm=4,
    signature_algorithm=3,
    signature=b"signature",
)


def test_there_and_back() -> None:
    """What is written is read, alone and in a list."""
    plain = SignedCertificateTimestamp(bytes(32), 0, b"", 4, 1, b"")

    assert parse_sct(encode_sct(GOOD)) == GOOD
    assert parse_sct_list(encode_sct_list([GOOD, plain])) == (GOOD, plain)


def test_layout() -> None:
    """The fields lie where RFC 6962 puts them."""
    data = encode_sct(GOOD)

    assert data[:1] == b"\x00"
    assert data[1:33] == GOOD.log_id
    assert int.from_bytes(data[33:41], "big") == 1_893_456_000_123
    assert data[41:51].hex() == "00080000050000000007"
    assert data[51:] == b"\x04\x03\x00\x09signature"


def test_signed_input() -> None:
    """The bytes that a log signs for a precertificate."""
    found = signed_input_precert(1, b"ext", bytes(32), b"tbs")

    assert found == b"\0\0" + bytes(7) + b"\1" + b"\0\1" + bytes(32) + b"\0\0\3tbs" + b"\0\3ext"


def test_real_lists(conformance: Path) -> None:
    """A real certificate's list reads as the library reads it."""
    path = (
        conformance / "bundle-verify" / "bundle-with-sct-with-extensions" / "bundle.sigstore.json"
    )
    material = json.loads(path.read_bytes())["verificationMaterial"]
    der = base64.b64decode(material["certificate"]["rawBytes"])
    [ours] = parse_sct_list(parse_certificate(der).extensions[SCT_LIST].value)
    certificate = x509.load_der_x509_certificate(der)
    found = certificate.extensions.get_extension_for_class(
        x509.PrecertificateSignedCertificateTimestamps
    )
    [theirs] = found.value

    assert ours.log_id == theirs.log_id
    assert ours.extensions == theirs.extension_bytes != b""
    assert ours.signature == theirs.signature
    assert ours.timestamp_ms == int(theirs.timestamp.timestamp()) * 1000 + (
        theirs.timestamp.microsecond // 1000
    )


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\x04\x00",
        b"\x04\x02\x00\x00",
        b"\x04\x02\x00\x01",
        b"\x04\x03\x00\x01\x00",
        b"\x04\x04\x00\x02\x00\x05",
        encode_sct_list([GOOD])[:-1],
        encode_sct_list([GOOD]) + b"\x00",
        encode_sct_list([GOOD] * 33),
        encode_sct_list([GOOD]).replace(b"\x04\x03\x00\x09", b"\x04\x03\x00\x08"),
        encode_sct_list([GOOD]).replace(GOOD.log_id[:4], b"\x01" + GOOD.log_id[1:4], 1)[:-9],
    ],
)
def test_malformed(value: bytes) -> None:
    """Lengths must add up; a list is not empty, and not endless."""
    with pytest.raises(MalformedError) as caught:
        parse_sct_list(value)
    assert caught.value.code == "SCT_MALFORMED"


@pytest.mark.parametrize(("listed", "item"), [(1, 0), (-1, 0), (0, 1), (0, 300)])
def test_lengths_that_are_not(listed: int, item: int) -> None:
    """The length of the list, and of an item, are those of the bytes, though the rest would do."""
    one = encode_sct(GOOD)
    body = (len(one) + item).to_bytes(2, "big") + one
    value = encode(0x04, (len(body) + listed).to_bytes(2, "big") + body)

    with pytest.raises(MalformedError) as caught:
        parse_sct_list(value)
    assert caught.value.code == "SCT_MALFORMED"
    assert len(parse_sct_list(encode_sct_list([GOOD] * 32))) == 32


def test_version() -> None:
    """Only version 1 is known."""
    with pytest.raises(MalformedError):
        parse_sct(b"\x01" + encode_sct(GOOD)[1:])


@given(st.binary(max_size=120))
def test_noise(data: bytes) -> None:
    """Noise is refused with our own error, or is a timestamp that is written the same again."""
    try:
        found = parse_sct(data)
    except MalformedError:
        return
    assert encode_sct(found) == data
