"""Fulcio's HTTP: v2 and v1 signingCert, trust bundle, root certificates, configuration.

Success is 200 JSON in v2 and 201 PEM in v1, whatever the client accepts. Errors are those of
grpc-gateway: `{"code":3,"message":"…","details":[]}`.
"""

import asyncio
import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from touchplate.ca.authority import Authority
from touchplate.ca.issue import MAX_LOG_SECONDS, Issuance, Issued
from touchplate.ca.request import SigningRequest, parse_v1, parse_v2
from touchplate.errors import SettingsError, TouchplateError, UnavailableError
from touchplate.keys.pem import encode_pem
from touchplate.oidc.issuers import Issuer
from touchplate.transport.asgi import Handler, Request, Response, Route, wait

PEM_CHAIN: Final = "application/pem-certificate-chain"
INVALID_ARGUMENT: Final = (400, 3)
INTERNAL: Final = (500, 13)
UNAVAILABLE: Final = (503, 14)


def routes(
    issuance: Issuance,
    issuers: Callable[[], Iterable[Issuer]],
    retired: tuple[tuple[bytes, ...], ...] = (),
) -> tuple[Route, ...]:
    """Answer for the authority. `retired` are chains (DER) that are published and issue no more.

    `issuers` is asked each time: the file of issuers may be read again while we serve.
    """

    async def trust_bundle(_: Request) -> Response:
        chains = _chains(issuance.authority(), retired)
        listed = [{"certificates": [_pem(der) for der in chain]} for chain in chains]
        return Response(200, _json({"chains": listed}))

    async def root_cert(_: Request) -> Response:
        chains = _chains(issuance.authority(), retired)
        text = "\n".join(_pem(der) for chain in chains for der in chain)
        return Response(200, text.strip().encode(), PEM_CHAIN)

    async def get_configuration(_: Request) -> Response:
        return Response(200, encode_configuration(issuers()))

    return (
        Route("POST", "/api/v2/signingCert", _signer(issuance, parse_v2, _answer_v2)),
        Route("POST", "/api/v1/signingCert", _signer(issuance, parse_v1, _answer_v1)),
        Route("GET", "/api/v2/trustBundle", trust_bundle),
        Route("GET", "/api/v2/configuration", get_configuration),
        Route("GET", "/api/v1/rootCert", root_cert),
    )


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
                await wait(fetching)
            issuing = issuance.start(asked)
            # Only waits: what the log answered is `finish`'s to judge.
            with suppress(TouchplateError, TimeoutError):
                async with asyncio.timeout(MAX_LOG_SECONDS):
                    await wait(issuing.sct)
            return answer(issuing.finish(0))
        except TouchplateError as error:
            return error_response(error)

    return sign


def _answer_v2(issued: Issued) -> Response:
    pems = [_pem(der).strip() for der in (issued.leaf, *issued.chain)]
    return Response(200, _json({"signedCertificateEmbeddedSct": {"chain": {"certificates": pems}}}))


def _answer_v1(issued: Issued) -> Response:
    text = "\n".join(_pem(der).strip() for der in (issued.leaf, *issued.chain))
    return Response(201, text.encode(), PEM_CHAIN)


def error_response(error: TouchplateError) -> Response:
    """Answer with an error: what the caller can mend is 400, what time mends 503, all else 500."""
    status, code = INVALID_ARGUMENT
    message = error.message
    headers: tuple[tuple[str, str], ...] = ()
    if isinstance(error, UnavailableError):
        status, code = UNAVAILABLE
        seconds = error.retry_after.total_seconds() if error.retry_after else 1
        headers = (("retry-after", str(max(1, round(seconds)))),)
    elif isinstance(error, SettingsError):
        # The operator's fault; the text is for the operator's log.
        (status, code), message = INTERNAL, "error communicating with CA backend"
    body = _json({"code": code, "message": message, "details": []})
    return Response(status, body, headers=headers)


def encode_configuration(issuers: Iterable[Issuer]) -> bytes:
    """Give the answer of /api/v2/configuration: issuers, then patterns, each sorted by URL."""
    rows = [
        {
            "wildcardIssuerUrl" if issuer.is_pattern else "issuerUrl": issuer.url,
            "audience": issuer.audience,
            "challengeClaim": issuer.challenge_claim,
            "spiffeTrustDomain": issuer.spiffe_trust_domain,
            "issuerType": issuer.type,
            "subjectDomain": issuer.subject_domain,
            "skipEmailVerification": issuer.skip_email_verification,
        }
        for issuer in sorted(issuers, key=lambda issuer: (issuer.is_pattern, issuer.url))
    ]
    return _json({"issuers": rows})


def _pem(der: bytes) -> str:
    return encode_pem("CERTIFICATE", der).decode()


def _chains(
    authority: Authority, retired: tuple[tuple[bytes, ...], ...]
) -> tuple[tuple[bytes, ...], ...]:
    return (tuple(certificate.der for certificate in authority.chain), *retired)


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
