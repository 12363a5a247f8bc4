"""What the extensions of a certificate say: key usage, purposes, constraints, names."""

from collections.abc import Callable

import pytest
from cryptography import x509

from tests.verify.certificates import build, new_key, usage
from tests.verify.mint import NAME
from touchplate.errors import MalformedError
from touchplate.formats.certificate import parse_certificate
from touchplate.formats.element import encode
from touchplate.formats.standard_extensions import AlternativeName


@pytest.mark.parametrize(
    "names",
    [(), ("digital_signature",), ("key_agreement", "decipher_only"), ("crl_sign", "key_cert_sign")],
)
def test_key_usage(names: tuple[str, ...]) -> None:
    """Bits of key usage have the names of RFC 5280."""
    theirs = usage(*names)
    held = build(new_key("p256", 5101), "x", None, (theirs, True))
    spelled = {
        "digitalSignature": theirs.digital_signature,
        "nonRepudiation": theirs.content_commitment,
        "keyEncipherment": theirs.key_encipherment,
        "dataEncipherment": theirs.data_encipherment,
        "keyAgreement": theirs.key_agreement,
        "keyCertSign": theirs.key_cert_sign,
        "cRLSign": theirs.crl_sign,
        "decipherOnly": theirs.key_agreement and theirs.decipher_only,
    }

    expected = frozenset(name for name, is_set in spelled.items() if is_set)
    if names:
        assert parse_certificate(held.der).key_usage == expected


@pytest.mark.parametrize(
    ("oid", "value"),
    [
        ("2.5.29.15", b"\x03\x01\x00"),
        ("2.5.29.15", b"\x03\x02\x08\x80"),
        ("2.5.29.15", b"\x03\x02\x01\x81"),
        ("2.5.29.15", b"\x03\x02\x08\x00"),
        ("2.5.29.15", b"\x03\x02\xff\x00"),
        ("2.5.29.15", b"\x03\x04\x00\x80\x00\x00"),
        ("2.5.29.15", b"\x04\x02\x07\x80"),
        ("2.5.29.19", b"\x30\x03\x01\x01\x01"),
        ("2.5.29.19", b"\x30\x03\x01\x01\x00"),
        ("2.5.29.19", b"\x30\x03\x02\x01\x00"),
        ("2.5.29.19", b"\x30\x06\x01\x01\xff\x02\x01\xff"),
        ("2.5.29.37", b"\x30\x00"),
        ("2.5.29.37", b"\x30\x02\x06\x00"),
        ("2.5.29.37", b"\x30\x03\x06\x01\x80"),
        ("2.5.29.37", encode(0x30, encode(0x06, b"\xff" * 3000 + b"\x7f"))),
        ("2.5.29.17", b"\x30\x03\x81\x01\xff"),
        ("2.5.29.17", b"\x30\x03\x86\x02a"),
        ("2.5.29.17", b"\x31\x00"),
    ],
)
def test_malformed_extension(oid: str, value: bytes) -> None:
    """An extension is refused when it is asked for, if its value is not what it should be."""
    extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value)
    found = parse_certificate(build(new_key("p256", 5104), "x", None, (extension, False)).der)
    ask: dict[str, Callable[[], object]] = {
        "2.5.29.15": lambda: found.key_usage,
        "2.5.29.19": lambda: found.basic_constraints,
        "2.5.29.37": lambda: found.extended_key_usage,
        "2.5.29.17": lambda: found.alternative_names,
    }

    with pytest.raises(MalformedError) as caught:
        ask[oid]()
    assert caught.value.code == "CERTIFICATE_MALFORMED"


def test_names_that_are_no_identities() -> None:
    """Host names and addresses are passed over."""
    san = x509.SubjectAlternativeName([x509.DNSName("example.com"), x509.RFC822Name(NAME)])
    found = parse_certificate(build(new_key("p256", 5105), "x", None, (san, False)).der)

    assert found.alternative_names == (AlternativeName("email", NAME),)
