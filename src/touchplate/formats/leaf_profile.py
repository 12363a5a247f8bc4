"""Whether a certificate is as a certificate authority of this kind issues it: its profile.

Fulcio's certificate specification, with what this project's authority adds. A verifier asks less:
this is for who watches an authority, and wants to know of anything that it should not have signed.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from touchplate.errors import MalformedError
from touchplate.formats import authentication, der
from touchplate.formats import certificate_builder as build
from touchplate.formats.certificate import (
    EXTENDED_KEY_USAGE,
    KEY_USAGE,
    PRECERT_POISON,
    SCT_LIST,
    SUBJECT_ALT_NAME,
    Certificate,
    Extension,
)
from touchplate.formats.element import DerError, oid_octets, oid_text
from touchplate.formats.extensions import EXTENSIONS, decode_extensions
from touchplate.formats.sct import parse_sct_list

LIFETIME: Final = timedelta(seconds=600)
MAX_SERIAL_BITS: Final = 159

_SUBJECT_KEY: Final = oid_octets("2.5.29.14")
_AUTHORITY_KEY: Final = oid_octets("2.5.29.35")
_LOGIN: Final = oid_octets(authentication.EXTENSION)
_EMPTY_NAME: Final = der.sequence()
_USUAL: Final = (KEY_USAGE, EXTENDED_KEY_USAGE, _SUBJECT_KEY, _AUTHORITY_KEY, SUBJECT_ALT_NAME)
_IDENTITY: Final = tuple(row.oid for row in EXTENSIONS)
_ORDER: Final = (*_USUAL, *_IDENTITY, _LOGIN, SCT_LIST, PRECERT_POISON)
_CRITICAL: Final = frozenset({KEY_USAGE, SUBJECT_ALT_NAME, PRECERT_POISON})


def find_violations(
    certificate: Certificate, issuer: Certificate, *, is_precertificate: bool
) -> Iterator[str]:
    """Say each thing in which a certificate is not as `issuer` should have issued it.

    Whether it holds a promise, and whether that is kept, is the log's to say.
    """
    if build.find_broken_link((certificate, issuer)) == 0:
        yield "it is not signed by its issuer"
    yield from _find_in_head(certificate, issuer)
    yield from _find_in_order(certificate)
    yield from _find_in_values(certificate, issuer)
    yield from _find_in_last(certificate, is_precertificate=is_precertificate)


def _find_in_head(certificate: Certificate, issuer: Certificate) -> Iterator[str]:
    if certificate.version != 3:
        yield f"version {certificate.version}"
    if certificate.serial <= 0 or certificate.serial.bit_length() > MAX_SERIAL_BITS:
        yield "the serial number is not positive, or has more than 159 bits"
    if certificate.issuer_der != issuer.subject_der:
        yield "the issuer's name is not the subject of its certificate, byte for byte"
    lifetime = certificate.not_after - certificate.not_before
    if lifetime != LIFETIME:
        yield f"it is valid for {lifetime.total_seconds():.0f} s, not 600 s"
    if certificate.not_before < issuer.not_before or certificate.not_after > issuer.not_after:
        yield "it is valid when its issuer is not"
    if certificate.subject_der != _EMPTY_NAME:
        yield "the subject is not empty"


def _find_in_order(certificate: Certificate) -> Iterator[str]:
    found = tuple(certificate.extensions)
    unknown = [oid for oid in found if oid not in _ORDER]
    yield from (f"extension {_name(oid)} does not belong there" for oid in unknown)
    yield from (f"extension {_name(oid)} is missing" for oid in _USUAL if oid not in found)
    places = [_ORDER.index(oid) for oid in found if oid in _ORDER]
    if places != sorted(places):
        yield "the extensions are in another order"
    for oid, extension in certificate.extensions.items():
        if extension.critical is not (oid in _CRITICAL) and oid in _ORDER:
            is_critical = "critical" if extension.critical else "not critical"
            yield f"extension {_name(oid)} is {is_critical}"


def _find_in_values(certificate: Certificate, issuer: Certificate) -> Iterator[str]:
    identifier = issuer.value(_SUBJECT_KEY)
    own = der.octet_string(build.key_identifier(certificate.spki))
    for oid, expected in (
        (KEY_USAGE, build.KEY_USAGE_SIGN),
        (EXTENDED_KEY_USAGE, build.CODE_SIGNING),
        (_SUBJECT_KEY, own),
        (
            _AUTHORITY_KEY,
            # The issuer's OCTET STRING under the tag [0].
            None if identifier is None else der.sequence(b"\x80" + identifier[1:]),
        ),
    ):
        value = certificate.value(oid)
        if value is not None and value != expected:
            yield f"extension {_name(oid)} holds something else"
    try:
        if SUBJECT_ALT_NAME in certificate.extensions and len(certificate.alternative_names) != 1:
            yield f"{len(certificate.alternative_names)} subject alternative names, not one"
    except MalformedError as error:
        yield str(error)
    try:
        names = decode_extensions(certificate)
        authentication.decode_authentication(certificate)
    except MalformedError as error:
        yield str(error)
        return
    if not names.get("issuer") or names.get("issuerV1") != names.get("issuer"):
        yield "it does not say who vouched for the identity, or says two things"
    yield from (f"{name} is empty" for name, text in names.items() if not text)


def _find_in_last(certificate: Certificate, *, is_precertificate: bool) -> Iterator[str]:
    poison: Extension | None = certificate.extensions.get(PRECERT_POISON)
    promises = certificate.value(SCT_LIST)
    if is_precertificate:
        if poison is None or poison.value != der.null():
            yield "it has not the poison of a precertificate"
        if promises is not None:
            yield "a precertificate holds a promise"
        return
    if poison is not None:
        yield "a certificate holds the poison of a precertificate"
    if promises is None:
        yield "it holds no promise of a log"
        return
    try:
        if len(parse_sct_list(promises)) != 1:
            yield "it holds several promises"
    except MalformedError as error:
        yield str(error)


def _name(oid: bytes) -> str:
    """Name an extension; the reader of certificates takes any octets for its type."""
    try:
        return oid_text(oid)
    except DerError:
        return oid.hex()
