"""The signer's certificate: its path, its times, its profile; each rule refuses alone."""

import base64
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ObjectIdentifier
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store

from tests.verify.certificates import (
    CODE_SIGNING,
    END,
    NOW,
    START,
    TIME_STAMPING,
    Held,
    authority,
    b64,
    build,
    new_key,
    usage,
)
from tests.verify.mint import ISSUER, NAME, Mint, refused
from tests.verify.promises import stamp
from tests.verify.trust import ca_json, window
from touchplate.errors import VerificationError
from touchplate.formats.certificate import CODE_SIGNING as PURPOSE
from touchplate.formats.certificate import parse_certificate
from touchplate.formats.trusted_root import TrustedRoot
from touchplate.verify import identity
from touchplate.verify.path import Anchored, Issuer, check_issued_by

SECOND = timedelta(seconds=1)
CONSTRAINED = (x509.BasicConstraints(ca=True, path_length=None), True)
CERT_SIGN = (usage("key_cert_sign"), True)
ANY_PURPOSE = ObjectIdentifier("2.5.29.37.0")


def rooted(mint: Mint, *chain: Held, **validity: datetime | None) -> TrustedRoot:
    """Give the instance's trusted root with this chain as its only certificate authority."""

    def listed(root: dict[str, Any]) -> None:
        entry = ca_json("https://ca.example.test", *chain)
        if validity:
            entry["validFor"] = window(**validity)
        root["certificateAuthorities"] = [entry]

    return mint.trusted_root(listed)


def issued(mint: Mint, ca: Held, **changes: Any) -> dict[str, Any]:
    """Give a bundle whose certificate this authority issued."""
    return mint.bundle("v2-message", leaf=mint.leaf(ca=ca, **changes))


def test_anchor_is_the_last_of_the_chain(mint: Mint) -> None:
    """The anchor may be a root, an intermediate, or the direct issuer."""
    middle = authority("middle", mint.root, number=400)
    issuer = authority("issuer", middle, number=401)

    for chain in ((issuer, middle, mint.root), (issuer, middle), (issuer,)):
        members = issued(mint, issuer)
        assert mint.verify(members, root=rooted(mint, *chain)).identity == NAME


def test_issued_by_the_root(mint: Mint) -> None:
    """A self-signed root of RSA may issue leaves itself, and is then what the log's input names."""
    root = authority("rsa root", kind="rsa3072", number=402)

    assert mint.verify(issued(mint, root), root=rooted(mint, root)).identity == NAME


def test_another_authority(mint: Mint, other: Mint) -> None:
    """A certificate by an authority that is not listed is refused, with names alike or not."""
    alike = authority("ca 0", number=403)

    assert refused(mint, issued(mint, other.ca)) == "CERT_CHAIN"
    assert refused(mint, issued(mint, alike)) == "CERT_CHAIN"


def test_certificates_of_the_bundle_are_no_anchors(mint: Mint, other: Mint) -> None:
    """A chain in the bundle does not lead anywhere by itself, roots in it included."""
    leaf = mint.leaf(ca=other.ca)
    members = mint.bundle("v0.2", leaf=leaf)
    chain = members["verificationMaterial"]["x509CertificateChain"]["certificates"]
    chain += [{"rawBytes": b64(other.ca.der)}, {"rawBytes": b64(other.root.der)}]

    assert refused(mint, members) == "CERT_CHAIN"


def test_certificates_of_the_bundle_do_no_harm(mint: Mint, other: Mint) -> None:
    """A good leaf is proven by the trusted root, whatever comes beside it."""
    members = mint.bundle("v0.2")
    chain = members["verificationMaterial"]["x509CertificateChain"]["certificates"]
    chain += [{"rawBytes": b64(other.ca.der)}, {"rawBytes": b64(mint.root.der)}]

    assert mint.verify(members).identity == NAME


def issuer_with(
    *extensions: tuple[x509.ExtensionType, bool], **times: Any
) -> Callable[[Mint], Held]:
    """Give a maker of an issuer below the instance's root with these extensions only."""
    return lambda mint: build(new_key("p256", 410), "odd issuer", mint.root, *extensions, **times)


NAMES = x509.NameConstraints([x509.DNSName("example.com")], None)
UNKNOWN = x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\x05\x00")

ODD_ISSUERS = {
    "no constraints": issuer_with(CERT_SIGN),
    "not an authority": issuer_with((x509.BasicConstraints(False, None), True), CERT_SIGN),
    "key usage": issuer_with(CONSTRAINED, (usage("digital_signature", "crl_sign"), True)),
    "other purpose": issuer_with(CONSTRAINED, CERT_SIGN, (TIME_STAMPING, False)),
    "name constraints": issuer_with(CONSTRAINED, CERT_SIGN, (NAMES, False)),
    "unknown critical": issuer_with(CONSTRAINED, CERT_SIGN, (UNKNOWN, True)),
    "weak hash": issuer_with(CONSTRAINED, CERT_SIGN, hasher=hashes.SHA224()),
}


@pytest.mark.parametrize("name", ODD_ISSUERS)
def test_odd_issuer(mint: Mint, name: str) -> None:
    """An issuer must be an authority by all that it says of itself."""
    odd = ODD_ISSUERS[name](mint)

    assert refused(mint, issued(mint, odd), root=rooted(mint, odd, mint.root)) == "CERT_CHAIN"


def test_unknown_extension(mint: Mint) -> None:
    """An extension that nobody knows does no harm if it is not critical."""
    odd = issuer_with(CONSTRAINED, CERT_SIGN, (CODE_SIGNING, False), (UNKNOWN, False))(mint)

    assert mint.verify(issued(mint, odd), root=rooted(mint, odd, mint.root)).identity == NAME


@pytest.mark.parametrize(
    "extensions",
    [
        (CONSTRAINED,),
        (CONSTRAINED, CERT_SIGN, (x509.ExtendedKeyUsage([ANY_PURPOSE]), False)),
    ],
    ids=["no usage", "any purpose"],
)
def test_issuer_that_leaves_open(
    mint: Mint, extensions: tuple[tuple[x509.ExtensionType, bool], ...]
) -> None:
    """An issuer that says nothing of its uses, or that all are allowed, may issue."""
    issuer = issuer_with(*extensions)(mint)

    assert mint.verify(issued(mint, issuer), root=rooted(mint, issuer, mint.root)).identity == NAME


def test_long_path(mint: Mint) -> None:
    """A path has at most ten authorities."""
    chain = [authority("long 0", number=440)]
    for number in range(1, 11):
        chain.insert(0, authority(f"long {number}", chain[0], number=440 + number))
    ten, eleven = chain[1:], chain

    assert mint.verify(issued(mint, ten[0]), root=rooted(mint, *ten)).identity == NAME
    assert refused(mint, issued(mint, eleven[0]), root=rooted(mint, *eleven)) == "CERT_CHAIN"


def test_path_in_a_circle(mint: Mint) -> None:
    """Authorities that vouch for each other lead to no anchor."""
    one = build(new_key("p256", 451), "one", None, CONSTRAINED, CERT_SIGN, issuer_name="two")
    two_by_one = build(new_key("p256", 452), "two", one, CONSTRAINED, CERT_SIGN)
    one_by_two = build(one.key, "one", two_by_one, CONSTRAINED, CERT_SIGN)
    root = rooted(mint, one_by_two, two_by_one, mint.root)

    assert refused(mint, issued(mint, one_by_two), root=root) == "CERT_CHAIN"


def test_issuer_of_another_name(mint: Mint) -> None:
    """A signature alone does not make an issuer: the certificate must name it."""
    renamed = build(mint.root.key, "another name", None, CONSTRAINED, CERT_SIGN)

    check_issued_by(mint.ca.certificate, mint.root.certificate)
    with pytest.raises(VerificationError) as caught:
        check_issued_by(mint.ca.certificate, renamed.certificate)
    assert caught.value.code == "CERT_CHAIN"


def test_window_of_a_namesake(mint: Mint) -> None:
    """An authority of the same name with another key lends its window to nobody."""
    namesake = build(new_key("p256", 460), "ca 0", None, CONSTRAINED, CERT_SIGN)

    def listed(root: dict[str, Any]) -> None:
        own = root["certificateAuthorities"][0]
        own["validFor"] = window(START, NOW - SECOND)
        root["certificateAuthorities"].append(ca_json("https://namesake.example.test", namesake))

    assert refused(mint, mint.bundle(), root=mint.trusted_root(listed)) == "CA_NOT_VALID_AT_TIME"


def test_path_length(mint: Mint) -> None:
    """An authority's path length counts the authorities between it and the leaf."""
    top = authority("top", number=420, path_length=1)
    middle = authority("middle", top, number=421)
    low = authority("low", middle, number=422)

    assert mint.verify(issued(mint, middle), root=rooted(mint, middle, top)).identity == NAME
    code = refused(mint, issued(mint, low), root=rooted(mint, low, middle, top))
    assert code == "CERT_CHAIN"


def test_forged_middle(mint: Mint) -> None:
    """Each signature of the path is checked, not the leaf's alone."""
    forged = build(
        new_key("p256", 430), "forged", None, CONSTRAINED, CERT_SIGN, issuer_name="root 0"
    )
    top = rooted(mint, forged, mint.root)

    assert refused(mint, issued(mint, forged), root=top) == "CERT_CHAIN"


def test_no_path(mint: Mint, other: Mint) -> None:
    """An issuer that is listed, and from which no path leads to the anchor, issues nothing."""
    root = rooted(mint, mint.ca, other.root)

    assert refused(mint, mint.bundle(), root=root) == "CERT_CHAIN"


def test_odd_authority_beside_a_good_one(mint: Mint) -> None:
    """An authority that cannot be used does not spoil the others."""
    odd = ODD_ISSUERS["key usage"](mint)

    def beside(root: dict[str, Any]) -> None:
        root["certificateAuthorities"].insert(0, ca_json("https://odd.example.test", odd))

    assert mint.verify(mint.bundle(), root=mint.trusted_root(beside)).identity == NAME


@pytest.mark.parametrize(
    ("begins", "ends", "proven"),
    [(NOW, NOW, True), (NOW + SECOND, END, False), (START, NOW - SECOND / 1000, False)],
)
def test_window_of_the_authority(
    mint: Mint, begins: datetime, ends: datetime, proven: bool
) -> None:
    """The trusted root's window for the authority holds, both ends included."""
    root = rooted(mint, mint.ca, mint.root, begins=begins, ends=ends)

    if proven:
        assert mint.verify(mint.bundle(), root=root).identity == NAME
    else:
        assert refused(mint, mint.bundle(), root=root) == "CA_NOT_VALID_AT_TIME"


def test_one_of_two_windows(mint: Mint) -> None:
    """An authority that is listed twice is valid when either entry is."""

    def twice(root: dict[str, Any]) -> None:
        past = {**root["certificateAuthorities"][0], "validFor": window(START, NOW - SECOND)}
        root["certificateAuthorities"].insert(0, past)

    assert mint.verify(mint.bundle(), root=mint.trusted_root(twice)).identity == NAME


@pytest.mark.parametrize("shape", ["v1-message", "v2-message"])
@pytest.mark.parametrize(
    ("begins", "ends", "proven"),
    [
        (NOW, NOW, True),
        (NOW + SECOND, NOW + 9 * SECOND, False),
        (NOW - 9 * SECOND, NOW - SECOND, False),
    ],
)
def test_leaf_at_the_time(
    mint: Mint, shape: str, begins: datetime, ends: datetime, proven: bool
) -> None:
    """The signer's certificate must be valid at the verified time, both ends included."""
    members = mint.bundle(shape, leaf=mint.leaf(begins=begins, ends=ends))

    if proven:
        assert mint.verify(members).identity == NAME
    else:
        assert refused(mint, members) == "CERT_NOT_VALID_AT_TIME"


@pytest.mark.parametrize(
    ("begins", "ends", "proven"),
    [(NOW, NOW, True), (NOW + SECOND, END, False), (START, NOW - SECOND, False)],
)
def test_issuer_at_the_time(mint: Mint, begins: datetime, ends: datetime, proven: bool) -> None:
    """The authorities, anchor included, must be valid at the verified time."""
    timed = authority("timed", mint.root, number=440, begins=begins, ends=ends)
    chains = [(timed, mint.root), (timed,)]

    for chain in chains:
        root = rooted(mint, *chain)
        if proven:
            assert mint.verify(issued(mint, timed), root=root).identity == NAME
        else:
            assert refused(mint, issued(mint, timed), root=root) == "CERT_NOT_VALID_AT_TIME"


def test_every_time_counts(mint: Mint) -> None:
    """One verified time outside of the certificate's validity refuses, others inside or not."""
    late = NOW + timedelta(hours=1)
    members = mint.bundle("v1-message", stamps=lambda value: [stamp(value, mint.tsa, at=late)])
    reverse = mint.bundle(
        "v1-message", leaf=mint.leaf(), at=late, stamps=lambda value: [stamp(value, mint.tsa)]
    )

    assert refused(mint, members) == "CERT_NOT_VALID_AT_TIME"
    assert refused(mint, reverse) == "CERT_NOT_VALID_AT_TIME"


@pytest.mark.parametrize(
    "changes",
    [
        {"drop": ["ku"]},
        {"drop": ["eku"]},
        {"key_usage": usage("key_agreement", "content_commitment")},
        {"purpose": TIME_STAMPING},
        {"extra": [(x509.BasicConstraints(ca=True, path_length=None), True)]},
    ],
    ids=["no usage", "no purpose", "usage", "purpose", "authority"],
)
def test_profile(mint: Mint, changes: dict[str, Any]) -> None:
    """The signer's certificate is for signatures over code, and no authority's."""
    assert refused(mint, mint.bundle(leaf=mint.leaf(**changes))) == "CERT_PROFILE"


def test_more_than_the_profile(mint: Mint) -> None:
    """Another purpose or usage beside the needed ones does no harm."""
    both = x509.ExtendedKeyUsage([*CODE_SIGNING, *TIME_STAMPING])
    leaf = mint.leaf(
        purpose=both,
        key_usage=usage("digital_signature", "key_agreement"),
        extra=[(x509.BasicConstraints(ca=False, path_length=None), True)],
    )

    assert mint.verify(mint.bundle(leaf=leaf)).identity == NAME


@pytest.mark.parametrize(
    "extra",
    [
        (UNKNOWN, True),
        (x509.PrecertPoison(), True),
        (x509.PrecertPoison(), False),
        (NAMES, True),
    ],
    ids=["unknown", "poison", "harmless poison", "names"],
)
def test_critical_extension(mint: Mint, extra: tuple[x509.ExtensionType, bool]) -> None:
    """A critical extension that is not understood refuses; a precertificate never signs."""
    assert refused(mint, mint.bundle(leaf=mint.leaf(extra=[extra]))) == "CERT_CHAIN"


def test_user_name(mint: Mint) -> None:
    """A critical alternative name that is a user name is an identity."""
    value = b"\x0c\x11alice!example.com"
    other_name = x509.OtherName(ObjectIdentifier("1.3.6.1.4.1.57264.1.7"), value)
    leaf = mint.leaf(san=x509.SubjectAlternativeName([other_name]))
    policy = identity("alice!example.com", ISSUER)

    assert mint.verify(mint.bundle(leaf=leaf), policy=policy).identity == "alice!example.com"


def test_critical_extension_of_no_known_form(mint: Mint) -> None:
    """A critical extension whose object identifier cannot be written out is refused too."""
    members = mint.bundle(leaf=mint.leaf(extra=[(UNKNOWN, True)]))
    holder = members["verificationMaterial"]["certificate"]
    der = base64.b64decode(holder["rawBytes"])
    holder["rawBytes"] = b64(der.replace(b"\x2a\x03\x04", b"\x2a\x03\x84"))

    assert refused(mint, members) == "CERT_CHAIN"


def test_flipped_signature(mint: Mint) -> None:
    """A certificate that differs from the issued one in its signature alone is refused."""
    members = mint.bundle()
    der = bytearray(base64.b64decode(members["verificationMaterial"]["certificate"]["rawBytes"]))
    der[-1] ^= 1
    members["verificationMaterial"]["certificate"]["rawBytes"] = b64(bytes(der))

    assert refused(mint, members) == "CERT_CHAIN"


def by_library(leaf: Held, ca: Held, root: Held) -> bool:
    """Ask the library's own path validation, with no rule about the purpose."""
    permissive = ExtensionPolicy.permit_all()
    builder = (
        PolicyBuilder()
        .store(Store([x509.load_der_x509_certificate(root.der)]))
        .time(NOW)
        .extension_policies(
            ee_policy=permissive,
            ca_policy=permissive.require_present(
                x509.BasicConstraints, Criticality.AGNOSTIC, None
            ).require_present(x509.KeyUsage, Criticality.AGNOSTIC, None),
        )
    )
    try:
        builder.build_client_verifier().verify(
            x509.load_der_x509_certificate(leaf.der), [x509.load_der_x509_certificate(ca.der)]
        )
    except x509.verification.VerificationError:
        return False
    return True


def by_us(leaf: Held, ca: Held, root: Held) -> bool:
    """Ask our path."""
    certificate = leaf.certificate
    issuers = Anchored((ca.certificate, root.certificate), PURPOSE).issuers(certificate.issuer_der)
    try:
        [issuer] = issuers
        if isinstance(issuer, VerificationError):
            return False
        check_issued_by(certificate, issuer.certificate)
    except VerificationError:
        return False
    return issuer.not_before <= NOW <= issuer.not_after


ORACLE_ISSUERS: dict[str, Callable[[Mint], Held]] = {
    "good": issuer_with(CONSTRAINED, CERT_SIGN),
    "not an authority": ODD_ISSUERS["not an authority"],
    "unknown critical": ODD_ISSUERS["unknown critical"],
    "expired": issuer_with(CONSTRAINED, CERT_SIGN, ends=NOW - SECOND),
    "not yet": issuer_with(CONSTRAINED, CERT_SIGN, begins=NOW + SECOND),
    "forged": lambda mint: build(
        new_key("p256", 450), "forged", None, CONSTRAINED, CERT_SIGN, issuer_name="root 0"
    ),
}


@pytest.mark.parametrize("name", ORACLE_ISSUERS)
def test_agrees_with_the_library(mint: Mint, name: str) -> None:
    """Our path validation says what `cryptography.x509.verification` says.

    Of key usage the library's permissive policy asks nothing; ours does, in `test_odd_issuer`.
    """
    # The library asks for an issuer's key id, which our own certificates have too.
    ca = with_key_ids(mint, name)
    leaf = build(
        new_key("p256", 460),
        "",
        ca,
        (usage("digital_signature"), True),
        (x509.SubjectAlternativeName([x509.RFC822Name(NAME)]), True),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key()), False),
        begins=NOW - SECOND,
        ends=NOW + SECOND,
    )

    assert by_us(leaf, ca, mint.root) == by_library(leaf, ca, mint.root) == (name == "good")


def with_key_ids(mint: Mint, name: str) -> Held:
    """Make the issuer again with the identifiers that the library insists on."""
    old = x509.load_der_x509_certificate(ORACLE_ISSUERS[name](mint).der)
    key = new_key("p256", 470)
    forged = name == "forged"
    return build(
        key,
        "odd issuer",
        None if forged else mint.root,
        *((extension.value, extension.critical) for extension in old.extensions),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(mint.root.key.public_key()), False),
        begins=old.not_valid_before_utc,
        ends=old.not_valid_after_utc,
        issuer_name="root 0" if forged else None,
    )


def test_real_path(conformance: Any) -> None:
    """The public instance's own authorities have a path."""
    text = (conformance / "trusted_root.production.json").read_text(encoding="utf-8")
    for entry in json.loads(text)["certificateAuthorities"]:
        chain = [
            parse_certificate(base64.b64decode(item["rawBytes"]))
            for item in entry["certChain"]["certificates"]
        ]
        found = Anchored(chain, PURPOSE).issuers(chain[0].subject_der)
        assert isinstance(found[0], Issuer)
        assert found[0].path[-1] == chain[-1]
