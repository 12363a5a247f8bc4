"""Certificates: read as the library reads them, and refused where it or RFC 5280 refuses."""

import base64
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.verify.certificates import CODE_SIGNING, build, new_key, spki
from tests.verify.mint import NAME, Mint
from touchplate.errors import MalformedError, VerificationError
from touchplate.formats.certificate import (
    MAX_FORM_BYTES,
    MAX_FORMS,
    PRECERT_POISON,
    SCT_LIST,
    Certificate,
    CertificateReader,
    parse_certificate,
    parse_pem_certificates,
)
from touchplate.formats.element import DerError, encode, expect, oid_octets
from touchplate.formats.standard_extensions import AlternativeName, BasicConstraints

MINT = Mint.new(5000)
# One in 128 has a serial number that begins with a zero octet, which has no short way.
LEAF = next(leaf for leaf in iter(MINT.leaf, None) if parse_certificate(leaf.der).serial_bytes[0])
BEGINS = f"{parse_certificate(LEAF.der).not_before:%y%m%d%H%M%SZ}".encode()


def malformed(der: bytes) -> str:
    """Give the message with which the bytes are refused."""
    with pytest.raises(MalformedError) as caught:
        parse_certificate(der)
    assert caught.value.code == "CERTIFICATE_MALFORMED"
    return caught.value.message


def certificates(folder: Path) -> Iterator[bytes]:
    """Give every certificate in the conformance suite and the public trusted root."""
    seen: set[str] = set()
    for path in sorted(folder.rglob("*.json")):
        try:
            waiting: list[Any] = [json.loads(path.read_bytes())]
        except ValueError:
            continue
        while waiting:
            item = waiting.pop()
            if isinstance(item, dict):
                waiting.extend(item.values())
                raw = item.get("rawBytes")
                if isinstance(raw, str) and raw.startswith("MII") and "keyDetails" not in item:
                    seen.add(raw)
            elif isinstance(item, list):
                waiting.extend(item)
    for raw in sorted(seen):
        yield base64.b64decode(raw)


def agree(ours: Certificate, theirs: x509.Certificate) -> None:
    """Require that both readings are the same."""
    assert ours.tbs == theirs.tbs_certificate_bytes
    assert ours.signature == theirs.signature
    assert ours.serial == theirs.serial_number
    assert ours.issuer_der == theirs.issuer.public_bytes()
    assert ours.subject_der == theirs.subject.public_bytes()
    assert ours.not_before == theirs.not_valid_before_utc
    assert ours.not_after == theirs.not_valid_after_utc
    extensions = {oid_octets(e.oid.dotted_string): e.critical for e in theirs.extensions}
    assert {oid: e.critical for oid, e in ours.extensions.items()} == extensions
    if SCT_LIST in extensions:
        assert ours.tbs_without(SCT_LIST) == theirs.tbs_precertificate_bytes


def test_real_certificates(conformance: Path) -> None:
    """Every real certificate reads as the library reads it."""
    count = 0
    for der in certificates(conformance):
        ours = parse_certificate(der)
        theirs = x509.load_der_x509_certificate(der)
        agree(ours, theirs)
        assert ours.pem() == theirs.public_bytes(Encoding.PEM).decode()
        count += 1
    assert count > 20


def test_leaf() -> None:
    """A signer's certificate has its identity, purpose, usage and key."""
    leaf = parse_certificate(LEAF.der)

    assert leaf.alternative_names == (AlternativeName("email", NAME),)
    assert leaf.key_usage == frozenset({"digitalSignature"})
    assert leaf.extended_key_usage == ("1.3.6.1.5.5.7.3.3",)
    assert leaf.basic_constraints is None
    assert leaf.public_key.spki == spki(LEAF.key)
    assert leaf == parse_certificate(LEAF.der)
    assert leaf != parse_certificate(MINT.ca.der)
    assert len({leaf, parse_certificate(LEAF.der)}) == 1


def test_authority() -> None:
    """An authority's constraints and usage are read."""
    ca = parse_certificate(MINT.ca.der)

    assert ca.basic_constraints == BasicConstraints(is_ca=True, path_length=0)
    assert ca.key_usage == frozenset({"keyCertSign", "cRLSign"})
    assert not ca.is_self_issued
    assert parse_certificate(MINT.root.der).is_self_issued


def test_years() -> None:
    """Both forms of time are read: two digits up to 2049, four from 2050."""
    held = build(
        new_key("p256", 5102),
        "x",
        None,
        begins=datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC),
        ends=datetime(2050, 1, 1, tzinfo=UTC),
    )

    found = parse_certificate(held.der)
    assert (found.not_before.year, found.not_after.year) == (1999, 2050)


def test_without_an_extension() -> None:
    """Taking out one extension leaves all other octets; taking out the only one, no field."""
    poison = (x509.PrecertPoison(), True)
    two = parse_certificate(
        build(new_key("p256", 5103), "x", None, (CODE_SIGNING, False), poison).der
    )
    one = parse_certificate(build(new_key("p256", 5103), "x", None, poison).der)
    value = encode(
        0x30, bytes.fromhex("0603551d25") + encode(4, two.extensions[oid_octets("2.5.29.37")].value)
    )

    assert two.tbs_without(PRECERT_POISON).endswith(encode(0xA3, encode(0x30, value)))
    assert one.tbs_without(PRECERT_POISON).endswith(one.spki)


def spoiled(old: bytes, new: bytes, der: bytes = LEAF.der) -> bytes:
    """Give the certificate with one run of octets replaced by another of the same length."""
    assert der.count(old) >= 1
    assert len(old) == len(new)
    return der.replace(old, new, 1)


@pytest.mark.parametrize(
    "der",
    [
        b"",
        b"\x30",
        b"\x30\x80",
        b"\x30\x00",
        LEAF.der[:-1],
        LEAF.der + b"\x00",
        b"\x30\x83\x00" + LEAF.der[2:],
        spoiled(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x01"),
        spoiled(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x03"),
        spoiled(bytes.fromhex("0603551d0f0101ff"), bytes.fromhex("0603551d0f010101")),
        spoiled(bytes.fromhex("0603551d0f0101ff"), bytes.fromhex("0603551d0f010100")),
        spoiled(bytes.fromhex("0603551d25"), bytes.fromhex("0603551d0f")),
        spoiled(
            bytes.fromhex("300a06082a8648ce3d040302"), bytes.fromhex("300a06082a8648ce3d040303")
        ),
        spoiled(BEGINS, BEGINS.lower()),
        b"\x30\x82\xff\xff" + bytes(65_535),
    ],
)
def test_malformed(der: bytes) -> None:
    """What is not strict DER, or not a certificate, is refused."""
    assert malformed(der).startswith("certificate: ")


ALGORITHM = encode(0x30, encode(0x06, oid_octets("1.2.840.10045.4.3.2")))
MOMENT = encode(0x17, b"300101000000Z")
KEY_USAGE_ID = encode(0x06, oid_octets("2.5.29.15"))


def made(extensions: bytes | None = None, **parts: bytes) -> bytes:
    """Give a certificate made by hand, of the parts named and plain ones; its key is nothing."""
    plain = {
        "version": b"\xa0\x03\x02\x01\x02",
        "serial": b"\x02\x01\x01",
        "algorithm": ALGORITHM,
        "issuer": b"\x30\x00",
        "validity": encode(0x30, MOMENT + MOMENT),
        "subject": b"\x30\x00",
        "key": b"\x30\x00",
        "extensions": b"" if extensions is None else encode(0xA3, encode(0x30, extensions)),
        "outside": ALGORITHM,
        "signature": encode(0x03, b"\x00"),
    } | parts
    *signed, outside, signature = plain.values()
    return encode(0x30, encode(0x30, b"".join(signed)) + outside + signature)


def extension_of(*elements: bytes) -> bytes:
    """Give one extension made of these elements."""
    return encode(0x30, b"".join(elements))


@pytest.mark.parametrize(
    "extension", [b"\x06\x7f", b"\x06\x03\x55\x1d\x0f", b"\x06\x00", b"\x06", b""]
)
def test_cve_2026_40097_extension_cut_off(extension: bytes) -> None:
    """An extension that ends in its identifier, at the end of everything, is no crash."""
    malformed(made(encode(0x30, extension)))


@pytest.mark.parametrize(
    ("der", "reason"),
    [
        (made(outside=encode(0x30, encode(0x06, oid_octets("1.2.3")))), "not the same"),
        (made(signature=encode(0x03, b"")), "whole octets"),
        (made(signature=encode(0x03, b"\x01\x00")), "whole octets"),
        (made(serial=encode(0x02, b"\x01" * 41)), "serial"),
        (made(serial=b"\x02\x01\xff"), "serial"),
        (made(serial=b"\x02\x02\x00\x01"), "fewest"),
        (made(serial=b"\x02\x00"), "empty"),
        (made(validity=encode(0x30, MOMENT * 3)), "two times"),
        (made(validity=encode(0x30, MOMENT)), "beyond"),
        (made(validity=encode(0x30, encode(0x04, b"300101000000Z") + MOMENT)), "a time should"),
        (made(validity=encode(0x30, MOMENT + encode(0x18, b"300101000000Z"))), "of the form"),
        (made(encode(0x31, KEY_USAGE_ID + b"\x04\x00")), "tag"),
        (made(b"\x30\x08" + KEY_USAGE_ID + b"\x04\x01"), "beyond"),
        (made(extension_of(KEY_USAGE_ID, b"\x04\x00"), version=b""), "version 1"),
        (made(b""), "0 extensions"),
        (
            made(
                b"".join(extension_of(encode(0x06, b"\x2a%c" % i), b"\x04\x00") for i in range(65))
            ),
            "65 extensions",
        ),
        (made(extension_of(encode(0x02, b"\x55\x1d\x0f"), b"\x04\x00")), "identifier"),
        (made(extension_of(encode(0x06, b"\x2a" * 128), b"\x04\x00")), "identifier"),
        (made(extension_of(KEY_USAGE_ID, b"\x04\x00", b"\x05\x00")), "bytes after"),
        (made(extension_of(KEY_USAGE_ID, b"\x04\x02\x00")), "beyond"),
        (made(extension_of(KEY_USAGE_ID, b"\x05\x00")), "tag"),
        (made(extension_of(KEY_USAGE_ID, b"\x01\x01\xff")), "bytes end|tag|beyond"),
        (made(extension_of(KEY_USAGE_ID, b"\x01\x01\x00", b"\x04\x00")), "critical"),
        (made(extension_of(KEY_USAGE_ID, encode(0x04, bytes(65_536)))), "more than"),
    ],
)
def test_spoiled_structure(der: bytes, reason: str) -> None:
    """Each rule of the structure is broken alone."""
    assert re.search(reason, malformed(der))


def test_odd_structure() -> None:
    """What is odd and allowed: serial zero, one of forty octets, 64 extensions, a long value."""
    many = [extension_of(encode(0x06, b"\x2a%c" % i), b"\x04\x00") for i in range(64)]
    for der in (
        made(),
        made(version=b""),
        made(serial=b"\x02\x01\x00"),
        made(serial=encode(0x02, b"\x01" * 40)),
        made(b"".join(many)),
    ):
        assert parse_certificate(der).der == der
    for size in (127, 128, 129, 255, 256, 60_000):
        value = bytes(size)
        found = parse_certificate(made(extension_of(KEY_USAGE_ID, encode(0x04, value))))
        assert found.extensions[oid_octets("2.5.29.15")].value == value


def test_key_of_an_unknown_kind() -> None:
    """A certificate is readable although its key is not."""
    found = parse_certificate(
        spoiled(bytes.fromhex("2a8648ce3d0201"), bytes.fromhex("2a8648ce3d0209"))
    )

    with pytest.raises(VerificationError):
        _ = found.public_key


def test_pem() -> None:
    """A chain in PEM is read in order; what is not one is refused."""
    chain = LEAF.certificate.pem() + MINT.ca.certificate.pem()

    assert parse_pem_certificates(chain) == (LEAF.certificate, MINT.ca.certificate)
    assert parse_pem_certificates(f"\n{chain}\n") == parse_pem_certificates(chain)
    for text in (
        "",
        "x",
        f"x{chain}",
        chain[:-5],
        chain.replace("MII", "M!I", 1),
        chain * 9,
        chain.replace("-----BEGIN CERTIFICATE-----", ""),
        chain.partition("-----END")[0],
        f"{chain}x",
        chain.replace("-----END", "x-----END", 1),
    ):
        with pytest.raises(MalformedError):
            parse_pem_certificates(text)


@settings(max_examples=400)
@given(st.integers(0, 8 * len(LEAF.der) - 1))
def test_flipped_bit(bit: int) -> None:
    """With one bit changed, what we read the library reads too, and in the same way."""
    der = bytearray(LEAF.der)
    der[bit // 8] ^= 1 << bit % 8
    try:
        ours = parse_certificate(bytes(der))
    except MalformedError:
        return
    try:
        theirs = x509.load_der_x509_certificate(bytes(der))
        agree(ours, theirs)
    except (ValueError, TypeError, x509.UnsupportedGeneralNameType):
        # It reads names and extensions eagerly, which we keep as bytes until they are asked for.
        return


@given(st.binary(max_size=200))
def test_noise(data: bytes) -> None:
    """Noise is refused with our own error."""
    with pytest.raises(MalformedError):
        parse_certificate(data)


READ_AT_ONCE = (
    *("der", "tbs", "version", "serial_bytes", "signature_algorithm", "issuer_der", "subject_der"),
    *("not_before", "not_after", "spki", "critical", "signature", "extensions", "_places"),
)


def reading(reader: CertificateReader, der: bytes) -> tuple[Any, ...] | str:
    """Give all that a reader read, or the reason for which it refused."""
    try:
        found = reader.read(der)
    except DerError as error:
        return str(error)
    return tuple(getattr(found, name) for name in READ_AT_ONCE)


def knowing(der: bytes) -> CertificateReader:
    """Give a reader that knows the form of this certificate."""
    reader = CertificateReader()
    reader.read(der)
    reader.read(der)
    assert all(reader._forms.values())
    return reader


def is_of_a_form(reader: CertificateReader, der: bytes) -> bool:
    """Say whether the reader takes the short way: then the form that it has stays."""
    forms = dict(reader._forms)
    reader.read(der)
    return all(forms.get(name) is form for name, form in reader._forms.items())


@given(st.data())
def test_alike(data: st.DataObject) -> None:
    """A certificate with changed octets reads as it does for who knows no form."""
    changed = bytearray(LEAF.der)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(changed) - 1))
        changed[place] = data.draw(st.sampled_from([0, 0x30, 0x31, 0x7F, 0x80, 0xFF])) or (
            changed[place] ^ 1
        )
    der = bytes(changed)
    assert reading(knowing(LEAF.der), der) == reading(CertificateReader(), der)


def test_each_octet_alike() -> None:
    """No octet may change unseen: after each, both ways read the same, or refuse the same."""
    reader = CertificateReader()
    reader.read(LEAF.der)
    for place in range(len(LEAF.der)):
        for other in (0, 0x80, 0xFF, LEAF.der[place] ^ 1):
            der = LEAF.der[:place] + bytes((other,)) + LEAF.der[place + 1 :]
            reader.read(LEAF.der)
            assert reading(reader, der) == reading(CertificateReader(), der), (place, other)


def test_alike_is_other_values() -> None:
    """Certificates of one form keep their own number, times, key, extensions and signature."""
    der = bytearray(LEAF.der)
    leaf = parse_certificate(LEAF.der)
    places = [
        der.index(leaf.serial_bytes) + len(leaf.serial_bytes) - 1,
        der.index(BEGINS) + 11,  # the last digit of the seconds
        der.index(leaf.spki) + len(leaf.spki) - 1,
        leaf.extensions[oid_octets("2.5.29.17")].stop - 1,
        len(der) - 1,
    ]
    for place in places:
        der[place] = ord("1") if chr(der[place]) == "0" else ord("0")
    reader = knowing(LEAF.der)
    assert is_of_a_form(reader, bytes(der))
    other = reading(reader, bytes(der))
    assert other == reading(CertificateReader(), bytes(der))
    first = reading(reader, LEAF.der)
    same = {name for name, a, b in zip(READ_AT_ONCE, first, other, strict=True) if a == b}
    fixed = {"version", "signature_algorithm", "issuer_der", "subject_der", "critical", "_places"}
    assert same == {*fixed, "not_after"}


def test_shared_extensions() -> None:
    """What the extensions say that a form shares is that of each certificate itself."""
    reader = knowing(LEAF.der)
    like = reader.read(LEAF.der)
    first = said(like)
    assert said(reader.read(LEAF.der)) == first
    for oid in ("2.5.29.15", "2.5.29.37"):
        extension = parse_certificate(LEAF.der).extensions[oid_octets(oid)]
        for place in range(extension.stop - len(extension.value), extension.stop):
            for bit in range(8):
                der = bytearray(LEAF.der)
                der[place] ^= 1 << bit
                reader.read(LEAF.der)
                assert not is_of_a_form(reader, bytes(der))
                assert said(reader.read(bytes(der))) == said(CertificateReader().read(bytes(der)))


def said(certificate: Certificate) -> list[object]:
    """Give what the extensions say that a verification asks for, or why they say nothing."""
    found: list[object] = []
    for name in ("basic_constraints", "key_usage", "extended_key_usage", "alternative_names"):
        try:
            found.append(getattr(certificate, name))
        except MalformedError as error:
            found.append(error.message)
    return found


@pytest.mark.parametrize("number", [b"\x80", b"\xff", b"\x00\x01", b"\x00\x00"])
def test_alike_with_an_odd_number(number: bytes) -> None:
    """A serial number below zero or padded is refused in a known form too."""
    leaf = parse_certificate(LEAF.der)
    at = LEAF.der.index(leaf.serial_bytes)
    der = LEAF.der[:at] + number + LEAF.der[at + len(number) :]
    found = reading(knowing(LEAF.der), der)
    assert isinstance(found, str)
    assert found == reading(CertificateReader(), der)


def test_alike_at_times_that_do_not_exist() -> None:
    """Nor is there a thirteenth month in a known form."""
    at = LEAF.der.index(BEGINS)
    der = LEAF.der[: at + 2] + b"13" + LEAF.der[at + 4 :]
    found = reading(knowing(LEAF.der), der)
    assert isinstance(found, str)
    assert found == reading(CertificateReader(), der)


def test_real_alike(conformance: Path) -> None:
    """Real certificates read the same at every sight."""
    reader = CertificateReader()
    known = 0
    for der in certificates(conformance):
        first = reading(CertificateReader(), der)
        assert [reading(reader, der) for _ in range(3)] == [first] * 3
        known += not isinstance(first, str)
    assert known > 10


def test_many_forms() -> None:
    """A reader forgets before it keeps too many forms, and keeps none of a large certificate."""
    reader = CertificateReader()
    seen = set()
    for size in range(1, MAX_FORMS + 40):
        name = encode(0x30, encode(0x06, oid_octets("1.3.9")) + encode(0x04, bytes(size)))
        der = with_extension(name)
        for _ in range(2):
            reader.read(der)
        seen.add(len(reader._forms))
        assert len(reader._forms) <= MAX_FORMS
    assert max(seen) == MAX_FORMS
    reader = CertificateReader()
    for size, kept in ((MAX_FORM_BYTES - len(LEAF.der) - 50, 1), (MAX_FORM_BYTES, 1)):
        der = with_extension(
            encode(0x30, encode(0x06, oid_octets("1.3.9")) + encode(0x04, bytes(size)))
        )
        reader.read(der)
        reader.read(der)
        assert len(reader._forms) == kept


def with_extension(extension: bytes) -> bytes:
    """Give the leaf with one more extension, unsigned."""
    leaf = parse_certificate(LEAF.der)
    content, field, first, end = leaf._places
    extensions = encode(0xA3, encode(0x30, leaf.der[first:end] + extension))
    _, stop = expect(leaf.der, 0, len(leaf.der), 0x30)
    tbs = encode(0x30, leaf.der[content:field] + extensions)
    return encode(0x30, tbs + leaf.der[end:stop])
