"""The issuers that a deployment believes, as a table, and the way from a token to an identity."""

import re
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from touchplate.errors import RefusedError, SettingsError, TouchplateError
from touchplate.oidc.identity import IDENTITY_TYPES, Identity, TypeSettings
from touchplate.oidc.json_path import JsonPath
from touchplate.oidc.keys import KeySource
from touchplate.oidc.providers import CertificateOf
from touchplate.oidc.rules import IssuerRule
from touchplate.oidc.spiffe import is_trust_domain
from touchplate.oidc.tokens import UnverifiedToken, check_token, parse_token
from touchplate.transport.http import is_loopback

DEFAULT_AUDIENCE: Final = "sigstore"
# Tokens of Google may leave out the scheme (go-oidc does the same); the row's key must too.
GOOGLE: Final = ("https://accounts.google.com", "accounts.google.com")
MAX_AMR: Final = 16
MAX_WORD: Final = 256


@dataclass(frozen=True, slots=True)
class Issuer:
    """One row: an issuer that is believed, or a pattern of such, and for which kind of identity."""

    # Equal to the `iss` of its tokens, byte for byte; a slash at the end is another issuer. In a
    # pattern each `*` stands for letters, digits, `-` and `_`.
    url: str
    # None: found by discovery.
    keys: KeySource | None = None
    type: str = "email"
    audience: str = DEFAULT_AUDIENCE
    is_pattern: bool = False
    # The pattern that this issuer came from; empty for one that is named itself.
    pattern: str = ""
    # By what the row is found for a token; only Google's differs from the URL.
    key: str = ""
    # For type `uri` scheme and host that each subject must have, for `username` its domain.
    subject_domain: str = ""
    skip_email_verification: bool = False
    issuer_claim: JsonPath | None = None
    spiffe_trust_domain: str = ""
    provider: CertificateOf | None = None
    # What `configuration` shows; empty: that of the type.
    shown_challenge_claim: str = ""
    # PEM of authorities for its TLS, beside the system's.
    ca_certificates: str = ""

    @property
    def challenge_claim(self) -> str:
        """Name the claim whose value the caller signs as proof of possession."""
        return self.shown_challenge_claim or IDENTITY_TYPES[self.type].challenge_claim

    @property
    def type_settings(self) -> TypeSettings:
        """Give what the identity type needs to know."""
        return TypeSettings(
            self.subject_domain,
            self.skip_email_verification,
            self.issuer_claim,
            self.spiffe_trust_domain,
            self.provider,
        )


class OpenedToken(NamedTuple):
    """A token that was read, and whose issuer is known. Nothing of it is proven."""

    token: UnverifiedToken
    # The row of the table, and the same for the token's own issuer, if the row is a pattern.
    row: Issuer
    issuer: Issuer
    table: "Authenticator"


class Prepared(NamedTuple):
    """A token, read if it could be, and what is to be waited for before it is checked."""

    token: str | OpenedToken
    # None: nothing. The future has no error.
    fetching: "Future[None] | None" = None


class Authenticator:
    """Token -> claims -> identity. It never changes; safe to call from any thread."""

    def __init__(
        self,
        issuers: Iterable[Issuer],
        *,
        discover: Callable[[Issuer], KeySource] | None = None,
        rules: Iterable[IssuerRule] = (),
        count: Callable[[str, str], None] | None = None,
    ) -> None:
        """Take the table; SETTINGS_INVALID if a row contradicts itself or stands twice.

        `discover` gives the keys of an issuer elsewhere, whose row or pattern has matched. `count`
        is told of each identity that was proven: the row's URL or pattern, and the token's issuer.
        """
        rows = tuple(issuers)
        self.issuers = tuple(sorted(rows, key=lambda row: (row.is_pattern, row.url)))
        by_key: dict[str, Issuer] = {}
        for row in rows:
            check_issuer(row)
            key = row.key or row.url
            if by_key.setdefault(key, row) is not row:
                raise SettingsError("SETTINGS_INVALID", f"issuer {key} is there twice")
        self._by_key = MappingProxyType({k: row for k, row in by_key.items() if not row.is_pattern})
        # In the order of the file: the first that matches handles the token.
        self._patterns = tuple((compile_pattern(row.url), row) for row in rows if row.is_pattern)
        self._discover = discover
        self._rules = tuple(rules)
        self._count = count

    def open(self, text: str) -> OpenedToken:
        """Read a token and find the row of its issuer. Raises TOKEN_MALFORMED, TOKEN_REFUSED.

        The issuer is matched before anything is fetched or computed for its token.
        """
        token = parse_token(text)
        row = self._find_row(token.issuer)
        return OpenedToken(token, row, _concrete(row, token), self)

    def authenticate(self, token: str | OpenedToken, at: datetime) -> Identity:
        """Prove who sent the token at `at`, or raise TOKEN_MALFORMED, TOKEN_REFUSED.

        If its issuer's keys have to be fetched this waits for them, to a deadline;
        UnavailableError if they cannot be had. One that was opened is held to the table that
        opened it.
        """
        if isinstance(token, OpenedToken):
            return token.table._prove(token, at)  # noqa: SLF001  its own class
        return self._prove(self.open(token), at)

    def _prove(self, opened: OpenedToken, at: datetime) -> Identity:
        token, row, issuer, _ = opened
        claims = check_token(
            token, audience=issuer.audience, find_keys=self._keys(issuer).find, at=at
        )
        identity = IDENTITY_TYPES[issuer.type].identify(claims, issuer.type_settings)
        amr, acr = _words(token.claims.get("amr")), _word(token.claims.get("acr"))
        if amr or acr:
            identity = identity._replace(amr=amr, acr=acr)
        for rule in self._rules:
            if rule.issuer == row.url:
                rule.check(identity)
        if self._count is not None:
            self._count(row.url, token.issuer)
        return identity

    def prepare(self, text: str) -> Prepared:
        """Read the token, and begin to fetch what `authenticate` would wait for.

        For an event loop: it waits for the future, and then gives the token to `authenticate`,
        which also says what is wrong with it.
        """
        try:
            opened = self.open(text)
            if self._discover is None:
                return Prepared(opened, None)
            return Prepared(opened, self._keys(opened.issuer).prepare(opened.token.key_id))
        except TouchplateError:
            return Prepared(text, None)

    def rules_without_issuer(self) -> tuple[str, ...]:
        """Give the rules that are for no row of the table."""
        known = {row.url for row in self.issuers}
        return tuple(rule.issuer for rule in self._rules if rule.issuer not in known)

    def _find_row(self, issuer: str) -> Issuer:
        row = self._by_key.get(issuer)
        if row is not None and (row.url == issuer or (row.url, issuer) == GOOGLE):
            return row
        for pattern, meta in self._patterns:
            if pattern.fullmatch(issuer):
                return meta
        raise RefusedError("TOKEN_REFUSED", "identity token: its issuer is not known here")

    def _keys(self, issuer: Issuer) -> KeySource:
        if issuer.keys is not None:
            return issuer.keys
        if self._discover is None:
            raise RefusedError("TOKEN_REFUSED", f"nothing is fetched for {issuer.url}")
        return self._discover(issuer)


def _concrete(row: Issuer, token: UnverifiedToken) -> Issuer:
    """Give the row for the token's issuer, which has matched it."""
    if not row.is_pattern:
        return row
    return replace(row, url=token.issuer, is_pattern=False, pattern=row.url)


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Make the expression of a meta-issuer; use `fullmatch` (CVE-2026-22772)."""
    return re.compile("[-_a-zA-Z0-9]+".join(map(re.escape, pattern.split("*"))))


def check_issuer(issuer: Issuer) -> None:
    """Refuse a row of the table that cannot be meant (SETTINGS_INVALID)."""
    problem = problem_of(issuer)
    if problem is not None:
        raise SettingsError("SETTINGS_INVALID", f"issuer {issuer.url}: {problem}")


def problem_of(issuer: Issuer) -> str | None:
    """Say why a row cannot be meant; None if it can."""
    try:
        # A star is not allowed in a port, but in a pattern it is no port.
        parts = urlsplit(issuer.url)
        host = parts.hostname or ""
    except ValueError:
        return "its URL does not parse"
    if parts.scheme not in ("https", "http") or not host or not issuer.audience:
        return "needs an http(s) URL and an audience (client-id)"
    if issuer.keys is None and parts.scheme == "http" and not is_loopback(host):
        return "http:// to another machine would be readable on the way"
    if parts.query or parts.fragment or parts.username is not None or not issuer.url.isascii():
        return "its URL has a query, a fragment, a user name, or is not ASCII"
    if issuer.type not in IDENTITY_TYPES:
        return f"issuer missing challenge claim: type {issuer.type!r} is none of " + ", ".join(
            IDENTITY_TYPES
        )
    if issuer.issuer_claim is not None and issuer.type != "email":
        return "only email issuers can use issuer claim mapping"
    if issuer.type == "ci-provider" and issuer.provider is None:
        return "type ci-provider needs a ci-provider of ci-issuer-metadata"
    if issuer.type == "spiffe":
        return _problem_of_spiffe(issuer)
    if issuer.type in ("uri", "username"):
        return _problem_of_domain(issuer, parts.scheme, host)
    return None


def _problem_of_spiffe(issuer: Issuer) -> str | None:
    if issuer.is_pattern:
        return "SPIFFE meta issuers not supported: many issuers would speak for one trust domain"
    if not is_trust_domain(issuer.spiffe_trust_domain):
        return f"spiffe trust domain {issuer.spiffe_trust_domain!r} is invalid"
    return None


def _problem_of_domain(issuer: Issuer, scheme: str, host: str) -> str | None:
    """Hold a subject domain to be of the issuer's own domain: its last two labels."""
    text = issuer.subject_domain
    if issuer.type == "uri":
        try:
            parts = urlsplit(text)
            domain = parts.hostname or ""
        except ValueError:
            return f"subject-domain {text!r} does not parse"
        if not parts.scheme or not domain:
            return f"type uri needs a subject-domain with scheme, not {text!r}"
        if parts.scheme != scheme:
            return f"may not speak for {text}: it has another scheme"
    else:
        domain = text
        if not re.fullmatch(r"[A-Za-z0-9._-]+", text):
            return f"type username needs a subject-domain without scheme, not {text!r}"
    ours, theirs = domain.split(".")[-2:], host.split(".")[-2:]
    if domain != host and (ours != theirs or len(ours) < 2):
        return f"may not speak for {text}: it is of another domain"
    return None


def _words(value: Any) -> tuple[str, ...]:  # noqa: ANN401  any JSON value
    """Read `amr`; what is not in the form of a list of words says nothing."""
    if not isinstance(value, list) or len(value) > MAX_AMR:
        return ()
    words = tuple(map(_word, value))
    return words if all(words) else ()


def _word(value: Any) -> str:  # noqa: ANN401  any JSON value
    is_word = isinstance(value, str) and len(value) <= MAX_WORD and value.isprintable()
    return value if is_word else ""
