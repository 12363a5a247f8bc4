"""The parts of certificates that we build; whole ones are in tests/ca and tests/tsa."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from touchplate.errors import MalformedError, SettingsError
from touchplate.formats import certificate_builder as build
from touchplate.formats.certificate import parse_certificate
from touchplate.keys.signer import PrivateKeySigner, generate

START = datetime(2026, 1, 1, tzinfo=UTC)


def self_signed(signer: PrivateKeySigner, serial: int = 1, days: int = 1) -> bytes:
    """Build the smallest authority."""
    name = build.encode_name("example.com", "Ünïcode")
    spki, signature = signer.public_key.spki, build.signature_identifier(signer.algorithm)
    validity = (START, START + timedelta(days=days))
    head = build.encode_tbs_head(serial, signature, name, validity, name, spki)
    tbs = build.encode_tbs(
        head, (build.basic_constraints(None), build.subject_key_identifier(spki))
    )
    return build.sign_tbs(tbs, signature, signer)


def without_key() -> bytes:
    """Build a certificate that our reader takes, since it leaves the key to who asks for it."""
    signer, name = generate(), build.encode_name("example.com", "x")
    return build.sign_certificate(
        name,
        b"\x30\x00",
        (build.basic_constraints(None),),
        serial=1,
        issuer=name,
        validity=(START, START),
        signer=signer,
    )


@pytest.mark.parametrize("kind", ["ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048", "ed25519"])
def test_as_the_library_reads(kind: str) -> None:
    """For each kind of key the library and we read what was built, and the signature holds."""
    signer = generate(kind)
    der = self_signed(signer)
    certificate = x509.load_der_x509_certificate(der)

    certificate.verify_directly_issued_by(certificate)
    assert certificate.public_bytes(Encoding.DER) == der
    assert certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "Ünïcode"
    assert certificate.not_valid_after_utc == START + timedelta(days=1)
    assert parse_certificate(der).spki == signer.public_key.spki
    found = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert found == x509.SubjectKeyIdentifier.from_public_key(signer.crypto.public_key())


def test_after_2049() -> None:
    """Times after 2049 change their form, as RFC 5280 wants."""
    certificate = x509.load_der_x509_certificate(self_signed(generate(), days=10_000))

    assert certificate.not_valid_after_utc == START + timedelta(days=10_000)


def test_link_that_no_library_reads() -> None:
    """A certificate that `cryptography` does not read is a broken link, and no error of its own."""
    good, odd = parse_certificate(self_signed(generate())), parse_certificate(without_key())

    assert build.find_broken_link((good,)) is None
    for chain, place in (((odd,), 0), ((odd, good), 0), ((good, odd), 0), ((good, good, odd), 1)):
        assert build.find_broken_link(chain) == place


@pytest.mark.parametrize("spki", [b"", b"\x30", b"\x30\x00", b"\x30\x02\x30\x00", b"\x04\x00"])
def test_identifier_of_no_key(spki: bytes) -> None:
    """What is no SubjectPublicKeyInfo has no identifier."""
    with pytest.raises(MalformedError) as caught:
        build.key_identifier(spki)
    assert caught.value.code == "DER_MALFORMED"


@pytest.mark.parametrize("serial", [0, -1, 1 << 159])
def test_serials_that_no_certificate_has(serial: int) -> None:
    """A serial number is positive and has at most 20 octets; another one is our bug."""
    with pytest.raises(AssertionError):
        self_signed(generate(), serial)


def test_algorithm_without_identifier() -> None:
    """ML-DSA does not sign certificates here."""
    with pytest.raises(SettingsError):
        build.signature_identifier(generate("ml-dsa-44").algorithm)
