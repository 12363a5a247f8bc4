"""The certificate that an identity gets (Fulcio's certificate specification), from a template.

Precertificate and certificate are the same bytes but for their last extension: the poison in one,
the list of timestamps in the other (RFC 6962 §3.1, §3.3). That is checked, with another library's
parser, before a certificate leaves.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from cryptography import x509

from touchplate.ca.authority import Authority, random_serial
from touchplate.ca.template import POISON, encode_extensions, encode_head, encode_promise
from touchplate.errors import SettingsError
from touchplate.formats import certificate_builder as build
from touchplate.formats.sct import SignedCertificateTimestamp
from touchplate.keys.public import PublicKey
from touchplate.oidc.identity import Identity

LIFETIME: Final = timedelta(seconds=600)


class Precertificate(NamedTuple):
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
        return (self.der, *[certificate.der for certificate in self.authority.chain])

    def with_sct(self, sct: SignedCertificateTimestamp) -> bytes:
        """Give the certificate (DER): the poison replaced by the log's promise."""
        tbs = build.encode_tbs(self.head, (self.extensions, encode_promise(sct)))
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
    signed = _sign(build.encode_tbs(head, (extensions, POISON)), authority)
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
    end = start + LIFETIME
    # Nothing outlives any certificate above it: verifiers want all of them valid.
    if not authority.not_before <= start <= end <= authority.not_after:
        raise SettingsError("SETTINGS_INVALID", "the authority's chain does not last so long")
    head = encode_head(authority, public_key, new_serial(), (start, end))
    return head, encode_extensions(authority, public_key, identity)


def _sign(tbs: bytes, authority: Authority) -> bytes:
    return build.sign_tbs(tbs, authority.signature_identifier, authority.signer)
