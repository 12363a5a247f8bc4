"""The authority's chain: as made at first start, and what is refused at each."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from touchplate.ca.authority import Authority, create_chain, split_chains
from touchplate.errors import SettingsError
from touchplate.formats import certificate_builder as build
from touchplate.formats import der
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


OTHER = generate("ecdsa-p384")


def made(
    spki: bytes,
    *extensions: bytes,
    signer: PrivateKeySigner = ROOT,
    name: str = "example-intermediate",
    issuer: str = "example",
    days: int = 100,
) -> bytes:
    """Make one certificate of a chain."""
    return build.sign_certificate(
        build.encode_name("example.com", name),
        spki,
        extensions,
        serial=7,
        issuer=build.encode_name("example.com", issuer),
        validity=(NOW - timedelta(days=1), NOW + timedelta(days=days)),
        signer=signer,
    )


USE, PURPOSE = build.key_usage(build.KEY_USAGE_ISSUE), build.extended_key_usage(build.CODE_SIGNING)
KEY = ISSUING.public_key.spki
NO_CA = build.encode_extension("2.5.29.19", der.sequence(), critical=True)

# What is wrong, what the chain is, and what the refusal names.
BROKEN: list[tuple[str, Callable[[], tuple[bytes, ...]], str]] = [
    ("empty", tuple, "it is empty"),
    ("upside down", lambda: CHAIN[::-1], "certificate 1 allows 0 below it"),
    ("without its root", lambda: CHAIN[:1], "its last certificate is no root"),
    (
        "of two families",
        lambda: (CHAIN[0], chain_of(root=OTHER)[1]),
        "certificate 0 is not issued by the next one",
    ),
    (
        "too long for its root",
        lambda: (CHAIN[0], CHAIN[0], CHAIN[1]),
        "certificate 1 allows 0 below it",
    ),
    ("far too long", lambda: (CHAIN[0],) * 11, "it has more than 10 certificates"),
    (
        "of a root that no other library reads",
        lambda: (CHAIN[0], made(b"\x30\x00", build.basic_constraints(1), name="example")),
        "certificate 0 is not issued by the next one",
    ),
    (
        "no authority",
        lambda: (made(KEY, USE, PURPOSE, NO_CA), CHAIN[1]),
        "certificate 0 is no authority",
    ),
    (
        "no constraints",
        lambda: (made(KEY, USE, PURPOSE), CHAIN[1]),
        "certificate 0 is no authority",
    ),
    (
        "a key that may not",
        lambda: (
            made(KEY, build.key_usage(build.KEY_USAGE_SIGN), PURPOSE, build.basic_constraints(0)),
            CHAIN[1],
        ),
        "certificate 0 may not sign certificates",
    ),
    (
        "no purpose",
        lambda: (made(KEY, USE, build.basic_constraints(0)), CHAIN[1]),
        "the issuing certificate is not for code signing",
    ),
    (
        "another purpose",
        lambda: (
            made(
                KEY,
                USE,
                build.extended_key_usage(build.TIME_STAMPING),
                build.basic_constraints(0),
            ),
            CHAIN[1],
        ),
        "certificate 0 is not for code signing",
    ),
    (
        "expired",
        lambda: (made(KEY, USE, PURPOSE, build.basic_constraints(0), days=0), CHAIN[1]),
        "certificate 0 is not valid now",
    ),
    (
        "a root that signed nothing",
        lambda: (
            CHAIN[0],
            made(ROOT.public_key.spki, build.basic_constraints(1), signer=OTHER, name="example"),
        ),
        "certificate 1 is not issued by the next one",
    ),
]


@pytest.mark.parametrize(
    ("chain", "named"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN]
)
def test_broken_chain(chain: Callable[[], tuple[bytes, ...]], named: str) -> None:
    """Each kind of broken chain does not start, and is named."""
    at = NOW + timedelta(hours=1)
    with pytest.raises(SettingsError) as caught:
        Authority.load(ISSUING, chain(), at)
    assert caught.value.code == "SETTINGS_INVALID"
    assert named in caught.value.message


def test_single_certificate() -> None:
    """A root that issues itself is a chain; with or without a purpose."""
    for extensions in ((), (PURPOSE,)):
        root = made(
            ROOT.public_key.spki, USE, build.basic_constraints(0), *extensions, name="example"
        )
        assert len(Authority.load(ROOT, (root,), NOW).chain) == 1


def test_window() -> None:
    """The authority lasts as long as all of its chain; here the root ends first."""
    root = made(ROOT.public_key.spki, USE, build.basic_constraints(1), name="example", days=3)
    authority = Authority.load(ISSUING, (CHAIN[0], root), NOW)

    assert authority.not_after == NOW + timedelta(days=3)
    assert authority.not_before == NOW - timedelta(minutes=5)


def test_split_chains() -> None:
    """A file of several chains is divided at their roots; a rest without one is refused."""
    certificates = [parse_certificate(each) for each in (*CHAIN, *chain_of(root=OTHER))]

    assert [len(chain) for chain in split_chains(certificates)] == [2, 2]
    assert split_chains([]) == ()
    for broken in (certificates[:3], certificates[::-1], [certificates[0], certificates[3]]):
        with pytest.raises(SettingsError):
            split_chains(broken)


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
