"""One DER element at a time."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchplate.formats.element import (
    GENERALIZED_TIME,
    OCTET_STRING,
    UTC_TIME,
    DerError,
    element,
    encode,
    expect,
    expect_last,
    integer,
    oid_name,
    oid_octets,
    oid_text,
    time,
    utc_time,
)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65_535, 65_536])
def test_there_and_back(size: int) -> None:
    """What is encoded is read: short lengths and long ones."""
    data = encode(OCTET_STRING, bytes(size)) + b"rest"

    assert element(data, 0, len(data)) == (OCTET_STRING, len(data) - 4 - size, len(data) - 4)
    assert expect(data, 0, len(data), OCTET_STRING) == (len(data) - 4 - size, len(data) - 4)
    assert expect_last(data, 0, len(data) - 4, OCTET_STRING)[1] == len(data) - 4
    with pytest.raises(DerError):
        expect_last(data, 0, len(data), OCTET_STRING)


@pytest.mark.parametrize(
    "data",
    ["", "04", "0401", "0480", "04810100", "04817f" + "00" * 127, "0482000100", "0485000000000100",
     "1f0100", "0481"],
)  # fmt: skip
def test_not_der(data: str) -> None:
    """Lengths that are indefinite, too long or not in the fewest octets are refused."""
    octets = bytes.fromhex(data)
    for read in (
        lambda: element(octets, 0, len(octets)),
        lambda: expect(octets, 0, len(octets), OCTET_STRING),
        lambda: expect_last(octets, 0, len(octets), OCTET_STRING),
    ):
        with pytest.raises(DerError):
            read()


@pytest.mark.slow
@pytest.mark.parametrize("first", range(256))
def test_every_length(first: int) -> None:
    """What `expect` reads in place is what `element` reads, or refuses, of every header."""
    for rest in (
        "00",
        "01",
        "7f",
        "80",
        "81",
        "ff",
        "0000",
        "0001",
        "00ff",
        "0100",
        "017f",
        "8000",
    ):
        header = bytes((OCTET_STRING, first)) + bytes.fromhex(rest)
        for size in (0, 1, 127, 128, 129, 255, 256, 600):
            data = header + bytes(size)
            for end in (len(data), len(data) - 1, 3):
                assert reading(expect, data, end) == reading(element, data, end)


def reading(read: Callable[..., tuple[int, ...]], data: bytes, end: int) -> tuple[int, ...] | None:
    """Give where the content is, None if the element is refused."""
    try:
        found = read(data, 0, end, OCTET_STRING) if read is expect else read(data, 0, end)[1:]
    except DerError:
        return None
    return found


@pytest.mark.parametrize(
    "text", ["261123204249Z", "491231235959Z", "500101000000Z", "000229000000Z"]
)
@pytest.mark.parametrize("place", range(13))
def test_utc_time(text: str, place: int) -> None:
    """A UTCTime is read in the short way as `time` reads it, or refused as it refuses."""
    for other in (text[place], *"0123456789Z+ \x00\xb2"):
        changed = (text[:place] + other + text[place + 1 :]).encode("latin-1")
        try:
            expected = time(changed, UTC_TIME, 0, 13)
        except DerError:
            with pytest.raises(DerError):
                utc_time(changed, 0, 13)
        else:
            assert utc_time(changed, 0, 13) == expected


def test_ends_where_it_should() -> None:
    """An element that goes on beyond its place is refused, although there are octets there."""
    data = bytes.fromhex("0403010203")
    with pytest.raises(DerError):
        expect(data, 0, 4, OCTET_STRING)
    with pytest.raises(DerError):
        expect(data, 0, 1, OCTET_STRING)
    with pytest.raises(DerError):
        expect(data, 0, 5, 0x05)


@given(st.integers(-(2**80), 2**80))
def test_integer(number: int) -> None:
    """Integers are read as they are written, in the fewest octets."""
    size = (number.bit_length() if number >= 0 else (number + 1).bit_length()) // 8 + 1
    octets = number.to_bytes(size, "big", signed=True)
    assert integer(octets, 0, size) == number

    padded = (b"\xff" if number < 0 else b"\x00") + octets
    with pytest.raises(DerError):
        integer(padded, 0, size + 1)


@pytest.mark.parametrize("number", [0, 1, 127, 128, 255, 256, 32767, 32768, -1, -128, -129, -32768])
def test_integer_at_the_edges(number: int) -> None:
    """Where a further octet becomes needed, it is taken, and one more is not."""
    octets = number.to_bytes(
        (number if number >= 0 else ~number).bit_length() // 8 + 1, signed=True
    )
    assert integer(octets, 0, len(octets)) == number
    with pytest.raises(DerError):
        integer((b"\xff" if number < 0 else b"\x00") + octets, 0, len(octets) + 1)


def test_no_integer() -> None:
    """An integer has an octet."""
    with pytest.raises(DerError):
        integer(b"", 0, 0)


@pytest.mark.parametrize(
    ("tag", "text", "expected"),
    [
        (UTC_TIME, "491231235959Z", datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (UTC_TIME, "500101000000Z", datetime(1950, 1, 1, tzinfo=UTC)),
        (GENERALIZED_TIME, "20500101000000Z", datetime(2050, 1, 1, tzinfo=UTC)),
    ],
)
def test_time(tag: int, text: str, expected: datetime) -> None:
    """Times of both forms."""
    assert time(text.encode(), tag, 0, len(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2030010100000Z",
        "20300101000000",
        "20300101000000z",
        "20300101000000.5Z",
        "20300101240000Z",
        "20300101006000Z",
        "20300101000060Z",
        "20301301000000Z",
        "20300230000000Z",
        "00000101000000Z",
        "203001010000+0Z",
        "2030 101000000Z",
        "\u0662030010100000Z",
        "20300101000000+0000",
    ],
)
def test_no_time(text: str) -> None:
    """A time that does not exist, or is written in another way, is refused."""
    octets = text.encode()
    for tag in (UTC_TIME, GENERALIZED_TIME, OCTET_STRING):
        with pytest.raises(DerError):
            time(octets, tag, 0, len(octets))


@pytest.mark.parametrize(
    ("dotted", "octets"),
    [
        ("1.2.840.10045.4.3.2", "2a8648ce3d040302"),
        ("2.5.29.37.0", "551d2500"),
        ("1.3.6.1.4.1.57264.1.8", "2b0601040183bf300108"),
        ("2.999.3", "883703"),
        ("0.0", "00"),
    ],
)
def test_object_identifier(dotted: str, octets: str) -> None:
    """Object identifiers, there and back."""
    assert oid_octets(dotted).hex() == octets
    assert oid_text(bytes.fromhex(octets)) == oid_name(bytes.fromhex(octets)) == dotted


@pytest.mark.parametrize("octets", ["", "80", "8001", "2a80", "2a8001", "ff"])
def test_no_object_identifier(octets: str) -> None:
    """An arc that does not end or is padded is refused, and a message can still name it."""
    with pytest.raises(DerError):
        oid_text(bytes.fromhex(octets))
    assert oid_name(bytes.fromhex(octets)) == f"of octets {octets}"


def test_long_object_identifier() -> None:
    """An arc of thousands of bits is refused before it is computed with, and can be named."""
    octets = b"\xff" * 60_000 + b"\x7f"
    with pytest.raises(DerError):
        oid_text(octets)
    assert oid_name(octets) == "of octets " + "ff" * 40
    assert oid_text(b"\x2a" + b"\x81" * 62 + b"\x01").startswith("1.2.")
