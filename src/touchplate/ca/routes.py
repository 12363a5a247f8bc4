"""Fulcio's HTTP: v2 and v1 signingCert, trust bundle, root certificates, configuration."""

from collections.abc import Callable, Iterable
from typing import Final

from touchplate.ca.answer import (
    Chain,
    answer_bundle,
    answer_configuration,
    answer_fault,
    answer_roots,
    answer_v1,
    answer_v2,
)
from touchplate.ca.desk import Desk
from touchplate.ca.fault import NO_BUNDLE, NO_CONFIGURATION, fault_of
from touchplate.ca.issue import Issuance
from touchplate.ca.request import MAX_REQUEST, parse_v1, parse_v2
from touchplate.ca.signing_route import SigningRoute
from touchplate.errors import TouchplateError
from touchplate.oidc.issuers import Issuer
from touchplate.transport.asgi import Request, Response, Route

V2: Final = "/api/v2/signingCert"
V1: Final = "/api/v1/signingCert"


def routes(
    issuance: Issuance,
    issuers: Callable[[], Iterable[Issuer]],
    others: Callable[[], Iterable[Chain]] = tuple,
    desk: Desk | None = None,
) -> tuple[Route, ...]:
    """Answer for the authority.

    `issuers` is asked each time: the file of issuers may be read again while we serve; so are
    `others`, the chains (DER) that are published beside the one that issues. `desk` issues;
    without it one is made.
    """
    desk = desk or Desk(issuance)
    v2 = SigningRoute(desk, parse_v2, answer_v2)
    v1 = SigningRoute(desk, parse_v1, answer_v1)

    async def trust_bundle(_: Request) -> Response:
        try:
            return answer_bundle(published(issuance, others))
        except TouchplateError as error:
            return answer_fault(fault_of(error, NO_BUNDLE))

    async def root_cert(_: Request) -> Response:
        try:
            return answer_roots(published(issuance, others))
        except TouchplateError as error:
            return answer_fault(fault_of(error, NO_BUNDLE))

    async def get_configuration(_: Request) -> Response:
        try:
            return answer_configuration(issuers())
        except TouchplateError as error:
            return answer_fault(fault_of(error, NO_CONFIGURATION))

    return (
        Route("POST", V2, v2.handle, MAX_REQUEST, direct_for=v2.direct),
        Route("POST", V1, v1.handle, MAX_REQUEST, direct_for=v1.direct),
        Route("GET", "/api/v2/trustBundle", trust_bundle),
        Route("GET", "/api/v2/configuration", get_configuration),
        Route("GET", "/api/v1/rootCert", root_cert),
    )


def published(issuance: Issuance, others: Callable[[], Iterable[Chain]]) -> tuple[Chain, ...]:
    """Give every chain, the one that issues first; each once."""
    active = tuple(certificate.der for certificate in issuance.authority().chain)
    return (active, *(chain for chain in others() if chain != active))
