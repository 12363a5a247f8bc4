"""When, by RFC 3161 timestamps, and each way in which they do not count."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ObjectIdentifier

from tests.verify.certificates import (
    END,
    NOW,
    START,
    TIME_STAMPING,
    Held,
    authority,
    build,
    new_key,
    stamper,
    usage,
)
from tests.verify.mint import NAME, Mint, refused
from tests.verify.promises import oid, sequence, stamp
from tests.verify.trust import ca_json, window
from touchplate.verify import Options

SECOND = timedelta(seconds=1)


def stamped(mint: Mint, **changes: Any) -> dict[str, Any]:
    """Give a v2 bundle whose one timestamp is varied."""
    signer = changes.pop("signer", mint.tsa)
    return mint.bundle("v2-message", stamps=lambda value: [stamp(value, signer, **changes)])


@pytest.mark.parametrize("hash_name", ["sha256", "sha384", "sha512"])
def test_hashes(mint: Mint, hash_name: str) -> None:
    """The imprint may be of any of the three hashes, and so may the certificate's."""
    members = stamped(mint, hash_name=hash_name, certificate_hash=hash_name)

    assert mint.verify(members).times[0].at == NOW


def test_fraction(mint: Mint) -> None:
    """A time is compared with its fraction of a second."""
    assert mint.verify(stamped(mint, fraction=".25")).times[0].at == NOW + SECOND / 4


def test_legacy_certificate_id(mint: Mint) -> None:
    """The older attribute names the certificate by SHA-1, which still tells certificates apart."""
    assert mint.verify(stamped(mint, certificate_hash="sha1")).identity == NAME


def test_certificates_along(mint: Mint) -> None:
    """A token may carry its signer's certificate, others too; they change nothing."""
    along = [mint.root.der, mint.tsa.der, mint.tsa_root.der]

    assert mint.verify(stamped(mint, certificates=along)).identity == NAME


def test_source(mint: Mint) -> None:
    """Each time says who vouches for it."""
    by_both = mint.bundle("v1-message", stamps=lambda value: [stamp(value, mint.tsa)])

    sources = {(time.source, time.name) for time in mint.verify(by_both).times}
    assert sources == {
        ("tsa", "https://tsa.example.test/api/v1/timestamp"),
        ("log", "https://log-v1.example.test"),
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"imprint": bytes(32)},
        {"hash_name": "sha1"},
        {"content_type": "1.2.840.113549.1.7.1"},
        {"message_digest": bytes(32)},
        {"key": new_key("p256", 999)},
        {"algorithm": sequence(oid("1.2.840.10045.4.3.3"))},
        {"algorithm": sequence(oid("1.2.840.10045.4.1"))},
        {"algorithm": sequence(oid("1.2.840.113549.1.1.11"), b"\x05\x00")},
        {"at": END + SECOND},
        {"at": START - SECOND},
    ],
    ids=lambda value: next(iter(value)),
)
def test_refused(mint: Mint, changes: dict[str, Any]) -> None:
    """A timestamp of a trusted authority with one thing wrong is fatal."""
    assert refused(mint, stamped(mint, **changes)) == "TIMESTAMP_INVALID"


def test_other_certificate_named(mint: Mint) -> None:
    """The certificate named inside what was signed must be the authority's."""
    assert refused(mint, stamped(mint, named=mint.tsa_root)) == "TIMESTAMP_INVALID"


@pytest.mark.parametrize(
    "changes", [{"signers": 2}, {"signers": 0}, *({"drop_attribute": n} for n in range(3))]
)
def test_malformed(mint: Mint, changes: dict[str, Any]) -> None:
    """One signer, and the attributes that RFC 3161 asks for."""
    assert refused(mint, stamped(mint, **changes)) == "TIMESTAMP_MALFORMED"


@pytest.mark.parametrize("status", [1, 2])
def test_not_granted(mint: Mint, status: int) -> None:
    """A response that was not granted, or granted with changes, is no timestamp."""
    assert refused(mint, stamped(mint, status=status)) == "TIMESTAMP_INVALID"


def test_stranger(mint: Mint, other: Mint) -> None:
    """An authority that the trusted root does not list gives no time, whatever it carries along."""
    for along in ((), (other.tsa.der, other.tsa_root.der)):
        members = stamped(mint, signer=other.tsa, certificates=along)
        assert refused(mint, members) == "TIMESTAMP_INVALID"


def test_stranger_beside_a_friend(mint: Mint, other: Mint) -> None:
    """A stranger's timestamp beside a trusted one is skipped; a trusted one that fails is not."""
    good = mint.bundle(stamps=lambda value: [stamp(value, other.tsa), stamp(value, mint.tsa)])
    bad = mint.bundle(
        stamps=lambda value: [stamp(value, mint.tsa), stamp(value, mint.tsa, imprint=bytes(32))]
    )

    assert len(mint.verify(good).times) == 1
    assert refused(mint, bad) == "TIMESTAMP_INVALID"


def test_stranger_without_a_listed_leaf(mint: Mint, other: Mint) -> None:
    """Where the signer comes in the token, a stranger's is a stranger's, and is skipped."""

    def without(root: dict[str, Any]) -> None:
        root["timestampAuthorities"] = [ca_json("https://tsa.example.test", mint.tsa_root)]

    members = mint.bundle(
        stamps=lambda value: [
            stamp(value, other.tsa, certificates=[other.tsa.der]),
            stamp(value, mint.tsa, certificates=[mint.tsa.der]),
        ]
    )

    assert len(mint.verify(members, root=mint.trusted_root(without)).times) == 1


def test_named_by_issuer_and_serial(mint: Mint, other: Mint) -> None:
    """Serial numbers are of an issuer: the same one of another issuer is a stranger's."""
    same = build(
        new_key("p256", 330),
        "tsa 0",
        other.tsa_root,
        SIGNING,
        (TIME_STAMPING, True),
        serial=mint.tsa.certificate.serial,
    )
    members = mint.bundle(stamps=lambda value: [stamp(value, same), stamp(value, mint.tsa)])

    assert len(mint.verify(members).times) == 1


def test_named_by_key_id(mint: Mint) -> None:
    """A signer may be named by its key identifier, which then must be the listed leaf's."""
    identifier = x509.SubjectKeyIdentifier(bytes(range(20)))
    signer = build(
        new_key("p256", 331),
        "by id",
        mint.tsa_root,
        SIGNING,
        (TIME_STAMPING, True),
        (identifier, False),
    )

    def listed(root: dict[str, Any]) -> None:
        root["timestampAuthorities"] = [ca_json("https://tsa.example.test", signer, mint.tsa_root)]

    root = mint.trusted_root(listed)
    good = stamped(mint, signer=signer, key_id=identifier.digest)

    assert mint.verify(good, root=root).identity == NAME
    for key_id in (bytes(20), identifier.digest[:-1], b"\x04\x14" + identifier.digest):
        members = stamped(mint, signer=signer, key_id=key_id)
        assert refused(mint, members, root=root) == "TIMESTAMP_INVALID"
    # The instance's own leaf has no such identifier.
    assert refused(mint, stamped(mint, key_id=identifier.digest)) == "TIMESTAMP_INVALID"


def test_digest_of_the_content(mint: Mint) -> None:
    """The signed attributes hold a digest of the content, and SHA-1 is none that counts."""
    assert mint.verify(stamped(mint, digest_name="sha512")).identity == NAME
    assert refused(mint, stamped(mint, digest_name="sha1")) == "TIMESTAMP_INVALID"


def test_no_authority_trusted(mint: Mint, other: Mint) -> None:
    """Where no authority is trusted, timestamps are passed over if a promise says when."""
    bare = mint.trusted_root(lambda root: root.update(timestampAuthorities=[]))
    promised = mint.bundle("v1-message", stamps=lambda value: [stamp(value, other.tsa)])

    assert [time.source for time in mint.verify(promised, root=bare).times] == ["log"]
    asked = Options(timestamp_authorities=1)
    assert refused(mint, promised, root=bare, options=asked) == "TIMESTAMP_INVALID"
    assert refused(mint, mint.bundle("v2-message"), root=bare) == "NO_VERIFIED_TIME"


@pytest.mark.parametrize(
    ("begins", "ends", "proven"),
    [
        (NOW, NOW, True),
        (NOW + SECOND, None, False),
        (START, NOW - SECOND, False),
        (NOW - SECOND, NOW - SECOND / 1000, False),
    ],
)
def test_window_of_the_authority(
    mint: Mint, begins: datetime, ends: datetime | None, proven: bool
) -> None:
    """The trusted root's window for the authority holds, both ends included."""

    def narrow(root: dict[str, Any]) -> None:
        root["timestampAuthorities"][0]["validFor"] = window(begins, ends)

    root = mint.trusted_root(narrow)
    if proven:
        assert mint.verify(stamped(mint), root=root).times[0].at == NOW
    else:
        assert refused(mint, stamped(mint), root=root) == "TIMESTAMP_INVALID"


def test_one_of_two_windows(mint: Mint) -> None:
    """An authority that is listed twice is valid when either entry is."""

    def twice(root: dict[str, Any]) -> None:
        past = {**root["timestampAuthorities"][0], "validFor": window(START, NOW - SECOND)}
        root["timestampAuthorities"].insert(0, past)

    assert mint.verify(stamped(mint), root=mint.trusted_root(twice)).identity == NAME


def profile(*extensions: tuple[x509.ExtensionType, bool]) -> Callable[[Mint], Held]:
    """Give a maker of a timestamp signer with these extensions only."""
    return lambda mint: build(new_key("p256", 300), "odd", mint.tsa_root, *extensions)


BOTH = x509.ExtendedKeyUsage(
    [ObjectIdentifier("1.3.6.1.5.5.7.3.8"), ObjectIdentifier("1.3.6.1.5.5.7.3.3")]
)
OTHER = x509.ExtendedKeyUsage([ObjectIdentifier("1.3.6.1.5.5.7.3.3")])
SIGNING = (usage("digital_signature"), True)
# A flag that is neither true nor false.
NO_CONSTRAINTS = x509.UnrecognizedExtension(ObjectIdentifier("2.5.29.19"), b"\x30\x03\x01\x01\x01")


@pytest.mark.parametrize(
    "make",
    [
        profile(SIGNING),
        profile(SIGNING, (TIME_STAMPING, False)),
        profile(SIGNING, (BOTH, True)),
        profile((usage("key_agreement"), True), (TIME_STAMPING, True)),
        profile(SIGNING, (TIME_STAMPING, True), (x509.BasicConstraints(True, None), True)),
        profile(SIGNING, (TIME_STAMPING, True), (x509.PolicyConstraints(0, None), True)),
        profile(SIGNING, (TIME_STAMPING, True), (NO_CONSTRAINTS, True)),
        lambda mint: stamper("late", mint.tsa_root, number=301, begins=NOW + SECOND),
        lambda mint: stamper("early", mint.tsa_root, number=302, ends=NOW - SECOND),
        lambda mint: build(
            new_key("p256", 303), "forged", None, SIGNING, (TIME_STAMPING, True),
            issuer_name="tsa root 0",
        ),
    ],
    ids=["no purpose", "not critical", "two purposes", "usage", "authority", "critical",
         "no constraints", "not yet", "no longer", "not issued"],
)  # fmt: skip
def test_signer_profile(mint: Mint, make: Callable[[Mint], Held]) -> None:
    """The signer's certificate is for timestamps alone, valid then, and issued by the anchor."""
    odd = make(mint)

    def listed(root: dict[str, Any]) -> None:
        root["timestampAuthorities"] = [ca_json("https://tsa.example.test", odd, mint.tsa_root)]

    code = refused(mint, stamped(mint, signer=odd), root=mint.trusted_root(listed))
    assert code == "TIMESTAMP_INVALID"


@pytest.mark.parametrize(
    "make",
    [
        profile((TIME_STAMPING, True)),
        profile((usage("content_commitment"), True), (TIME_STAMPING, True)),
        profile(SIGNING, (TIME_STAMPING, True), (x509.BasicConstraints(False, None), True)),
        lambda mint: stamper("this second", mint.tsa_root, number=304, begins=NOW, ends=NOW),
    ],
    ids=["no usage", "non-repudiation", "said to be none", "this second"],
)
def test_more_than_the_profile(mint: Mint, make: Callable[[Mint], Held]) -> None:
    """What the profile leaves open is allowed, and both ends of the signer's window are inside."""
    signer = make(mint)

    def listed(root: dict[str, Any]) -> None:
        root["timestampAuthorities"] = [ca_json("https://tsa.example.test", signer, mint.tsa_root)]

    assert mint.verify(stamped(mint, signer=signer), root=mint.trusted_root(listed)).times


def test_authority_signs_no_timestamps(mint: Mint) -> None:
    """An authority that comes in the token cannot sign it, although the anchor issued it."""
    odd = build(
        new_key("p256", 332),
        "odd",
        mint.tsa_root,
        SIGNING,
        (TIME_STAMPING, True),
        (x509.BasicConstraints(True, None), True),
    )

    def without(root: dict[str, Any]) -> None:
        root["timestampAuthorities"] = [ca_json("https://tsa.example.test", mint.tsa_root)]

    members = stamped(mint, signer=odd, certificates=[odd.der])
    assert refused(mint, members, root=mint.trusted_root(without)) == "TIMESTAMP_INVALID"


@pytest.mark.parametrize(
    "extensions",
    [
        ((usage("crl_sign"), True), (x509.BasicConstraints(True, None), True)),
        ((x509.BasicConstraints(True, None), True), (OTHER, False)),
        ((usage("key_cert_sign"), True),),
    ],
    ids=["usage", "purpose", "no authority"],
)
def test_odd_issuer(mint: Mint, extensions: tuple[tuple[x509.ExtensionType, bool], ...]) -> None:
    """What issued the signer must itself be an authority for timestamps."""
    middle = build(new_key("p256", 333), "odd middle", mint.tsa_root, *extensions)
    signer = stamper("tsa below odd", middle, number=334)

    def listed(root: dict[str, Any]) -> None:
        chain = (signer, middle, mint.tsa_root)
        root["timestampAuthorities"] = [ca_json("https://tsa.example.test", *chain)]

    code = refused(mint, stamped(mint, signer=signer), root=mint.trusted_root(listed))
    assert code == "TIMESTAMP_INVALID"


@pytest.mark.parametrize("ends", [NOW, NOW - SECOND])
def test_whole_chain_at_that_time(mint: Mint, ends: datetime) -> None:
    """An authority above the signer must be valid at the time too, its last second included."""
    root = authority("short root", number=310, ends=ends)
    signer = stamper("tsa below short", root, number=311)

    def listed(members: dict[str, Any]) -> None:
        members["timestampAuthorities"] = [ca_json("https://tsa.example.test", signer, root)]

    trusted = mint.trusted_root(listed)
    if ends == NOW:
        assert mint.verify(stamped(mint, signer=signer), root=trusted).identity == NAME
    else:
        assert refused(mint, stamped(mint, signer=signer), root=trusted) == "TIMESTAMP_INVALID"


def test_entry_without_leaf(mint: Mint, other: Mint) -> None:
    """If an entry lists authorities only, the signer comes in the token and must lead to them."""

    def without(root: dict[str, Any]) -> None:
        root["timestampAuthorities"] = [ca_json("https://tsa.example.test", mint.tsa_root)]

    root = mint.trusted_root(without)
    forged = build(
        new_key("p256", 320), "forged", None, SIGNING, (TIME_STAMPING, True),
        issuer_name="tsa root 0",
    )  # fmt: skip

    assert mint.verify(stamped(mint, certificates=[mint.tsa.der]), root=root).identity == NAME
    for members in (
        stamped(mint),
        stamped(mint, signer=other.tsa, certificates=[other.tsa.der, other.tsa_root.der]),
        stamped(mint, signer=forged, certificates=[forged.der]),
    ):
        assert refused(mint, members, root=root) == "TIMESTAMP_INVALID"


def test_rsa_encryption(mint: Mint) -> None:
    """CMS may name RSA without its hash, which is then that of the digest."""
    signer = build(
        new_key("rsa2048", 330), "rsa tsa", mint.tsa_root, SIGNING, (TIME_STAMPING, True)
    )  # fmt: skip

    def listed(root: dict[str, Any]) -> None:
        root["timestampAuthorities"] = [ca_json("https://tsa.example.test", signer, mint.tsa_root)]

    root = mint.trusted_root(listed)
    for name in ("1.2.840.113549.1.1.1", "1.2.840.113549.1.1.11"):
        members = stamped(mint, signer=signer, algorithm=sequence(oid(name), b"\x05\x00"))
        assert mint.verify(members, root=root).identity == NAME
