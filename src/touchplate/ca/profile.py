"""The certificate that an identity gets (Fulcio's certificate specification), from a template.

Precertificate and certificate are the same bytes but for their last extension: the poison in one,
the list of timestamps in the other (RFC 6962 §3.1, §3.3). That is checked, with another library's
parser, before a certificate leaves.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509

from touchplate.ca.authority import Authority, random_serial
from touchplate.errors import MalformedError, SettingsError
from touchplate.formats import certificate_builder as build
from touchplate.formats import der
from touchplate.formats.authentication import EXTENSION, encode_authentication
from touchplate.formats.extensions import BY_NUMBER, encode_extension
from touchplate.formats.sct import SignedCertificateTimestamp, encode_sct_list
from touchplate.keys.public import PublicKey
from touchplate.oidc.identity import Identity, SubjectName

LIFETIME: Final = timedelta(seconds=600)

_FIXED: Final = build.key_usage(build.KEY_USAGE_SIGN) + build.extended_key_usage(build.CODE_SIGNING)
_EMPTY_NAME: Final = der.sequence()
_POISON: Final = build.encode_extension("1.3.6.1.4.1.11129.2.4.3", der.null(), critical=True)
_SCT_LIST: Final = "1.3.6.1.4.1.11129.2.4.2"
_USER_NAME: Final = der.oid("1.3.6.1.4.1.57264.1.7")
_ISSUER_V1, _ISSUER, _SUBJECT = 1, 8, 24
# Header of each Extension by its number: OID and nothing else, as none of them is critical.
_OIDS: Final[Mapping[int, bytes]] = {
    number: der.tlv(der.OID, row.oid) for number, row in BY_NUMBER.items()
}


@dataclass(frozen=True, slots=True)
class Precertificate:
    """A signed precertificate, and what is needed to make the certificate of it.

    It keeps the authority it was signed by: the key may rotate before the log has answered.
    """

    authority: Authority
    der: bytes
    head: bytes
    extensions: bytes

    @property
    def tbs(self) -> bytes:
        """Give the signed part without the poison: what the log promises."""
        return build.encode_tbs(self.head, (self.extensions,))

    @property
    def chain(self) -> tuple[bytes, ...]:
        """Give the chain for the log: precertificate, issuing certificate, …, root."""
        return (self.der, *(certificate.der for certificate in self.authority.chain))

    def with_sct(self, sct: SignedCertificateTimestamp) -> bytes:
        """Give the certificate (DER): the poison replaced by the log's promise."""
        listed = build.encode_extension(_SCT_LIST, encode_sct_list((sct,)))
        tbs = build.encode_tbs(self.head, (self.extensions, listed))
        signed = _sign(tbs, self.authority)
        if x509.load_der_x509_certificate(signed).tbs_precertificate_bytes != self.tbs:
            raise AssertionError("certificate and precertificate differ in more than the SCT")
        return signed


def precertify(
    authority: Authority,
    public_key: PublicKey,
    identity: Identity,
    at: datetime,
    *,
    new_serial: Callable[[], int] = random_serial,
) -> Precertificate:
    """Make the precertificate of `identity` for `public_key`, valid for 600 seconds from `at`.

    Raises MalformedError REQUEST_MALFORMED for a name that a certificate cannot hold, SettingsError
    if the authority's own certificate does not cover the time, what its signer raises.
    """
    head, extensions = _encode(authority, public_key, identity, at, new_serial)
    signed = _sign(build.encode_tbs(head, (extensions, _POISON)), authority)
    return Precertificate(authority, signed, head, extensions)


def certify(
    authority: Authority,
    public_key: PublicKey,
    identity: Identity,
    at: datetime,
    *,
    new_serial: Callable[[], int] = random_serial,
) -> bytes:
    """Make the same certificate (DER) without a promise in it; raises as `precertify` does."""
    head, extensions = _encode(authority, public_key, identity, at, new_serial)
    return _sign(build.encode_tbs(head, (extensions,)), authority)


def _encode(
    authority: Authority,
    public_key: PublicKey,
    identity: Identity,
    at: datetime,
    new_serial: Callable[[], int],
) -> tuple[bytes, bytes]:
    """Give what stands before the extensions, and those that are the same in every form."""
    start = at.replace(microsecond=0)
    # Nothing outlives any certificate above it: verifiers want all of them valid.
    if not authority.not_before <= start <= start + LIFETIME <= authority.not_after:
        raise SettingsError("SETTINGS_INVALID", "the authority's chain does not last so long")
    head = build.encode_tbs_head(
        new_serial(),
        authority.signature_identifier,
        authority.issuing.subject_der,
        (start, start + LIFETIME),
        _EMPTY_NAME,
        public_key.spki,
    )
    extensions = b"".join(
        (
            _FIXED,
            build.subject_key_identifier(public_key.spki),
            build.authority_key_identifier(authority.key_identifier),
            build.encode_extension("2.5.29.17", encode_san(identity.san), critical=True),
            *_identity_extensions(identity),
        )
    )
    return head, extensions


def encode_san(name: SubjectName) -> bytes:
    """Give the value of subjectAltName: exactly one GeneralName (RFC 5280 §4.2.1.6)."""
    if name.kind == "username":
        value = der.explicit(0, der.utf8_string(name.value))
        return der.sequence(der.tlv(0xA0, _USER_NAME + value))
    if not name.value.isascii():
        raise MalformedError(
            "REQUEST_MALFORMED", f"x509: {name.value!r} cannot be encoded as an IA5String"
        )
    return der.sequence(der.ia5_string(name.value, 0x81 if name.kind == "email" else 0x86))


def _identity_extensions(identity: Identity) -> Iterable[bytes]:
    """Give 1.3.6.1.4.1.57264.1.N in ascending order; an empty value has no extension."""
    if not identity.issuer:
        raise MalformedError("REQUEST_MALFORMED", "extensions must have a non-empty issuer url")
    values = dict(identity.extensions)
    values |= {_ISSUER_V1: identity.issuer, _ISSUER: identity.issuer, _SUBJECT: identity.subject}
    for number in sorted(values):
        if values[number]:
            value = encode_extension(BY_NUMBER[number], values[number])
            yield der.sequence(_OIDS[number], der.octet_string(value))
    login = encode_authentication(identity.amr, identity.acr)
    if login is not None:
        yield build.encode_extension(EXTENSION, login)


def _sign(tbs: bytes, authority: Authority) -> bytes:
    return build.sign_tbs(tbs, authority.signature_identifier, authority.signer)
