"""What the template makes is, byte for byte, what the general builder makes."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from touchplate.ca.authority import Authority, create_chain
from touchplate.ca.profile import LIFETIME, precertify
from touchplate.ca.template import encode_name, encode_promise, encode_text
from touchplate.errors import MalformedError
from touchplate.formats import certificate_builder as build
from touchplate.formats import der
from touchplate.formats.authentication import EXTENSION, encode_authentication
from touchplate.formats.certificate import parse_certificate
from touchplate.formats.extensions import BY_NUMBER, encode_extension
from touchplate.formats.sct import SignedCertificateTimestamp, encode_sct_list
from touchplate.keys.signer import generate
from touchplate.oidc.identity import Identity, SubjectName

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
SERIAL = 0x2A << 152 | 1
KINDS = ("ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048", "rsa-3072", "rsa-4096", "ed25519")
KEYS = {kind: generate(kind).public_key for kind in KINDS}


def authority(kind: str) -> Authority:
    """Make an authority whose issuing key is of this kind."""
    root, issuing = generate("ecdsa-p256"), generate(kind)
    chain = create_chain(root, issuing, organization="example.com", common_name="x", now=NOW)
    return Authority.load(issuing, chain, NOW)


AUTHORITIES = {kind: authority(kind) for kind in KINDS[:4]}


def general_name(name: SubjectName) -> bytes:
    """Build subjectAltName from elements."""
    if name.kind == "username":
        other = der.oid("1.3.6.1.4.1.57264.1.7") + der.explicit(0, der.utf8_string(name.value))
        value = der.tlv(0xA0, other)
    else:
        value = der.ia5_string(name.value, 0x81 if name.kind == "email" else 0x86)
    return build.encode_extension("2.5.29.17", der.sequence(value), critical=True)


def general_text(number: int, text: str) -> bytes:
    """Build an extension of ours from elements; none for an empty text."""
    if not text:
        return b""
    return build.encode_extension(
        f"1.3.6.1.4.1.57264.1.{number}", encode_extension(BY_NUMBER[number], text)
    )


def general(found: Authority, kind: str, identity: Identity, last: bytes) -> bytes:
    """Build the signed part of a certificate from elements."""
    spki, start = KEYS[kind].spki, NOW.replace(microsecond=0)
    texts = dict(identity.extensions)
    texts |= {1: identity.issuer, 8: identity.issuer, 24: identity.subject}
    login = encode_authentication(identity.amr, identity.acr)
    head = build.encode_tbs_head(
        SERIAL,
        build.signature_identifier(found.signer.algorithm),
        parse_certificate(found.chain[0].der).subject_der,
        (start, start + LIFETIME),
        der.sequence(),
        spki,
    )
    extensions = (
        build.key_usage(build.KEY_USAGE_SIGN),
        build.extended_key_usage(build.CODE_SIGNING),
        build.subject_key_identifier(spki),
        build.authority_key_identifier(build.key_identifier(found.chain[0].spki)),
        general_name(identity.san),
        *(general_text(number, texts[number]) for number in sorted(texts)),
        b"" if login is None else build.encode_extension(EXTENSION, login),
        last,
    )
    return der.sequence(head, der.explicit(3, der.sequence(*extensions)))


# Lengths on both sides of every step in a length's encoding.
SIZES = st.one_of(st.integers(1, 40), st.integers(95, 135), st.integers(230, 270), st.just(2000))
TEXTS = SIZES.flatmap(lambda size: st.text(st.characters(codec="utf-8"), max_size=size))
ASCII = SIZES.flatmap(
    lambda size: st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=size)
)
NAMES = st.one_of(
    st.builds(SubjectName, st.sampled_from(("email", "uri")), ASCII),
    st.builds(SubjectName, st.just("username"), TEXTS),
)
NUMBERS = sorted(set(BY_NUMBER) - {1, 8, 24})
IDENTITIES = st.builds(
    Identity,
    TEXTS.filter(bool),
    TEXTS,
    NAMES,
    st.just("challenge"),
    st.dictionaries(st.sampled_from(NUMBERS), TEXTS, max_size=len(NUMBERS)).map(
        lambda texts: tuple(texts.items())
    ),
    st.lists(st.sampled_from(("pwd", "otp", "hwk", "")), max_size=3).map(tuple),
    st.sampled_from(("", "1", "urn:x" * 30)),
)
SCTS = st.builds(
    SignedCertificateTimestamp,
    st.binary(min_size=32, max_size=32),
    st.integers(0, 2**63),
    st.sampled_from((b"", bytes.fromhex("0000050000000005"), bytes(300))),
    st.just(4),
    st.just(3),
    st.binary(min_size=70, max_size=72),
)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(AUTHORITIES)), st.sampled_from(KINDS), IDENTITIES)
def test_as_the_builder(issuing: str, kind: str, identity: Identity) -> None:
    """For every kind of authority, key and identity, and every set of extensions."""
    found = AUTHORITIES[issuing]
    made = precertify(found, KEYS[kind], identity, NOW, new_serial=lambda: SERIAL)
    poison = build.encode_extension("1.3.6.1.4.1.11129.2.4.3", der.null(), critical=True)

    assert made.tbs == general(found, kind, identity, b"")
    assert parse_certificate(made.der).tbs == general(found, kind, identity, poison)


@settings(max_examples=50, deadline=None)
@given(IDENTITIES, SCTS)
def test_promise(identity: Identity, sct: SignedCertificateTimestamp) -> None:
    """The certificate with any promise is the builder's too, and another library reads it."""
    found = AUTHORITIES["ecdsa-p256"]
    made = precertify(found, KEYS["ecdsa-p256"], identity, NOW, new_serial=lambda: SERIAL)
    listed = build.encode_extension("1.3.6.1.4.1.11129.2.4.2", encode_sct_list((sct,)))
    certificate = made.with_sct(sct)

    assert encode_promise(sct) == listed
    assert parse_certificate(certificate).tbs == general(found, "ecdsa-p256", identity, listed)
    assert x509.load_der_x509_certificate(certificate).serial_number == SERIAL


@pytest.mark.parametrize("number", sorted(BY_NUMBER))
@pytest.mark.parametrize("size", [0, 1, 109, 110, 111, 112, 113, 114, 127, 128, 255, 256, 70_000])
def test_text_of_each_size(number: int, size: int) -> None:
    """Each extension, at every length where an encoding changes."""
    assert encode_text(number, "x" * size) == general_text(number, "x" * size)


@pytest.mark.parametrize("size", [0, 1, 109, 110, 111, 112, 113, 114, 127, 128, 255, 256, 70_000])
def test_name_of_each_size(size: int) -> None:
    """Each kind of name, at every length where an encoding changes."""
    for name in (
        SubjectName("email", "x" * size),
        SubjectName("uri", "x" * size),
        SubjectName("username", "x" * size),
    ):
        assert encode_name(name) == general_name(name)


@pytest.mark.parametrize("bits", [1, 7, 8, 63, 64, 128, 150, 151, 152, 157, 158, 159])
def test_serial_of_each_size(bits: int) -> None:
    """A serial number with zeros at its beginning is as short as DER wants it."""
    found = AUTHORITIES["ecdsa-p256"]
    identity = Identity("https://i", "s", SubjectName("email", "a@example.com"), "s")
    serial = (1 << bits) - 1
    made = precertify(found, KEYS["ecdsa-p256"], identity, NOW, new_serial=lambda: serial)
    read = x509.load_der_x509_certificate(made.der)

    assert read.serial_number == serial
    assert read.not_valid_after_utc - read.not_valid_before_utc == timedelta(seconds=600)


@pytest.mark.parametrize("kind", ["email", "uri"])
@pytest.mark.parametrize("size", [1, 200])
def test_name_that_is_not_ascii(kind: str, size: int) -> None:
    """No certificate holds it, long or short."""
    with pytest.raises(MalformedError):
        encode_name(SubjectName(kind, "ü" * size))  # type: ignore[arg-type]  # literals
