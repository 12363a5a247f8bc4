"""Fulcio's HTTP: v2 and v1 signingCert, trust bundle, root certificates, configuration."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
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
from touchplate.ca.fault import NO_BUNDLE, NO_CONFIGURATION, fault_of
from touchplate.ca.issue import Issuance, Issued
from touchplate.ca.request import MAX_REQUEST, SigningRequest, parse_v1, parse_v2
from touchplate.errors import TouchplateError
from touchplate.oidc.issuers import Issuer
from touchplate.transport.asgi import Handler, Request, Response, Route, wait

V2: Final = "/api/v2/signingCert"
V1: Final = "/api/v1/signingCert"
# An issuer's keys come within 10 seconds or not at all.
MAX_KEYS_SECONDS: Final = 11.0


def routes(
    issuance: Issuance,
    issuers: Callable[[], Iterable[Issuer]],
    others: Callable[[], Iterable[Chain]] = tuple,
) -> tuple[Route, ...]:
    """Answer for the authority.

    `issuers` is asked each time: the file of issuers may be read again while we serve; so are
    `others`, the chains (DER) that are published beside the one that issues.
    """

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
        Route("POST", V2, _signer(issuance, parse_v2, answer_v2), MAX_REQUEST),
        Route("POST", V1, _signer(issuance, parse_v1, answer_v1), MAX_REQUEST),
        Route("GET", "/api/v2/trustBundle", trust_bundle),
        Route("GET", "/api/v2/configuration", get_configuration),
        Route("GET", "/api/v1/rootCert", root_cert),
    )


def published(issuance: Issuance, others: Callable[[], Iterable[Chain]]) -> tuple[Chain, ...]:
    """Give every chain, the one that issues first; each once."""
    active = tuple(certificate.der for certificate in issuance.authority().chain)
    return (active, *(chain for chain in others() if chain != active))


def _signer(
    issuance: Issuance,
    parse: Callable[[bytes, str], SigningRequest],
    answer: Callable[[Issued], Response],
) -> Handler:
    async def sign(request: Request) -> Response:
        try:
            asked = parse(request.body, request.headers.get("authorization", ""))
            fetching = issuance.prepare(asked.token)
            if fetching is not None:
                # What came of it, or that it is late, `start` finds out without waiting again.
                with suppress(TimeoutError):
                    async with asyncio.timeout(MAX_KEYS_SECONDS):
                        await wait(fetching)
            issuing = issuance.start(asked)
            if issuing.sct is not None:
                # Only waits: what the log answered is `finish`'s to judge.
                with suppress(TouchplateError, TimeoutError):
                    async with asyncio.timeout(issuance.max_log_seconds):
                        await wait(issuing.sct)
            return answer(issuing.finish(0))
        except TouchplateError as error:
            return answer_fault(fault_of(error))

    return sign
