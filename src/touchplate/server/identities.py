"""Whose request it is, for limits by identity: of tokens, and of entries.

Nobody can use up the share of another: a token was verified before it counts, and a name in a
certificate counts only if our own authority signed that certificate. All other entries count for
the key in them, of whose signature the log has seen proof.
"""

import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

from touchplate.entries.terms import terms
from touchplate.errors import TouchplateError
from touchplate.formats.certificate import Certificate, parse_certificate, parse_pem_certificates
from touchplate.oidc.identity import Identity
from touchplate.oidc.issuers import OpenedToken
from touchplate.server.limits import Limits
from touchplate.verify.x509_signature import check_x509_signature

# The first certificate of a canonical body: DER as v2 holds it, or PEM as v1 does, in base64.
_DER: Final = re.compile(rb'"x509Certificate":{"rawBytes":"([A-Za-z0-9+/=]+)"')
_PEM: Final = re.compile(rb'"(LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0t[A-Za-z0-9+/=]+)"')

Authenticate = Callable[[str | OpenedToken, datetime], Identity]


def limited_tokens(authenticate: Authenticate, limits: Limits) -> Authenticate:
    """Count each token that is verified for its identity (TooOftenError)."""
    if limits.settings.identity is None:
        return authenticate

    def run(token: str | OpenedToken, at: datetime) -> Identity:
        identity = authenticate(token, at)
        limits.take_identity(f"token {identity.issuer} {identity.subject}")
        return identity

    return run


def limited_entries(
    limits: Limits, issuing: Callable[[], Iterable[Certificate]]
) -> Callable[[bytes], None] | None:
    """Count each entry, by its body, for whoever signed it; None if that is not limited.

    `issuing` gives the certificates of our own authority, of today and of before.
    """
    if limits.settings.identity is None:
        return None
    return lambda body: limits.take_identity(submitter_of(body, issuing()))


def submitter_of(body: bytes, issuing: Iterable[Certificate]) -> str:
    """Give the names in a certificate that one of `issuing` signed, else the hash of the key."""
    certificate = _find_certificate(body)
    if certificate is not None and any(_is_signed(certificate, each) for each in issuing):
        return " ".join(("names", *(name.value for name in certificate.alternative_names)))
    return f"key {(terms(body).keys or ('',))[0]}"


def _is_signed(certificate: Certificate, issuing: Certificate) -> bool:
    if certificate.issuer_der != issuing.subject_der:
        return False
    try:
        check_x509_signature(
            issuing.public_key,
            certificate.signature,
            certificate.tbs,
            certificate.signature_algorithm,
            code="CERT_CHAIN",
        )
    except TouchplateError:
        return False
    return True


def _find_certificate(body: bytes) -> Certificate | None:
    try:
        if found := _DER.search(body):
            return parse_certificate(a2b_base64(found[1]))
        if found := _PEM.search(body):
            return parse_pem_certificates(a2b_base64(found[1]).decode("ascii"))[0]
    except (TouchplateError, Base64Error, UnicodeDecodeError):
        return None
    return None
