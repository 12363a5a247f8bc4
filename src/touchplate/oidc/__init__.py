"""OpenID Connect: who somebody is, said by an issuer that this deployment believes.

    text -> UnverifiedToken -> Claims -> Identity

`tokens` reads a compact JWT, `issuers` is the table of who is believed and for what, `identity`
makes an identity out of checked claims, `issuer` is our own issuer, with its keys under `/oidc`.
OpenID Connect Core §3.1.3.7; RFC 7515, 7517, 7519.
"""

from touchplate.oidc.identity import Identity, SubjectName
from touchplate.oidc.issuer import OwnIssuer, mint_token
from touchplate.oidc.issuers import Authenticator, Issuer
from touchplate.oidc.tokens import Claims, UnverifiedToken, parse_token

__all__ = [
    "Authenticator",
    "Claims",
    "Identity",
    "Issuer",
    "OwnIssuer",
    "SubjectName",
    "UnverifiedToken",
    "mint_token",
    "parse_token",
]
