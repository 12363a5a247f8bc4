"""The authority's chain: as made at first start, and what is refused at each."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from touchplate.ca.authority import Authority, create_chain
from touchplate.errors import SettingsError
from touchplate.formats.certificate import parse_certificate
from touchplate.keys.signer import PrivateKeySigner, generate

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ROOT, ISSUING = generate("ecdsa-p384"), generate("ecdsa-p256")


def chain_of(
    root: PrivateKeySigner = ROOT, issuing: PrivateKeySigner = ISSUING
) -> tuple[bytes, bytes]:
    """Make a chain."""
    return create_chain(root, issuing, organization="example.com", common_name="example", now=NOW)


CHAIN = chain_of()


def test_profile() -> None:
    """Root and issuing certificate have the names, uses, limits and times that verifiers want."""
    issuing, root = (x509.load_der_x509_certificate(der) for der in CHAIN)

    assert root.subject.rfc4514_string() == "CN=example,O=example.com"
    assert issuing.subject.rfc4514_string() == "CN=example-intermediate,O=example.com"
    assert issuing.issuer.public_bytes() == root.subject.public_bytes()
    for certificate, limit in ((root, 1), (issuing, 0)):
        extensions = certificate.extensions
        constraints = extensions.get_extension_for_class(x509.BasicConstraints)
        usage = extensions.get_extension_for_class(x509.KeyUsage)
        assert constraints.critical
        assert constraints.value == x509.BasicConstraints(ca=True, path_length=limit)
        assert usage.critical
        assert usage.value.key_cert_sign
        assert usage.value.crl_sign
        assert not usage.value.digital_signature
        assert certificate.not_valid_before_utc == NOW - timedelta(minutes=5)
    purposes = issuing.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert not purposes.critical
    assert list(purposes.value) == [ExtendedKeyUsageOID.CODE_SIGNING]
    subject = root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    above = issuing.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert above.key_identifier == subject
    issuing.verify_directly_issued_by(root)
    root.verify_directly_issued_by(root)


@pytest.mark.parametrize("kind", ["ecdsa-p256", "ecdsa-p384", "rsa-2048"])
def test_loads(kind: str) -> None:
    """A chain that we made is accepted for each kind of issuing key."""
    issuing = generate(kind)
    authority = Authority.load(issuing, chain_of(issuing=issuing), NOW)

    assert authority.issuing.spki == issuing.public_key.spki


def refused(
    chain: tuple[bytes, ...], signer: PrivateKeySigner = ISSUING, at: datetime = NOW
) -> str:
    """Give the code with which a chain is refused."""
    with pytest.raises(SettingsError) as caught:
        Authority.load(signer, chain, at)
    return caught.value.code


@pytest.mark.parametrize(
    "change",
    [
        lambda chain: chain[:0],
        lambda chain: chain[::-1],
        lambda chain: chain[:1],
        lambda chain: (chain[0], chain_of(root=generate("ecdsa-p384"))[1]),
        lambda chain: (chain[0], chain[0], chain[1]),
        lambda chain: chain[1:],
    ],
)
def test_broken_chain(change: Callable[[tuple[bytes, ...]], tuple[bytes, ...]]) -> None:
    """A chain that is empty, upside down, cut, of two families or too long does not start."""
    assert refused(change(CHAIN)) in {"SETTINGS_INVALID", "KEY_NOT_FOUND"}


def test_other_key() -> None:
    """The key must be that of the issuing certificate."""
    assert refused(CHAIN, generate()) == "KEY_NOT_FOUND"


@pytest.mark.parametrize("days", [-1, 2000])
def test_not_valid_now(days: int) -> None:
    """A chain that has expired, or is yet to begin, does not start."""
    assert refused(CHAIN, at=NOW + timedelta(days=days)) == "SETTINGS_INVALID"


def test_ed25519_does_not_issue() -> None:
    """An Ed25519 authority breaks verifiers, so it is refused."""
    issuing = generate("ed25519")

    assert refused(chain_of(issuing=issuing), issuing) == "SETTINGS_INVALID"


def test_serials_differ() -> None:
    """Two chains of the same names differ in their serial numbers."""
    assert parse_certificate(chain_of()[1]).serial != parse_certificate(CHAIN[1]).serial
