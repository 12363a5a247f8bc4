"""What our own token says of us, so that the certificate can be held against it.

Nothing is proven here: the authority checks the token. We only refuse what cannot work, and
remember what must come back. `architecture-docs: client-spec.md` §2.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from touchplate.errors import RefusedError, VerificationError
from touchplate.formats.certificate import Certificate
from touchplate.formats.extensions import decode_issuer
from touchplate.oidc.tokens import parse_token


@dataclass(frozen=True, slots=True)
class Expected:
    """Whom the certificate must name: the issuer, and the e-mail address if the token has one."""

    issuer: str
    email: str | None
    expires_at: datetime


def read_token(token: str, at: datetime) -> Expected:
    """Read the claims of a token that is still valid `at` (TOKEN_MALFORMED, TOKEN_REFUSED)."""
    claims = parse_token(token).claims
    expires = claims.get("exp")
    if isinstance(expires, bool) or not isinstance(expires, int | float):
        raise RefusedError("TOKEN_REFUSED", "the identity token has no expiry")
    try:
        expires_at = datetime.fromtimestamp(expires, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise RefusedError("TOKEN_REFUSED", "the identity token's expiry is no time") from error
    if expires_at <= at:
        raise RefusedError(
            "TOKEN_REFUSED",
            "the identity token has expired",
            expected=f"a token valid at {at:%Y-%m-%d %H:%M:%S} UTC",
            found=f"expiry {expires_at:%Y-%m-%d %H:%M:%S} UTC",
            hint="get a new token and sign at once; tokens live for minutes",
        )
    # Behind a federating issuer the certificate names the one that it asked (trap: not `iss`).
    federated = claims.get("federated_claims")
    connector = federated.get("connector_id") if isinstance(federated, dict) else None
    issuer = connector if isinstance(connector, str) and connector else claims["iss"]
    email = claims.get("email")
    return Expected(issuer, email if isinstance(email, str) and email else None, expires_at)


def check_names(leaf: Certificate, expected: Expected) -> str:
    """Hold the certificate to name whom the token names, and give its one identity.

    Raises ISSUER_MISMATCH, IDENTITY_MISMATCH.
    """
    issuer = decode_issuer(leaf)
    if issuer != expected.issuer:
        raise VerificationError(
            "ISSUER_MISMATCH",
            "the certificate that was issued names another issuer than the token",
            expected=expected.issuer,
            found=issuer or "none",
        )
    names = leaf.alternative_names
    if len(names) != 1:
        raise VerificationError(
            "IDENTITY_MISMATCH",
            "the certificate that was issued does not name exactly one identity",
            expected="1",
            found=str(len(names)),
        )
    if names[0].kind == "email" and names[0].value != expected.email:
        raise VerificationError(
            "IDENTITY_MISMATCH",
            "the certificate that was issued is for another address than the token",
            expected=expected.email or "none",
            found=names[0].value,
        )
    return names[0].value
