"""OpenID Connect: who somebody is, said by an issuer that this deployment believes.

    text -> UnverifiedToken -> Claims -> Identity

`tokens` reads a compact JWT. `issuers` is the table of who is believed, by URL or by pattern;
`config` reads it from Fulcio's `config.yaml` (`document` from YAML or JSON), and `rules` are what
this deployment asks beyond that. `discovery` fetches and keeps the keys of issuers elsewhere.
`identity` makes an identity out of checked claims, by type; `providers`, `templates` and `go_url`
make that of a build. `issuer` is our own issuer, with its keys under `/oidc`.
OpenID Connect Core §3.1.3.7; RFC 7515, 7517, 7519.
"""

from touchplate.oidc.identity import Identity, SubjectName
from touchplate.oidc.issuer import OwnIssuer, mint_token
from touchplate.oidc.issuers import Authenticator, Issuer
from touchplate.oidc.rules import IssuerRule
from touchplate.oidc.tokens import Claims, UnverifiedToken, parse_token

__all__ = [
    "Authenticator",
    "Claims",
    "Identity",
    "Issuer",
    "IssuerRule",
    "OwnIssuer",
    "SubjectName",
    "UnverifiedToken",
    "mint_token",
    "parse_token",
]
