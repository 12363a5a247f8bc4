"""From checked claims to an identity: one function for each type of issuer, in `IDENTITY_TYPES`.

What an identity becomes in a certificate: `san` its subject, `issuer` the extensions .1 and .8,
`subject` .24, `extensions` the rest; `challenge` is what the caller signs to prove that it holds
the private key.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import urlsplit

from touchplate.errors import RefusedError
from touchplate.oidc.go_url import join_url
from touchplate.oidc.json_path import JsonPath
from touchplate.oidc.providers import LEGACY, CertificateOf
from touchplate.oidc.spiffe import is_spiffe_id
from touchplate.oidc.tokens import Claims

MAX_NAME: Final = 2048
MAX_EMAIL: Final = 254  # RFC 5321 §4.5.3.1.3, less the angle brackets

_ATOM: Final = r"[^\x00-\x20\x7f\"(),:;<>@\[\\\].]+"
_LABEL: Final = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_EMAIL: Final = re.compile(
    rf"(?:{_ATOM}(?:\.{_ATOM})*|\"[^\"\\\x00-\x1f\x7f]*\")@(?:{_LABEL}\.)+(?=[^\W\d_]){_LABEL}"
)
# Go reads the same characters as we do only inside this set; a backslash is where parsers differ.
_URI: Final = re.compile(r"[!-\[\]-~]+")
_KUBERNETES: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")


class SubjectName(NamedTuple):
    """The one name of a certificate: an email address, a URI, or a user name `user!domain`."""

    kind: Literal["email", "uri", "username"]
    value: str


class Identity(NamedTuple):
    """Who asks, as an issuer that is believed said it."""

    issuer: str
    subject: str
    san: SubjectName
    challenge: str
    # Further extensions 1.3.6.1.4.1.57264.1.N by N; without 1, 8 and 24, which follow from above.
    extensions: tuple[tuple[int, str], ...] = ()
    # How the issuer says that they logged in (RFC 8176), and how far it trusts that; () and "" if
    # it does not say.
    amr: tuple[str, ...] = ()
    acr: str = ""


@dataclass(frozen=True, slots=True)
class TypeSettings:
    """What an identity type may need to know of its issuer."""

    subject_domain: str = ""
    skip_email_verification: bool = False
    # Where the claims name the issuer behind a federating one; for type `email`.
    issuer_claim: JsonPath | None = None
    spiffe_trust_domain: str = ""
    # For type `ci-provider`.
    provider: CertificateOf | None = None


def email_identity(claims: Claims, settings: TypeSettings) -> Identity:
    """The `email` claim, verified by the issuer; verbatim, case and all."""
    email = claims.text("email")
    if not is_email(email):
        raise _refused("the claim email is no address")
    if not _is_verified(claims.values) and not settings.skip_email_verification:
        raise _refused("the issuer has not verified the email address")
    issuer = claims.issuer
    if settings.issuer_claim is not None:
        issuer = settings.issuer_claim.find(claims.values)
    return Identity(issuer, claims.subject, SubjectName("email", email), email)


def username_identity(claims: Claims, settings: TypeSettings) -> Identity:
    """The subject, a name without `!` that is no address, in the issuer's subject domain."""
    name = claims.subject
    if "!" in name or is_email(name) or len(name) > MAX_NAME or not name.isprintable():
        raise _refused("the subject is no user name")
    return _subject(claims, SubjectName("username", f"{name}!{settings.subject_domain}"))


def uri_identity(claims: Claims, settings: TypeSettings) -> Identity:
    """The subject, a URI with scheme and host of the issuer's subject domain."""
    uri = claims.subject
    if len(uri) > MAX_NAME or not _URI.fullmatch(uri) or is_email(uri):
        raise _refused("the subject is no URI")
    if _scheme_and_host(uri) != _scheme_and_host(settings.subject_domain):
        raise _refused(f"the subject is not in the domain {settings.subject_domain}")
    return _uri(claims, uri)


def spiffe_identity(claims: Claims, settings: TypeSettings) -> Identity:
    """The subject, a SPIFFE ID of the issuer's trust domain."""
    if not is_spiffe_id(claims.subject, settings.spiffe_trust_domain):
        raise _refused(f"the subject is no SPIFFE ID in {settings.spiffe_trust_domain}")
    return _uri(claims, claims.subject)


def kubernetes_identity(claims: Claims, _: TypeSettings) -> Identity:
    """The service account that the claim `kubernetes.io` names."""
    found = claims.values.get("kubernetes.io")
    account = found.get("serviceaccount") if isinstance(found, dict) else None
    namespace = found.get("namespace") if isinstance(found, dict) else None
    name = account.get("name") if isinstance(account, dict) else None
    for each in (namespace, name):
        if not isinstance(each, str) or not _KUBERNETES.fullmatch(each):
            raise _refused("it names no service account of Kubernetes")
    return _uri(claims, f"https://kubernetes.io/namespaces/{namespace}/serviceaccounts/{name}")


def chainguard_identity(claims: Claims, _: TypeSettings) -> Identity:
    """The subject below the issuer; the challenge is the email address, if there is one."""
    identity = _uri(claims, join_url(claims.issuer, claims.subject))
    email = claims.values.get("email")
    if email is None or email == "":
        return identity
    if not isinstance(email, str) or not _is_verified(claims.values):
        raise _refused("the issuer has not verified the email address")
    return Identity(claims.issuer, claims.subject, identity.san, email)


def provider_identity(claims: Claims, settings: TypeSettings) -> Identity:
    """What the templates of the issuer's provider make of the claims."""
    assert settings.provider is not None  # noqa: S101  so says `check_issuer`
    return _described(claims, settings.provider)


def _legacy_identity(provider: CertificateOf) -> "Callable[[Claims, TypeSettings], Identity]":
    return lambda claims, _: _described(claims, provider)


def _described(claims: Claims, provider: CertificateOf) -> Identity:
    name, extensions = provider.describe(claims.values)
    san = SubjectName("uri", name)
    return Identity(claims.issuer, claims.subject, san, claims.subject, extensions)


def _uri(claims: Claims, uri: str) -> Identity:
    return _subject(claims, SubjectName("uri", uri))


def _subject(claims: Claims, name: SubjectName) -> Identity:
    return Identity(claims.issuer, claims.subject, name, claims.subject)


class IdentityType(NamedTuple):
    """One row: how claims become an identity, and the claim that `configuration` names."""

    identify: Callable[[Claims, TypeSettings], Identity]
    challenge_claim: str = "sub"


IDENTITY_TYPES: Final[Mapping[str, IdentityType]] = {
    "email": IdentityType(email_identity, "email"),
    "username": IdentityType(username_identity),
    "uri": IdentityType(uri_identity),
    "spiffe": IdentityType(spiffe_identity),
    "kubernetes": IdentityType(kubernetes_identity),
    "chainguard-identity": IdentityType(chainguard_identity),
    "ci-provider": IdentityType(provider_identity),
    **{name: IdentityType(_legacy_identity(provider)) for name, provider in LEGACY.items()},
}


def is_email(text: str) -> bool:
    """Say whether the text has the form of an address; nothing about who owns it."""
    return len(text) <= MAX_EMAIL and _EMAIL.fullmatch(text) is not None


def _is_verified(values: Mapping[str, Any]) -> bool:
    """Read `email_verified`; a missing one is false, another value than these is no answer."""
    value = values.get("email_verified", False)
    if value in ("true", "True") or value is True:
        return True
    if value in ("false", "False") or value is False:
        return False
    raise _refused("the claim email_verified is neither true nor false")


def _scheme_and_host(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
        found = (parts.scheme, parts.hostname or "")
    except ValueError as error:
        raise _refused("a URI does not parse") from error
    if not all(found):
        raise _refused("a URI lacks scheme or host")
    return found


def _refused(reason: str) -> RefusedError:
    return RefusedError("TOKEN_REFUSED", f"identity token: {reason}")
