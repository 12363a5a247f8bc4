"""Our own issuer: it signs identity tokens (ES256) and publishes the keys that prove them.

The operator mints tokens for people it knows; a login with accounts is another room's work and
will use the same `mint_token`.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from touchplate.errors import SettingsError
from touchplate.keys.public import PublicKey
from touchplate.keys.signer import Signer
from touchplate.oidc import base64url
from touchplate.oidc.identity import is_email
from touchplate.oidc.issuers import DEFAULT_AUDIENCE, Issuer
from touchplate.oidc.jwk import JsonWebKey, encode_jwk
from touchplate.oidc.keys import IssuerKeys, OwnKeys

ALGORITHM: Final = "ES256"
DEFAULT_LIFETIME: Final = timedelta(minutes=10)
MAX_LIFETIME: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class OwnIssuer:
    """An issuer at `url` (no slash at the end) that signs with a P-256 key.

    `retired` are earlier keys whose tokens may still be valid.
    """

    url: str
    signer: Signer
    retired: tuple[PublicKey, ...] = ()

    def mint(self, email: str, now: datetime, lifetime: timedelta = DEFAULT_LIFETIME) -> str:
        """Sign a token for `email`, whom the caller vouches for."""
        return mint_token(self.signer, self.url, email, now=now, lifetime=lifetime)

    def public_keys(self) -> tuple[PublicKey, ...]:
        """Give the current key, then the retired ones."""
        return (self.signer.public_key, *self.retired)

    def find_keys(self) -> IssuerKeys:
        """Give all keys, current and retired."""
        return IssuerKeys(
            (ALGORITHM,),
            tuple(
                JsonWebKey(token_key_id(key), ALGORITHM, _elliptic(key))
                for key in self.public_keys()
            ),
        )

    def as_issuer(self) -> Issuer:
        """Give the row by which the deployment believes its own issuer."""
        keys = self.find_keys()
        return Issuer(self.url, OwnKeys(lambda: keys), type="email")

    def jwks(self) -> bytes:
        """Give the key set that /oidc publishes."""
        keys = [
            encode_jwk(token_key_id(key), ALGORITHM, _elliptic(key)) for key in self.public_keys()
        ]
        return json.dumps({"keys": keys}, separators=(",", ":")).encode()

    def discovery(self) -> bytes:
        """Give the discovery document (OpenID Connect Discovery §4.2)."""
        return json.dumps(
            {
                "issuer": self.url,
                "jwks_uri": f"{self.url}/jwks",
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": [ALGORITHM],
                "scopes_supported": ["openid", "email"],
                "claims_supported": ["iss", "aud", "sub", "iat", "exp", "email", "email_verified"],
            },
            separators=(",", ":"),
        ).encode()


def mint_token(
    signer: Signer,
    issuer_url: str,
    email: str,
    *,
    now: datetime,
    lifetime: timedelta = DEFAULT_LIFETIME,
    audience: str = DEFAULT_AUDIENCE,
) -> str:
    """Sign an identity token for an email address that the caller vouches for.

    `lifetime` is at most 24 hours; the address must have the form of one (SETTINGS_INVALID).
    """
    if not is_email(email):
        raise SettingsError("SETTINGS_INVALID", f"{email!r} is not an email address")
    if not timedelta(0) < lifetime <= MAX_LIFETIME:
        raise SettingsError("SETTINGS_INVALID", f"lifetime {lifetime}", expected="up to 24 hours")
    issued_at = int(now.timestamp())
    header = {"alg": ALGORITHM, "typ": "JWT", "kid": token_key_id(signer.public_key)}
    claims = {
        "iss": issuer_url,
        "aud": audience,
        "sub": email,
        "iat": issued_at,
        "exp": issued_at + int(lifetime.total_seconds()),
        "jti": token_hex(16),
        "email": email,
        "email_verified": True,
    }
    message = f"{_part(header)}.{_part(claims)}"
    r, s = decode_dss_signature(signer.sign(message.encode()))
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")  # RFC 7518 §3.4
    return f"{message}.{base64url.encode(signature)}"


def token_key_id(key: PublicKey) -> str:
    """Name a key in tokens: base64url of SHA-256 of its SubjectPublicKeyInfo."""
    return base64url.encode(key.key_id)


def _part(value: dict[str, Any]) -> str:
    return base64url.encode(json.dumps(value, separators=(",", ":")).encode())


def _elliptic(key: PublicKey) -> ec.EllipticCurvePublicKey:
    if key.kind != "ecdsa-p256" or not isinstance(key.crypto, ec.EllipticCurvePublicKey):
        raise SettingsError("SETTINGS_INVALID", f"the issuer's key is {key.kind}, not P-256")
    return key.crypto
