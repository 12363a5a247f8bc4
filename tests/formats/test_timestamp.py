"""RFC 3161 responses."""

import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rfc3161_client import decode_timestamp_response

from tests.verify.certificates import NOW
from tests.verify.mint import Mint
from tests.verify.promises import HASH_IDS, oid, sequence, stamp
from touchplate.errors import MalformedError
from touchplate.formats.element import encode
from touchplate.formats.timestamp import (
    MAX_FORMS,
    TimestampReader,
    TimestampResponse,
    parse_timestamp_response,
)

MINT = Mint.new(7000)
GOOD = stamp(b"signature", MINT.tsa, certificates=[MINT.tsa.der])


def refused(der: bytes) -> str:
    """Give the message with which the bytes are refused."""
    with pytest.raises(MalformedError) as caught:
        parse_timestamp_response(der)
    assert caught.value.code == "TIMESTAMP_MALFORMED"
    return caught.value.message


def test_fields() -> None:
    """Everything that a verifier needs is there."""
    token = parse_timestamp_response(GOOD).token

    assert token is not None
    assert (token.at, token.imprint_algorithm) == (NOW, "sha256")
    assert token.policy_oid == "1.3.6.1.4.1.57264.2"
    assert token.certificates == (MINT.tsa.der,)
    assert token.signer.serial_bytes == MINT.tsa.certificate.serial_bytes
    assert token.signer.issuer_der == MINT.tsa.certificate.issuer_der
    assert token.signer.signed[:1] == b"\x31"


def real_responses(conformance: Path) -> Iterator[bytes]:
    """Give the timestamps of the conformance suite's bundles."""
    for path in sorted(conformance.rglob("bundle.sigstore.json")):
        try:
            material = json.loads(path.read_bytes())["verificationMaterial"]
        except (ValueError, KeyError):
            continue
        data = material.get("timestampVerificationData") or {}
        for item in data.get("rfc3161Timestamps", ()):
            yield base64.b64decode(item["signedTimestamp"])


def test_real_responses(conformance: Path) -> None:
    """Every real timestamp reads as rfc3161-client reads it."""
    count = 0
    for der in real_responses(conformance):
        ours = parse_timestamp_response(der).token
        try:
            theirs = decode_timestamp_response(der)
        except ValueError:
            continue  # it asks for sorted certificates, which one real authority has not
        assert ours is not None
        assert ours.at == theirs.tst_info.gen_time
        assert ours.imprint == theirs.tst_info.message_imprint.message
        assert ours.nonce == theirs.tst_info.nonce
        assert (
            int.from_bytes(ours.serial_bytes, "big", signed=True) == theirs.tst_info.serial_number
        )
        assert set(ours.certificates) == theirs.signed_data.certificates
        count += 1
    assert count > 20


@pytest.mark.parametrize(
    ("fraction", "microsecond"),
    [("", 0), (".5", 500_000), (".001", 1_000), (".123456789", 123_456)],
)
def test_fractions(fraction: str, microsecond: int) -> None:
    """A time is read to the microsecond."""
    token = parse_timestamp_response(stamp(b"x", MINT.tsa, fraction=fraction)).token

    assert token is not None
    assert token.at == NOW.replace(microsecond=microsecond)


@pytest.mark.parametrize("fraction", [".", ".50", ".0", ".1234567891", ",5", ".5 ", ".\u0665"])
def test_odd_fractions(fraction: str) -> None:
    """A fraction has no trailing zero, and digits only."""
    assert "time" in refused(stamp(b"x", MINT.tsa, fraction=fraction))


def test_times_that_do_not_exist() -> None:
    """A day has no hour 24 and a month no day 31 too many."""
    for old, new in ((b"20300601", b"20300631"), (b"20300601120000", b"20300601240000")):
        assert "time" in refused(GOOD.replace(old, new))


def test_status() -> None:
    """A refusal has no token, and only a refusal has none."""
    rejected = bytes.fromhex("3009300702010203020780")
    assert parse_timestamp_response(rejected).token is None
    assert parse_timestamp_response(rejected).status == 2
    assert "status" in refused(bytes.fromhex("30053003020100"))
    assert "status" in refused(GOOD.replace(b"\x30\x03\x02\x01\x00", b"\x30\x03\x02\x01\x02", 1))


@pytest.mark.parametrize(
    "der",
    [
        b"",
        b"\x30\x00",
        GOOD[:-1],
        GOOD + b"\x00",
        stamp(b"x", MINT.tsa, signers=0),
        stamp(b"x", MINT.tsa, signers=2),
        GOOD.replace(
            bytes.fromhex("06092a864886f70d010702"), bytes.fromhex("06092a864886f70d010703")
        ),
        GOOD.replace(
            bytes.fromhex("060b2a864886f70d0109100104"),
            bytes.fromhex("060b2a864886f70d0109100105"),
            1,
        ),
        GOOD.replace(b"\x02\x01\x03", b"\x02\x01\x01", 1),
        stamp(b"x", MINT.tsa, certificates=[b"\x30\x00"] * 17),
        b"\x30\x82\xff\xff" + bytes(65_535),
    ],
)
def test_malformed(der: bytes) -> None:
    """What is not one signer's SignedData over a TSTInfo is refused."""
    assert refused(der).startswith("timestamp: ")


def changed(name: str, place: int, *elements: bytes) -> bytes:
    """Give a response with one element of a structure replaced, dropped or, at its end, added."""

    def change(found: str, parts: list[bytes]) -> list[bytes]:
        return [*parts[:place], *elements, *parts[place + 1 :]] if found == name else parts

    return stamp(b"x", MINT.tsa, change=change)


UNKNOWN_HASH = sequence(oid("1.2.3.4"))
CONTENT_TYPE = sequence(oid("1.2.840.113549.1.9.3"), encode(0x31, oid("1.2.840.113549.1.9.16.1.4")))


@pytest.mark.parametrize(
    ("der", "reason"),
    [
        (changed("content", 0, b"\x02\x01\x02"), "TSTInfo of a version"),
        (changed("content", 2, sequence(UNKNOWN_HASH, encode(0x04, bytes(32)))), "hash algorithm"),
        (changed("attributes", 3, CONTENT_TYPE), "twice"),
        (
            changed(
                "attributes",
                3,
                *(sequence(oid(f"1.2.3.{i}"), encode(0x31, b"\x05\x00")) for i in range(30)),
            ),
            "too many",
        ),
        (changed("attributes", 0), "lack"),
        (changed("signer", 0, b"\x02\x01\x03"), "SignerInfo of version"),
        (changed("signer", 1, encode(0x80, bytes(20))), "SignerInfo of version"),
        (changed("signer", 2, UNKNOWN_HASH), "hash algorithm"),
        (changed("signer", 6, encode(0xA2, b"")), "tag"),
        (changed("data", 0, b"\x02\x01\x01"), "version other than 3"),
        (changed("data", 1, encode(0x31, sequence(oid(HASH_IDS["sha512"])))), "not among"),
        (changed("data", 4, encode(0x30, b"")), "list of signers"),
        (changed("data", 5, b"\x05\x00"), "list of signers"),
        (stamp(b"x", MINT.tsa, certificates=[encode(0x30, bytes(65_536))]), "more than"),
    ],
)
def test_spoiled_structure(der: bytes, reason: str) -> None:
    """Each rule of the structure is broken alone, and signed as it stands."""
    assert reason in refused(der)


def test_more_in_the_structure() -> None:
    """Certificates up to the limit, revocation lists and unsigned attributes are passed over."""
    many = stamp(b"x", MINT.tsa, certificates=[b"\x30\x00"] * 16)
    lists = changed("data", 3, encode(0xA1, b""))
    unsigned = changed("signer", 6, encode(0xA1, b""))

    for der in (many, lists, unsigned):
        assert parse_timestamp_response(der).token is not None


@pytest.mark.parametrize(
    "text",
    [
        b"20300601120000",
        b"20300601120000.5",
        b"20300601120000.5z",
        b"2030060112000.5Z",
        b"203006011200001.5Z",
        b"2030060112000x.5Z",
        b"20300601240000.5Z",
        b"20300601126000.5Z",
        b"20301301120000.5Z",
        b"20300601120000,5Z",
        b"20300601120000.5+0000",
        b"20300601120000.\xb2Z",
    ],
)
def test_odd_times(text: bytes) -> None:
    """A time has one form, and is one that exists."""
    assert "time" in refused(changed("content", 4, encode(0x18, text)))


@settings(max_examples=300)
@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_changed_octet(place: int, octet: int) -> None:
    """A response with one octet changed is read or refused, and never a crash."""
    der = bytearray(GOOD)
    der[place] = octet
    try:
        parse_timestamp_response(bytes(der))
    except MalformedError:
        return


@given(st.binary(max_size=200))
def test_noise(data: bytes) -> None:
    """Noise is refused with our own error."""
    refused(data)


def test_aware() -> None:
    """Times are aware, in UTC."""
    token = parse_timestamp_response(GOOD).token
    assert token is not None
    assert token.at.tzinfo is UTC
    assert token.at > datetime(2030, 1, 1, tzinfo=UTC)


def with_nonce(nonce: bytes, signed: bytes = b"signature") -> bytes:
    """Give a response with a nonce of these octets, and one more integer before it."""
    more = (encode(0x02, b"\x07"), encode(0x02, nonce))
    return stamp(
        signed,
        MINT.tsa,
        certificates=[MINT.tsa.der],
        change=lambda name, parts: [*parts, *more] if name == "content" else parts,
    )


def outcome(read: Callable[[bytes], TimestampResponse], der: bytes) -> object:
    """Give the response, or the code and the words of the error."""
    try:
        return read(der)
    except MalformedError as error:
        return error.code, error.message


def check_neighbours(first: bytes) -> None:
    """Require the strict answer to everything that differs from `first` in one octet."""
    reader = TimestampReader()
    reader.read(first)
    for place in range(len(first)):
        for mask in (0x01, 0x80, 0xFF):
            der = first[:place] + bytes((first[place] ^ mask,)) + first[place + 1 :]
            assert outcome(reader.read, der) == outcome(parse_timestamp_response, der), place
            reader.read(first)


@pytest.mark.slow
@pytest.mark.parametrize("first", [GOOD, with_nonce(b"\x11" * 8)])
def test_alike(first: bytes) -> None:
    """A reader that knows a form gives the strict answer to everything that is nearly of it."""
    check_neighbours(first)


@pytest.mark.slow
def test_real_alike(conformance: Path) -> None:
    """So it does for the forms of real authorities."""
    lengths = {len(der): der for der in real_responses(conformance)}
    assert len(lengths) > 3
    for der in list(lengths.values())[:3]:
        check_neighbours(der)


def test_alike_is_other_values() -> None:
    """Of another response of the form, its own values are read and not those of the first."""
    reader = TimestampReader()
    responses = [
        stamp(b"%d" % number, MINT.tsa, at=NOW + timedelta(seconds=number)) for number in range(60)
    ]
    for der in responses:
        response = reader.read(der)
        assert response == parse_timestamp_response(der)
        assert response.token is not None
    assert len(reader._forms) < 10  # so the others were of a form that was known


@pytest.mark.parametrize("nonce", [b"\x00\x7f" * 4, b"\xff\x80" * 4])
def test_alike_with_an_odd_nonce(nonce: bytes) -> None:
    """The rule for integers holds for a nonce in a known form too."""
    reader = TimestampReader()
    reader.read(with_nonce(b"\x11" * 8))
    with pytest.raises(MalformedError) as caught:
        reader.read(with_nonce(nonce))
    assert caught.value.code == "TIMESTAMP_MALFORMED"


def test_many_forms() -> None:
    """A reader keeps a bounded number of forms, whatever it is given."""
    reader = TimestampReader()
    for number in range(3 * MAX_FORMS):
        der = stamp(b"x", MINT.tsa, imprint=b"x" * number)
        assert reader.read(der) == parse_timestamp_response(der)
        assert len(reader._forms) <= MAX_FORMS


def test_refused_is_no_form() -> None:
    """A response without a token is read anew each time."""
    reader = TimestampReader()
    rejected = bytes.fromhex("30053003020102")
    for _ in range(2):
        assert reader.read(rejected) == TimestampResponse(2, None)
