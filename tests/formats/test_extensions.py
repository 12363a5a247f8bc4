"""The table of Sigstore's certificate extensions."""

import pytest
from cryptography import x509
from cryptography.x509.oid import ObjectIdentifier

from tests.verify.certificates import build, new_key
from touchplate.errors import MalformedError
from touchplate.formats.certificate import Certificate, parse_certificate
from touchplate.formats.extensions import (
    BY_NAME,
    BY_NUMBER,
    EXTENSIONS,
    CertificateExtension,
    decode_extension,
    decode_extensions,
    decode_issuer,
    encode_extension,
)


def holding(*values: tuple[CertificateExtension, bytes]) -> Certificate:
    """Give a certificate with these values of extensions."""
    made = [
        (
            x509.UnrecognizedExtension(
                ObjectIdentifier(f"1.3.6.1.4.1.57264.1.{row.number}"), value
            ),
            False,
        )
        for row, value in values
    ]
    return parse_certificate(build(new_key("p256", 5200), "x", None, *made).der)


def test_numbers() -> None:
    """All numbers to 24 but the one that is no extension; the first six are bare text."""
    assert [row.number for row in EXTENSIONS] == [n for n in range(1, 25) if n != 7]
    assert [row.number for row in EXTENSIONS if row.is_raw] == [1, 2, 3, 4, 5, 6]
    assert len(BY_NAME) == len(BY_NUMBER) == len(EXTENSIONS)


def test_worked_example() -> None:
    """The two issuer extensions of the certificate specification."""
    issuer = "https://idp.example.com"

    assert encode_extension(BY_NUMBER[1], issuer).hex() == issuer.encode().hex()
    assert encode_extension(BY_NUMBER[8], issuer) == b"\x0c\x17" + issuer.encode()
    assert BY_NUMBER[8].oid.hex() == "2b0601040183bf300108"


def test_there_and_back() -> None:
    """Every extension is read as it was written."""
    texts = {row.name: f"value \u00e9 {row.number} " * row.number for row in EXTENSIONS}
    certificate = holding(*((row, encode_extension(row, texts[row.name])) for row in EXTENSIONS))

    assert decode_extensions(certificate) == texts
    assert decode_issuer(certificate) == texts["issuer"]


def test_issuer() -> None:
    """The second issuer extension counts before the first."""
    first, second = (BY_NUMBER[1], b"one"), (BY_NUMBER[8], b"\x0c\x03two")

    assert decode_issuer(holding(first)) == "one"
    assert decode_issuer(holding(second)) == decode_issuer(holding(first, second)) == "two"
    assert decode_issuer(holding()) is None


@pytest.mark.parametrize(
    ("number", "value"),
    [(1, b"\xff"), (8, b"two"), (8, b"\x0c\x04two"), (8, b"\x13\x03two"), (9, b"\x0c\x01\xff")],
)
def test_malformed(number: int, value: bytes) -> None:
    """A value in another encoding than the row's is refused."""
    with pytest.raises(MalformedError) as caught:
        decode_extension(holding((BY_NUMBER[number], value)), BY_NUMBER[number])
    assert caught.value.code == "CERTIFICATE_MALFORMED"


def test_no_empty_value() -> None:
    """An empty value is never written."""
    with pytest.raises(AssertionError):
        encode_extension(BY_NUMBER[9], "")
