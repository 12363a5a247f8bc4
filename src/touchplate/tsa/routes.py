"""HTTP of the timestamp authority. Errors are upstream's: a status and `{"code":…,"message":…}`.

Faults found behind the media types are labelled as timestamps are, as upstream does; clients look
at the status.
"""

import json
from typing import Final

from touchplate.errors import MalformedError, RefusedError, TouchplateError, UnavailableError
from touchplate.formats.timestamp_request import (
    TimestampRequest,
    parse_json_request,
    parse_timestamp_request,
)
from touchplate.transport.asgi import Request, Response, Route
from touchplate.tsa.stamp import Stamping

MAX_BODY: Final = 1024 * 1024
QUERY: Final = "application/timestamp-query"
JSON: Final = "application/json"
REPLY: Final = "application/timestamp-reply"
PEM_CHAIN: Final = "application/pem-certificate-chain"
FAILED: Final = "Error generating timestamp response"

_NEVER_CACHED: Final = (
    ("cache-control", "no-cache, no-store, no-transform, must-revalidate, private, max-age=0"),
    ("pragma", "no-cache"),
    ("expires", "Thu, 01 Jan 1970 00:00:00 UTC"),
)
_CHAIN_CACHED: Final = (("cache-control", "max-age=86400, immutable"),)


def routes(stamping: Stamping) -> tuple[Route, ...]:
    """Answer for the authority."""
    chain = "".join(certificate.pem() for certificate in stamping.chain).encode()

    async def stamp(request: Request) -> Response:
        return answer(stamping, request)

    async def get_chain(request: Request) -> Response:
        if not _accepts(request, PEM_CHAIN):
            return _not_acceptable(PEM_CHAIN)
        return Response(200, chain, PEM_CHAIN, _CHAIN_CACHED)

    return (
        Route("POST", "/api/v1/timestamp", stamp, MAX_BODY),
        Route("GET", "/api/v1/timestamp/certchain", get_chain, 0),
    )


def answer(stamping: Stamping, request: Request) -> Response:
    """Answer one request: media types, body, then the timestamp."""
    media_type = request.media_type or "application/octet-stream"
    if media_type not in (QUERY, JSON):
        shown = media_type[:100]
        text = f'unsupported media type "{shown}", only [{JSON} {QUERY}] are allowed'
        return _error(415, text, content_type=JSON)
    if not _accepts(request, REPLY):
        return _not_acceptable(REPLY)
    if not request.body:
        return _error(422, "request in body is required", code=602, content_type=JSON)
    try:
        stamped = stamping.stamp(_parse(media_type, request.body))
    except (MalformedError, RefusedError) as error:
        return _error(400, error.message)
    except UnavailableError:
        return _error(503, FAILED)._replace(headers=(("retry-after", "1"),))
    except TouchplateError:
        return _error(500, FAILED)
    return Response(200, stamped, REPLY, _NEVER_CACHED)


def _parse(media_type: str, body: bytes) -> TimestampRequest:
    try:
        return parse_json_request(body) if media_type == JSON else parse_timestamp_request(body)
    except MalformedError as error:
        text = "timestamp request is too large" if error.code == "LIMIT_EXCEEDED" else FAILED
        raise MalformedError(error.code, text) from error


def _accepts(request: Request, media_type: str) -> bool:
    """Say whether the Accept header admits the type; weights are not looked at."""
    accepted = request.headers.get("accept", "")
    if not accepted.strip():
        return True
    family = media_type.partition("/")[0]
    wanted = {item.partition(";")[0].strip().lower() for item in accepted.split(",")}
    return not wanted.isdisjoint({media_type, f"{family}/*", "*/*"})


def _not_acceptable(media_type: str) -> Response:
    text = f"unsupported media type requested, only [{media_type}] are available"
    return _error(406, text, content_type=JSON)


def _error(
    status: int, message: str, *, code: int | None = None, content_type: str = REPLY
) -> Response:
    body = {"code": code or status, "message": message}
    return Response(status, json.dumps(body, separators=(",", ":")).encode(), content_type)
