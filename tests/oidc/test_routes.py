"""What our own issuer publishes."""

import asyncio
import json
from datetime import UTC, datetime

import pytest

from touchplate.errors import SettingsError
from touchplate.keys.signer import generate
from touchplate.oidc import Authenticator, Issuer, OwnIssuer
from touchplate.oidc.jwk import parse_jwks
from touchplate.oidc.keys import IssuerKeys, OwnKeys
from touchplate.oidc.routes import routes
from touchplate.transport.asgi import Request, Route

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_what_is_served_proves_a_token() -> None:
    """Whoever follows discovery to the key set can check a token."""
    own = OwnIssuer("https://sign.example.com/oidc", generate())
    served = {}
    for route in routes(own):
        request = Request(route.method, route.pattern)
        served[f"https://sign.example.com{route.pattern}"] = asyncio.run(answer(route, request))
    discovery = json.loads(served[f"{own.url}/.well-known/openid-configuration"])
    keys = parse_jwks(served[discovery["jwks_uri"]])
    issuer = Issuer(
        discovery["issuer"],
        OwnKeys(
            lambda: IssuerKeys(tuple(discovery["id_token_signing_alg_values_supported"]), keys)
        ),
    )
    identity = Authenticator([issuer]).authenticate(own.mint("a@example.com", NOW), NOW)

    assert identity.san.value == "a@example.com"


async def answer(route: Route, request: Request) -> bytes:
    """Give the body that a route answers with."""
    response = await route.handler(request)
    return response.body


@pytest.mark.parametrize("kind", ["ecdsa-p384", "rsa-2048", "ed25519"])
def test_key_of_another_kind(kind: str) -> None:
    """Our issuer signs with P-256 only."""
    with pytest.raises(SettingsError):
        OwnIssuer("https://sign.example.com/oidc", generate(kind)).jwks()
