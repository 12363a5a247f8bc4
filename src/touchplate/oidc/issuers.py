"""The issuers that a deployment believes, as a table, and the way from a token to an identity."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from touchplate.errors import RefusedError, SettingsError
from touchplate.oidc.identity import IDENTITY_TYPES, Identity, TypeSettings
from touchplate.oidc.tokens import FindKeys, check_token, parse_token

DEFAULT_AUDIENCE: Final = "sigstore"
CHALLENGE_CLAIMS: Final[Mapping[str, str]] = {"email": "email", "uri": "sub"}


@dataclass(frozen=True, slots=True)
class Issuer:
    """One issuer that is believed, and for which kind of identity."""

    # Equal to the `iss` of its tokens, byte for byte; a slash at the end is another issuer.
    url: str
    find_keys: FindKeys
    type: str = "email"
    audience: str = DEFAULT_AUDIENCE
    # What its discovery document says that it signs with; an issuer that does not say uses RS256.
    algorithms: tuple[str, ...] = ("RS256",)
    # For type `uri`: scheme and host that each subject must have.
    subject_domain: str = ""
    skip_email_verification: bool = False

    @property
    def challenge_claim(self) -> str:
        """Name the claim whose value the caller signs as proof of possession."""
        return CHALLENGE_CLAIMS[self.type]

    @property
    def type_settings(self) -> TypeSettings:
        """Give what the identity type needs to know."""
        return TypeSettings(self.subject_domain, self.skip_email_verification)


class Authenticator:
    """Token -> claims -> identity. Safe to call from any thread."""

    def __init__(self, issuers: Iterable[Issuer]) -> None:
        """Take the table; SETTINGS_INVALID if a row contradicts itself or stands twice."""
        self.issuers = tuple(issuers)
        by_url: dict[str, Issuer] = {}
        for issuer in self.issuers:
            check_issuer(issuer)
            if by_url.setdefault(issuer.url, issuer) is not issuer:
                raise SettingsError("SETTINGS_INVALID", f"issuer {issuer.url} is there twice")
        self._by_url = MappingProxyType(by_url)

    def authenticate(self, text: str, at: datetime) -> Identity:
        """Prove who sent the token at `at`, or raise TOKEN_MALFORMED, TOKEN_REFUSED.

        The issuer is matched before anything is fetched or computed for its token.
        """
        token = parse_token(text)
        issuer = self._by_url.get(token.issuer)
        if issuer is None:
            raise RefusedError("TOKEN_REFUSED", "identity token: its issuer is not known here")
        claims = check_token(
            token,
            audience=issuer.audience,
            algorithms=issuer.algorithms,
            find_keys=issuer.find_keys,
            at=at,
        )
        return IDENTITY_TYPES[issuer.type](claims, issuer.type_settings)


def check_issuer(issuer: Issuer) -> None:
    """Refuse a row of the table that cannot be meant (SETTINGS_INVALID)."""
    parts = urlsplit(issuer.url)
    if parts.scheme not in ("https", "http") or not parts.hostname or not issuer.audience:
        raise _invalid(issuer, "needs an http(s) URL and an audience")
    if issuer.type not in IDENTITY_TYPES:
        raise _invalid(issuer, f"type {issuer.type!r} is none of {', '.join(IDENTITY_TYPES)}")
    if issuer.type == "uri":
        domain = urlsplit(issuer.subject_domain)
        if not domain.scheme or not domain.hostname:
            raise _invalid(issuer, "type uri needs a subject domain with scheme")
        same = domain.hostname.split(".")[-2:] == parts.hostname.split(".")[-2:]
        if domain.scheme != parts.scheme or not same:
            raise _invalid(issuer, f"may not speak for {issuer.subject_domain}")


def _invalid(issuer: Issuer, reason: str) -> SettingsError:
    return SettingsError("SETTINGS_INVALID", f"issuer {issuer.url}: {reason}")
