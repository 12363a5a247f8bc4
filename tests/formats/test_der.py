from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from touchplate.errors import MalformedError
from touchplate.formats import der
from touchplate.formats.der import Reader


def refuse(data: bytes, read: Callable[[Reader], object]) -> None:
    """Hold that reading this fails, with the code that the reader was given."""
    with pytest.raises(MalformedError) as error:
        read(Reader(data, what="the request", code="TIMESTAMP_MALFORMED"))
    assert error.value.code == "TIMESTAMP_MALFORMED"
    assert error.value.message.startswith("the request: ")


@given(st.integers())
def test_integer(value: int) -> None:
    """Integers of any size and sign round-trip in the fewest octets."""
    encoded = der.integer(value)
    assert Reader(encoded).integer() == value
    content = Reader(encoded).read(der.INTEGER)
    assert content == value.to_bytes(max(1, value.bit_length() // 8 + 1), "big", signed=True) or (
        value < 0 and len(content) <= value.bit_length() // 8 + 1
    )


@pytest.mark.parametrize("content", ["", "0001", "007f", "ff80", "ffff"])
def test_integer_not_der(content: str) -> None:
    """An integer with an octet too many, or none, is refused."""
    refuse(der.tlv(der.INTEGER, bytes.fromhex(content)), Reader.integer)


@given(st.binary(max_size=70_000))
def test_octets(content: bytes) -> None:
    """A length has its one form, short or long."""
    reader = Reader(der.octet_string(content))
    assert reader.octets() == content
    reader.finish()


@pytest.mark.parametrize(
    "data",
    [
        "", "04", "0401", "0480", "048001", "048101" + "00", "04817f" + "00" * 127,
        "04820001" + "00", "0485" + "0000000001" + "00", "04ff", "048401000000", "1f0400", "bf2000",
    ],
)  # fmt: skip
def test_headers(data: str) -> None:
    """Indefinite, overlong and cut off lengths and long tags are refused, at every entrance."""
    for read in (Reader.element, Reader.raw, Reader.octets, Reader.enter, Reader.time):
        refuse(bytes.fromhex(data), read)


def test_structure() -> None:
    """A structure is read in its order, and what is left over is noticed."""
    data = der.sequence(
        der.oid("1.3.6.1.4.1.57264.1.1"),
        der.explicit(0, der.boolean(True)),
        der.implicit(1, der.octet_string(b"x")),
        der.null(),
        der.bit_string(b"bits"),
        der.utf8_string("é"),
    )
    outer = Reader(data)
    reader = outer.enter()
    assert outer.done()
    assert reader.oid() == "1.3.6.1.4.1.57264.1.1"
    assert reader.enter_optional(der.context(5)) is None
    explicit = reader.enter_optional(der.context(0))
    assert explicit is not None
    assert explicit.boolean() is True
    assert reader.peek() == der.context(1, constructed=False)
    assert reader.octets(der.context(1, constructed=False)) == b"x"
    reader.null()
    assert reader.bits() == b"bits"
    with pytest.raises(MalformedError):
        reader.finish()
    assert reader.text() == "é"
    assert reader.peek() == -1
    reader.finish()


def test_other_tag() -> None:
    """An element of another tag is refused and stays the next one."""
    reader = Reader(der.integer(5))
    with pytest.raises(MalformedError, match="expected tag 0x04, found 0x02"):
        reader.octets()
    with pytest.raises(MalformedError):
        reader.raw(der.OCTET_STRING)
    assert reader.raw(der.INTEGER) == der.integer(5)


def test_inner_element_reaches_out() -> None:
    """An element may not reach past the end of the one that it lies in."""
    inner = Reader(bytes.fromhex("3003020201" + "01")).enter()
    with pytest.raises(MalformedError, match="past the end"):
        inner.integer()


def test_boolean_and_bits() -> None:
    """BOOLEAN is 00 or ff; a BIT STRING here is of whole octets; a NULL is empty."""
    assert Reader(der.boolean(False)).boolean() is False
    refuse(bytes.fromhex("010101"), Reader.boolean)
    refuse(bytes.fromhex("0100"), Reader.boolean)
    refuse(bytes.fromhex("0300"), Reader.bits)
    refuse(bytes.fromhex("03020780"), Reader.bits)
    refuse(bytes.fromhex("050100"), lambda reader: reader.null())
    refuse(bytes.fromhex("0c01ff"), Reader.text)


@given(
    st.tuples(st.sampled_from([0, 1]), st.integers(0, 39))
    | st.tuples(st.just(2), st.integers(0, 2**40)),
    st.lists(st.integers(0, 2**40), max_size=6),
)
def test_oid(first: tuple[int, int], rest: list[int]) -> None:
    """Object identifiers round-trip, the second number under 2 being unbounded."""
    dotted = ".".join(map(str, (*first, *rest)))
    assert Reader(der.oid(dotted)).oid() == dotted


@pytest.mark.parametrize("content", ["", "80", "2a80", "2a8001", "81" * 65 + "01"])
def test_not_oid(content: str) -> None:
    """Cut off, padded and overlong object identifiers are refused."""
    refuse(der.tlv(der.OID, bytes.fromhex(content)), Reader.oid)


def test_set_of() -> None:
    """The elements of a SET OF are sorted."""
    assert der.set_of([b"\x04\x01b", b"\x02\x01\x05", b"\x04\x01a"]).hex() == (
        "3109" + "020105" + "040161" + "040162"
    )


def test_strings_of_certificates() -> None:
    """Names are written as PrintableString and IA5String, and nothing but ASCII fits."""
    assert der.printable_string("US") == bytes.fromhex("13025553")
    assert der.ia5_string("a@b") == bytes.fromhex("1603614062")
    with pytest.raises(UnicodeEncodeError):
        der.ia5_string("é")


times = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30))  # noqa: DTZ001


@given(times)
def test_generalized_time(naive: datetime) -> None:
    """A GeneralizedTime keeps the microseconds, and has no zeros at its end."""
    time = naive.replace(tzinfo=UTC)
    encoded = der.generalized_time(time)
    assert Reader(encoded).time() == time
    assert not encoded.endswith((b".Z", b"0Z")) or not time.microsecond
    shifted = time.astimezone(timezone(timedelta(hours=5)))
    assert der.generalized_time(shifted) == encoded


@pytest.mark.parametrize("year", [1950, 1999, 2000, 2049])
def test_utc_time(year: int) -> None:
    """A UTCTime stands for the years 1950 to 2049."""
    time = datetime(year, 2, 28, 23, 59, 58, tzinfo=UTC)
    assert Reader(der.utc_time(time)).time() == time
    with pytest.raises(AssertionError):
        der.utc_time(time.replace(year=2050 if year > 1999 else 1949))


def test_certificate_time() -> None:
    """Certificates change to GeneralizedTime in 2050, and have whole seconds."""
    late = datetime(2050, 1, 1, 0, 0, 0, 5, tzinfo=UTC)
    assert der.certificate_time(late) == b"\x18\x0f20500101000000Z"
    assert der.certificate_time(late.replace(year=2049)) == b"\x17\x0d490101000000Z"
    with pytest.raises(AssertionError):
        der.certificate_time(datetime(2049, 1, 1))  # noqa: DTZ001 - that is the case


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        (0x18, "20300101000000"), (0x18, "20300101000000.0Z"), (0x18, "20300101000000.Z"),
        (0x18, "20300101000000.10Z"), (0x18, "20300101000000+0000"), (0x18, "203001010000Z"),
        (0x18, "20300231000000Z"), (0x18, "20300101240000Z"), (0x18, "20300101000060Z"),
        (0x18, "00000101000000Z"), (0x18, "300101000000Z"), (0x18, "2030010100000 Z"),
        (0x17, "20300101000000Z"), (0x17, "3001010000Z"), (0x17, "300101000000.5Z"),
        (0x04, "20300101000000Z"), (0x18, ""),
    ],
)  # fmt: skip
def test_not_time(tag: int, text: str) -> None:
    """Local times, other precision and days that do not exist are refused."""
    refuse(der.tlv(tag, text.encode()), Reader.time)


@given(st.binary(max_size=60))
def test_garbage(data: bytes) -> None:
    """Whatever is read from garbage is a value or our error."""
    for read in (
        Reader.integer, Reader.boolean, Reader.oid, Reader.bits, Reader.time, Reader.text,
        Reader.element, Reader.raw, Reader.enter, Reader.null,
    ):  # fmt: skip
        for start in range(min(len(data), 3)):
            try:
                read(Reader(data, start=start))
            except MalformedError as error:
                assert error.code == "DER_MALFORMED"  # noqa: PT017 - some garbage is DER


def test_reads_a_certificate() -> None:
    """A certificate of another maker is read to its end, and written again byte for byte."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    start = datetime(2030, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 77, start, start + timedelta(days=1))
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )

    def copy(data: bytes) -> bytes:
        reader, parts = Reader(data), []
        while not reader.done():
            tag, content = reader.element()
            parts.append(der.tlv(tag, copy(content) if tag & der.CONSTRUCTED else content))
        return b"".join(parts)

    assert copy(certificate) == certificate
    tbs = Reader(certificate).enter().enter()
    assert tbs.enter(der.context(0)).integer() == 2
    assert tbs.integer() == 77


def test_tag_number() -> None:
    """Context tags above 30 have a longer form, which we do not write."""
    with pytest.raises(AssertionError):
        der.context(31)
