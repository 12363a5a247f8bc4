"""Each way in which a certificate can differ from what its authority issues, planted and named."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchplate.ca.authority import Authority, create_chain
from touchplate.errors import MalformedError
from touchplate.formats import certificate_builder as build
from touchplate.formats import der
from touchplate.formats.certificate import parse_certificate
from touchplate.formats.leaf_profile import find_violations
from touchplate.formats.sct import SignedCertificateTimestamp, encode_sct_list
from touchplate.keys.signer import generate

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LIFE = timedelta(seconds=600)
ISSUING = generate()
CHAIN = create_chain(generate(), ISSUING, organization="example.com", common_name="x", now=NOW)
AUTHORITY = Authority.load(ISSUING, CHAIN, NOW)
KEY = generate().public_key.spki
POISON = build.encode_extension("1.3.6.1.4.1.11129.2.4.3", der.null(), critical=True)
PROMISE = SignedCertificateTimestamp(bytes(32), 1, b"", 4, 3, b"signature")
PROMISES = build.encode_extension("1.3.6.1.4.1.11129.2.4.2", encode_sct_list((PROMISE,)))
SAN = der.sequence(der.ia5_string("dev@example.com", 0x81))
ARC = "1.3.6.1.4.1.57264.1"


def identity(number: int, text: str = "https://idp.example.com") -> bytes:
    """Make an extension of the identity."""
    octets = text.encode() if number < 7 else der.utf8_string(text)
    return build.encode_extension(f"{ARC}.{number}", octets)


USUAL: dict[str, bytes] = {
    "usage": build.key_usage(build.KEY_USAGE_SIGN),
    "purpose": build.extended_key_usage(build.CODE_SIGNING),
    "subject key": build.subject_key_identifier(KEY),
    "authority key": build.authority_key_identifier(AUTHORITY.key_identifier),
    "name": build.encode_extension("2.5.29.17", SAN, critical=True),
    "issuer v1": identity(1),
    "issuer": identity(8),
    "subject": identity(24, "someone"),
    "last": POISON,
}


def make(
    extensions: dict[str, bytes] | None = None,
    *,
    serial: int = 7,
    issuer: bytes = AUTHORITY.issuing.subject_der,
    start: datetime = NOW,
    life: timedelta = LIFE,
    subject: bytes = b"\x30\x00",
    signer: Any = ISSUING,
) -> bytes:
    """Make a precertificate; what is not given is as it should be."""
    head = build.encode_tbs_head(
        7, AUTHORITY.signature_identifier, issuer, (start, start + life), subject, KEY
    ).replace(b"\x02\x01\x07", der.integer(serial), 1)
    listed = [each for each in (USUAL | (extensions or {})).values() if each]
    tbs = build.encode_tbs(head, listed)
    return build.sign_tbs(tbs, AUTHORITY.signature_identifier, signer)


def violations(data: bytes, *, is_precertificate: bool = True) -> list[str]:
    """Give what is wrong with a certificate."""
    certificate = parse_certificate(data)
    return list(
        find_violations(certificate, AUTHORITY.issuing, is_precertificate=is_precertificate)
    )


def swapped(first: str, second: str) -> dict[str, bytes]:
    """Exchange the places of two extensions."""
    return {first: USUAL[second], second: USUAL[first]}


def test_as_issued() -> None:
    """A precertificate and a certificate as they should be violate nothing."""
    assert violations(make()) == []
    assert violations(make({"last": PROMISES}), is_precertificate=False) == []


PLANTED: dict[str, tuple[Callable[[], bytes], str]] = {
    "signature": (lambda: make(signer=generate()), "it is not signed by its issuer"),
    "serial number": (lambda: make(serial=1 << 159), "the serial number is"),
    "long life": (lambda: make(life=2 * LIFE), "it is valid for 1200 s, not 600 s"),
    "short life": (lambda: make(life=LIFE / 2), "it is valid for 300 s"),
    "before its issuer": (lambda: make(start=NOW - timedelta(days=2)), "valid when its issuer"),
    "after its issuer": (lambda: make(start=NOW + timedelta(days=9999)), "valid when its issuer"),
    "subject": (lambda: make(subject=build.encode_name("x", "y")), "the subject is not empty"),
    "order": (lambda: make(swapped("usage", "purpose")), "the extensions are in another order"),
    "order of the identity": (lambda: make(swapped("issuer", "subject")), "another order"),
    "poison not last": (lambda: make(swapped("subject", "last")), "another order"),
    "no usage": (lambda: make({"usage": b""}), "extension 2.5.29.15 is missing"),
    "no purpose": (lambda: make({"purpose": b""}), "extension 2.5.29.37 is missing"),
    "no subject key": (lambda: make({"subject key": b""}), "extension 2.5.29.14 is missing"),
    "no authority key": (lambda: make({"authority key": b""}), "extension 2.5.29.35 is missing"),
    "no name": (lambda: make({"name": b""}), "extension 2.5.29.17 is missing"),
    "authority": (
        lambda: make({"more": build.basic_constraints(None)}),
        "extension 2.5.29.19 does not belong there",
    ),
    "usage of an authority": (
        lambda: make({"usage": build.key_usage(build.KEY_USAGE_ISSUE)}),
        "extension 2.5.29.15 holds something else",
    ),
    "purpose of a timestamp": (
        lambda: make({"purpose": build.extended_key_usage(build.TIME_STAMPING)}),
        "extension 2.5.29.37 holds something else",
    ),
    "critical purpose": (
        lambda: make({"purpose": build.extended_key_usage(build.CODE_SIGNING, critical=True)}),
        "extension 2.5.29.37 is critical",
    ),
    "subject key of another": (
        lambda: make({"subject key": build.subject_key_identifier(generate().public_key.spki)}),
        "extension 2.5.29.14 holds something else",
    ),
    "authority key of another": (
        lambda: make({"authority key": build.authority_key_identifier(bytes(20))}),
        "extension 2.5.29.35 holds something else",
    ),
    "name not critical": (
        lambda: make({"name": build.encode_extension("2.5.29.17", SAN)}),
        "extension 2.5.29.17 is not critical",
    ),
    "two names": (
        lambda: make(
            {"name": build.encode_extension("2.5.29.17", der.sequence(2 * SAN[2:]), critical=True)}
        ),
        "2 subject alternative names, not one",
    ),
    "no issuer": (
        lambda: make({"issuer": b"", "issuer v1": b""}),
        "it does not say who vouched",
    ),
    "two issuers": (lambda: make({"issuer": identity(8, "https://other")}), "says two things"),
    "empty value": (lambda: make({"subject": identity(24, "")}), "tokenSubject is empty"),
    "critical identity": (
        lambda: make(
            {
                "subject": build.encode_extension(
                    f"{ARC}.24", der.utf8_string("someone"), critical=True
                )
            }
        ),
        "is critical",
    ),
    "no poison": (lambda: make({"last": b""}), "it has not the poison"),
    "another poison": (
        lambda: make(
            {"last": build.encode_extension("1.3.6.1.4.1.11129.2.4.3", b"\4\0", critical=True)}
        ),
        "it has not the poison",
    ),
    "poison not critical": (
        lambda: make({"last": build.encode_extension("1.3.6.1.4.1.11129.2.4.3", der.null())}),
        "is not critical",
    ),
    "no object identifier": (
        lambda: make(
            {
                "subject": USUAL["subject"],
                "last": der.sequence(der.tlv(der.OID, b"\x2b\x98"), der.octet_string(b"")) + POISON,
            }
        ),
        "extension 2b98 does not belong there",
    ),
    "promise before": (lambda: make({"last": PROMISES + POISON}), "a precertificate holds a"),
}


@pytest.mark.parametrize("case", PLANTED)
def test_planted(case: str) -> None:
    """What was planted is named, and nothing else but what follows from it."""
    make_it, named = PLANTED[case]
    found = violations(make_it())

    assert any(named in each for each in found)
    # Another library does not read such a type, so it finds no signature either.
    assert len(found) == (2 if case == "no object identifier" else 1), found


@pytest.mark.parametrize(
    ("last", "named"),
    [
        (POISON, "a certificate holds the poison"),
        (b"", "it holds no promise of a log"),
        (
            build.encode_extension("1.3.6.1.4.1.11129.2.4.2", encode_sct_list((PROMISE, PROMISE))),
            "it holds several promises",
        ),
    ],
)
def test_certificate(last: bytes, named: str) -> None:
    """A final certificate has one promise, and no poison."""
    assert named in " ".join(violations(make({"last": last}), is_precertificate=False))


def test_all_are_named() -> None:
    """Several violations are all named."""
    assert (
        len(violations(make({"usage": b""}, life=2 * LIFE, subject=build.encode_name("x", "y"))))
        == 3
    )


@given(st.integers(0, 600), st.integers(0, 7))
def test_any_bit(place: int, bit: int) -> None:
    """A certificate with any bit changed is malformed or violates something."""
    data = bytearray(make())
    data[place % len(data)] ^= 1 << bit
    try:
        found = violations(bytes(data))
    except MalformedError:
        return
    assert found
