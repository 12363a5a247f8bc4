"""What the extensions of RFC 5280 say that a verification reads.

Each decoder takes the octets of an extension's value and raises `DerError` for what is not as the
profile writes it. The certificate around them is `certificate.py`; what Sigstore puts in besides is
`extensions.py`.
"""

from functools import lru_cache
from typing import Final, NamedTuple

from touchplate.formats.element import (
    BIT_STRING,
    INTEGER,
    OID,
    SEQUENCE,
    DerError,
    element,
    expect,
    expect_last,
    integer,
    oid_octets,
    oid_text,
)

OTHER_NAME_USERNAME: Final = oid_octets("1.3.6.1.4.1.57264.1.7")

_KEY_USAGES: Final = (
    "digitalSignature",
    "nonRepudiation",
    "keyEncipherment",
    "dataEncipherment",
    "keyAgreement",
    "keyCertSign",
    "cRLSign",
    "encipherOnly",
    "decipherOnly",
)
_BOOLEAN: Final = 0x01
_TRUE: Final = b"\x01\x01\xff"


class BasicConstraints(NamedTuple):
    """RFC 5280 §4.2.1.9: whether the subject is an authority, and how many may stand below it."""

    is_ca: bool
    path_length: int | None


class AlternativeName(NamedTuple):
    """One name of the subject: `kind` is `email`, `uri` or `username`."""

    kind: str
    value: str


# These values are the same in certificate after certificate; an error is not kept.
_kept = lru_cache(maxsize=32)


@_kept
def decode_basic_constraints(value: bytes) -> BasicConstraints:
    """RFC 5280 §4.2.1.9."""
    at, end = expect_last(value, 0, len(value), SEQUENCE)
    is_ca = False
    if at < end and value[at] == _BOOLEAN:
        if value[at : at + 3] != _TRUE:
            raise DerError("the flag cA is neither absent nor TRUE")
        is_ca = True
        at += 3
    length = None
    if at < end:
        start, at = expect_last(value, at, end, INTEGER)
        length = integer(value, start, at)
        if length < 0 or not is_ca:
            raise DerError("a path length without an authority, or below zero")
    return BasicConstraints(is_ca, length)


@_kept
def decode_key_usage(value: bytes) -> frozenset[str]:
    """RFC 5280 §4.2.1.3: the names of the bits that are set."""
    start, end = expect_last(value, 0, len(value), BIT_STRING)
    if not 2 <= end - start <= 3 or value[start] > 7:
        raise DerError("key usage is not a short string of bits")
    bits = int.from_bytes(value[start + 1 : end], "big")
    if bits & ((1 << value[start]) - 1):
        raise DerError("key usage has bits set beyond its end")
    width = 8 * (end - start - 1)
    return frozenset(
        name
        for number, name in enumerate(_KEY_USAGES)
        if number < width and bits >> (width - 1 - number) & 1
    )


@_kept
def decode_extended_key_usage(value: bytes) -> tuple[str, ...]:
    """RFC 5280 §4.2.1.12: the purposes, as dotted OIDs; at least one."""
    at, end = expect_last(value, 0, len(value), SEQUENCE)
    purposes: list[str] = []
    while at < end:
        start, at = expect(value, at, end, OID)
        purposes.append(oid_text(value[start:at]))
    if not purposes:
        raise DerError("an empty list of purposes")
    return tuple(purposes)


@_kept
def decode_alternative_names(value: bytes) -> tuple[AlternativeName, ...]:
    """RFC 5280 §4.2.1.6: the names that are identities; what else it holds is passed over."""
    at, end = expect_last(value, 0, len(value), SEQUENCE)
    names: list[AlternativeName] = []
    while at < end:
        tag, start, at = element(value, at, end)
        try:
            if tag == 0x81:
                names.append(AlternativeName("email", value[start:at].decode("ascii")))
            elif tag == 0x86:
                names.append(AlternativeName("uri", value[start:at].decode("ascii")))
            elif tag == 0xA0:
                kind, inner = expect(value, start, at, OID)
                if value[kind:inner] == OTHER_NAME_USERNAME:
                    inner, stop = expect_last(value, inner, at, 0xA0)
                    inner, stop = expect_last(value, inner, stop, 0x0C)
                    names.append(AlternativeName("username", value[inner:stop].decode("utf-8")))
        except UnicodeDecodeError as error:
            raise DerError("a name that is not text") from error
    return tuple(names)
