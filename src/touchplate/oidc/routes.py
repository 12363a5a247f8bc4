"""Our own issuer's public documents; `/oidc` is the path of its URL."""

from touchplate.oidc.issuer import OwnIssuer
from touchplate.transport.asgi import Request, Response, Route

_CACHE = (("cache-control", "public, max-age=300"),)


def routes(issuer: OwnIssuer, prefix: str = "/oidc") -> tuple[Route, ...]:
    """Answer discovery and key set below `prefix`; neither changes while the process lives."""
    discovery = Response(200, issuer.discovery(), headers=_CACHE)
    jwks = Response(200, issuer.jwks(), "application/jwk-set+json", _CACHE)

    async def get_discovery(_: Request) -> Response:
        return discovery

    async def get_jwks(_: Request) -> Response:
        return jwks

    return (
        Route("GET", f"{prefix}/.well-known/openid-configuration", get_discovery, 0),
        Route("GET", f"{prefix}/jwks", get_jwks, 0),
    )
