"""Timestamp requests: DER and JSON, limits, and what is malformed."""

import hashlib
import json
from base64 import b64encode
from contextlib import suppress

import pytest
import rfc3161_client
from hypothesis import given
from hypothesis import strategies as st

from touchplate.errors import MalformedError
from touchplate.formats import timestamp_request
from touchplate.formats.timestamp_request import (
    HASH_OIDS,
    TimestampRequest,
    encode_timestamp_request,
    is_oid,
    parse_json_request,
    parse_timestamp_request,
)

DIGEST = hashlib.sha256(b"example signature bytes").digest()
EXAMPLE = TimestampRequest("sha256", DIGEST, None, 0x1122334455667788, wants_certificates=True)
EXAMPLE_DER = bytes.fromhex(
    "30430201013031300d0609608648016503040201050004209a68ee19b28bcddef1da4964977ae0a070eafb5ccfcb"
    "b300b03d4fb9f1ebbfd6020811223344556677880101ff"
)
EXAMPLE_JSON = {
    "artifactHash": "mmjuGbKLzd7x2klkl3rgoHDq+1zPy7MAsD1PufHrv9Y=",
    "hashAlgorithm": "sha256",
    "certificates": True,
    "nonce": 1234605616436508552,
}

requests = st.builds(
    TimestampRequest,
    st.sampled_from(sorted(HASH_OIDS)),
    st.binary(max_size=64),
    st.none() | st.sampled_from(["1.3.6.1.4.1.57264.2", "2.999.1", "0.39"]),
    st.none() | st.integers(-(2**200), 2**200),
    st.booleans(),
    st.none() | st.binary(max_size=20).map(lambda data: bytes((0xA0, len(data))) + data),
)


def test_worked_example() -> None:
    """The published request is read and written byte for byte, and its JSON says the same."""
    assert parse_timestamp_request(EXAMPLE_DER) == EXAMPLE
    assert encode_timestamp_request(EXAMPLE) == EXAMPLE_DER
    assert parse_json_request(json.dumps(EXAMPLE_JSON).encode()) == EXAMPLE


@given(requests)
def test_round_trip(request: TimestampRequest) -> None:
    """What is written is read again."""
    assert parse_timestamp_request(encode_timestamp_request(request)) == request


def test_as_another_library_asks() -> None:
    """A request of rfc3161-client is read."""
    built = rfc3161_client.TimestampRequestBuilder().data(b"x").build()
    request = parse_timestamp_request(built.as_bytes())

    assert request.nonce == built.nonce
    assert request.wants_certificates
    assert request.digest == hashlib.new(request.hash_name, b"x").digest()


def test_absent_parameters() -> None:
    """The hash algorithm's parameters may be left out."""
    data = EXAMPLE_DER.replace(
        bytes.fromhex("300d06096086480165030402010500"), bytes.fromhex("300b0609608648016503040201")
    )
    shorter = bytes((0x30, 0x41, *data[2:5], 0x30, 0x2F, *data[7:]))

    assert parse_timestamp_request(shorter) == EXAMPLE


@given(st.integers(0, len(EXAMPLE_DER) - 1), st.integers(0, 7))
def test_flipped_bit(place: int, bit: int) -> None:
    """A request with one bit changed says something else or is malformed."""
    data = bytearray(EXAMPLE_DER)
    data[place] ^= 1 << bit
    with suppress(MalformedError):
        # Only the version, which nobody looks at, may change without a trace.
        assert parse_timestamp_request(bytes(data)) != EXAMPLE or place == 4


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """Any bytes are a request or malformed, in both forms."""
    for parse in (parse_timestamp_request, parse_json_request):
        try:
            parse(data)
        except MalformedError:
            continue


@pytest.mark.parametrize(
    "data",
    [
        EXAMPLE_DER + b"\0",
        EXAMPLE_DER[:-1],
        EXAMPLE_DER.replace(bytes.fromhex("0500"), bytes.fromhex("0101")),
        EXAMPLE_DER.replace(bytes.fromhex("0609608648016503040201"), b"\x06\x09" + b"\x01" * 9),
        b"\x30\x84\xff\xff\xff\xff",
        encode_timestamp_request(TimestampRequest("sha256", DIGEST, nonce=1 << 9000)),
        b"\x30" * 100_000,
    ],
)
def test_malformed(data: bytes) -> None:
    """Bytes left over, cut off, parameters, unknown hashes and huge nonces are refused."""
    with pytest.raises(MalformedError):
        parse_timestamp_request(data)


def test_cve_2025_66564_large_request() -> None:
    """A request that is larger than any honest one is refused before it is read."""
    with pytest.raises(MalformedError):
        parse_timestamp_request(b"\x30\x83\x10\0\0" + bytes(1 << 20))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"artifactHash": None}, "TIMESTAMP_MALFORMED"),
        ({"artifactHash": "@@"}, "TIMESTAMP_MALFORMED"),
        ({"artifactHash": 7}, "TIMESTAMP_MALFORMED"),
        ({"hashAlgorithm": "md5"}, "ALGORITHM_REFUSED"),
        ({"hashAlgorithm": None}, "TIMESTAMP_MALFORMED"),
        ({"nonce": "7"}, "TIMESTAMP_MALFORMED"),
        ({"nonce": 1.5}, "TIMESTAMP_MALFORMED"),
        ({"nonce": True}, "TIMESTAMP_MALFORMED"),
        ({"certificates": 1}, "TIMESTAMP_MALFORMED"),
        ({"tsaPolicyOID": 7}, "TIMESTAMP_MALFORMED"),
        ({"padding": "x" * 1024}, "LIMIT_EXCEEDED"),
    ],
)
def test_malformed_json(changes: dict[str, object], code: str) -> None:
    """A JSON request whose fields are of another type, or too large a one, is refused."""
    with pytest.raises(MalformedError) as caught:
        parse_json_request(json.dumps(EXAMPLE_JSON | changes).encode())

    assert caught.value.code == code


def test_json_leniency() -> None:
    """Case of the hash, unknown fields and null are no faults; a large nonce keeps all digits."""
    value = {
        "artifactHash": b64encode(DIGEST).decode(),
        "hashAlgorithm": "SHA256",
        "nonce": 10**200,
        "tsaPolicyOID": "",
        "certificates": None,
        "more": [1],
    }
    request = parse_json_request(json.dumps(value).encode())

    assert request == TimestampRequest("sha256", DIGEST, None, 10**200)


@pytest.mark.parametrize(
    "text", ["1.2", "2.999.3", "0.39.0", "1.3.6.1.4.1.57264.2", "1" + ".1" * 127]
)
def test_oids(text: str) -> None:
    """These are object identifiers."""
    assert is_oid(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "3.1",
        "1.40",
        "1.02",
        "1..2",
        "1.2.",
        ".1.2",
        "a.b",
        "1.-2",
        "1" + ".1" * 128,
        "1.٢",
    ],
)
def test_no_oids(text: str) -> None:
    """These are not, or have too many components."""
    assert not is_oid(text)


usual = st.builds(
    lambda name, nonce, wants: encode_timestamp_request(
        TimestampRequest(name, hashlib.new(name, b"x").digest(), None, nonce, wants)
    ),
    st.sampled_from(["sha256", "sha384", "sha512"]),
    st.none() | st.integers(-(2**300), 2**300),
    st.booleans(),
)


@given(usual, st.data())
def test_usual_as_any(data: bytes, draw: st.DataObject) -> None:
    """The short way to read what clients send gives what the long way gives, or leaves it to it."""
    assert timestamp_request._parse_usual(data) in (None, timestamp_request._parse_any(data))
    place = draw.draw(st.integers(0, len(data) - 1))
    changed = bytearray(data)
    changed[place] = draw.draw(st.integers(0, 255))
    cut = draw.draw(st.sampled_from([0, 0, 1, 3]))
    altered = bytes(changed)[: len(data) - cut] + draw.draw(st.binary(max_size=3))
    found = timestamp_request._parse_usual(altered)
    if found is not None:
        assert found == timestamp_request._parse_any(altered)


def test_usual_is_taken() -> None:
    """What the reference client sends goes the short way."""
    assert timestamp_request._parse_usual(EXAMPLE_DER) == EXAMPLE
