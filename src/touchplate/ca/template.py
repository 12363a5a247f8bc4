"""The bytes of a leaf certificate: what changes from one to the next, set into what does not.

For each authority its name, its key's and the algorithm are the same, and of an extension all but
the text. A text that is too long for a length of one octet goes to the builder; the tests hold what
is made here to what the builder makes.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Final

from touchplate.ca.authority import Authority
from touchplate.errors import MalformedError
from touchplate.formats import certificate_builder as build
from touchplate.formats import der
from touchplate.formats.authentication import EXTENSION, encode_authentication
from touchplate.formats.extensions import BY_NUMBER, encode_extension
from touchplate.formats.sct import SignedCertificateTimestamp, encode_sct_list
from touchplate.keys.public import PublicKey
from touchplate.oidc.identity import Identity, SubjectName

POISON: Final = build.encode_extension("1.3.6.1.4.1.11129.2.4.3", der.null(), critical=True)

_VERSION_3: Final = der.explicit(0, der.integer(2))
_EMPTY_NAME: Final = der.sequence()
_USAGES: Final = build.key_usage(build.KEY_USAGE_SIGN) + build.extended_key_usage(
    build.CODE_SIGNING
)
_SUBJECT_KEY: Final = build.encode_extension("2.5.29.14", der.octet_string(bytes(20)))[:-20]
_SCT_LIST: Final = der.oid("1.3.6.1.4.1.11129.2.4.2")
_USER_NAME: Final = der.oid("1.3.6.1.4.1.57264.1.7")
_ALTERNATIVE_NAME: Final = "2.5.29.17"
_ISSUER_V1, _ISSUER, _SUBJECT = 1, 8, 24

# The type of each extension of ours by its number; all have this size. None is critical.
_TYPES: Final[Mapping[int, tuple[bytes, bool]]] = {
    number: (der.tlv(der.OID, row.oid), row.is_raw) for number, row in BY_NUMBER.items()
}
_TYPE_SIZE: Final = 12
# Up to so many octets of text every length has one octet.
_MAX_SHORT: Final = 0x7F - _TYPE_SIZE - 4
# Extension { subjectAltName, TRUE, OCTET STRING { SEQUENCE { the name, by its tag } } }
_NAME: Final = b"\x30%c" + der.oid(_ALTERNATIVE_NAME) + b"\x01\x01\xff\x04%c\x30%c%c%c%b"
_NAME_TAGS: Final = {"email": 0x81, "uri": 0x86}


def encode_head(
    authority: Authority, public_key: PublicKey, serial: int, validity: tuple[datetime, datetime]
) -> bytes:
    """Give the fields of the signed part that stand before the extensions."""
    return b"".join(
        (
            _VERSION_3,
            build.encode_serial(serial),
            authority.signature_identifier,
            # As it stands in the certificate: another encoding of the same words breaks chains.
            authority.chain[0].subject_der,
            build.encode_validity(*validity),
            _EMPTY_NAME,
            public_key.spki,
        )
    )


def encode_extensions(authority: Authority, public_key: PublicKey, identity: Identity) -> bytes:
    """Give the extensions that precertificate and certificate have in common, in their order.

    Raises MalformedError REQUEST_MALFORMED for what a certificate cannot hold.
    """
    if not identity.issuer:
        raise MalformedError("REQUEST_MALFORMED", "extensions must have a non-empty issuer url")
    parts = [
        _USAGES,
        _SUBJECT_KEY,
        build.key_identifier(public_key.spki),
        _authority_key(authority.key_identifier),
        encode_name(identity.san),
    ]
    if identity.extensions:
        texts = dict(identity.extensions)
        texts |= {_ISSUER_V1: identity.issuer, _ISSUER: identity.issuer, _SUBJECT: identity.subject}
        parts += [encode_text(number, texts[number]) for number in sorted(texts)]
    else:
        parts.append(encode_text(_ISSUER_V1, identity.issuer))
        parts.append(encode_text(_ISSUER, identity.issuer))
        parts.append(encode_text(_SUBJECT, identity.subject))
    if identity.amr or identity.acr:
        login = encode_authentication(identity.amr, identity.acr)
        if login is not None:
            parts.append(build.encode_extension(EXTENSION, login))
    return b"".join(parts)


@lru_cache(maxsize=16)  # few authorities issue
def _authority_key(identifier: bytes) -> bytes:
    return build.authority_key_identifier(identifier)


def encode_name(name: SubjectName) -> bytes:
    """Give the extension subjectAltName, critical because the subject is empty: just one name."""
    tag = _NAME_TAGS.get(name.kind)
    if tag is None:
        value = der.explicit(0, der.utf8_string(name.value))
        general = der.tlv(0xA0, _USER_NAME + value)
        return build.encode_extension(_ALTERNATIVE_NAME, der.sequence(general), critical=True)
    if not name.value.isascii():
        raise MalformedError(
            "REQUEST_MALFORMED", f"x509: {name.value!r} cannot be encoded as an IA5String"
        )
    octets = name.value.encode("ascii")
    size = len(octets)
    if size > _MAX_SHORT:
        value = der.sequence(der.tlv(tag, octets))
        return build.encode_extension(_ALTERNATIVE_NAME, value, critical=True)
    return _NAME % (size + 14, size + 4, size + 2, tag, size, octets)


def encode_text(number: int, text: str) -> bytes:
    """Give the extension 1.3.6.1.4.1.57264.1.N; an empty text has none."""
    if not text:
        return b""
    octets, (kind, is_raw) = text.encode(), _TYPES[number]
    size = len(octets)
    if size > _MAX_SHORT:
        return der.sequence(kind, der.octet_string(encode_extension(BY_NUMBER[number], text)))
    if is_raw:
        return b"\x30%c%b\x04%c%b" % (size + _TYPE_SIZE + 2, kind, size, octets)
    return b"\x30%c%b\x04%c\x0c%c%b" % (size + _TYPE_SIZE + 4, kind, size + 2, size, octets)


def encode_promise(sct: SignedCertificateTimestamp) -> bytes:
    """Give the extension that holds the log's promise, wrapped in two OCTET STRINGs."""
    value = encode_sct_list((sct,))
    before = _SCT_LIST + der.head(der.OCTET_STRING, len(value))
    return b"".join((der.head(der.SEQUENCE, len(before) + len(value)), before, value))
