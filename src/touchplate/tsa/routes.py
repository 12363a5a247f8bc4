"""HTTP of the timestamp authority. Errors are upstream's: a status and `{"code":…,"message":…}`.

Faults found behind the media types are labelled as timestamps are, as upstream does; clients look
at the status. Where the settings ask for it they are RFC 3161's rejections instead, with status
200. That the time is not proven is a rejection in any case: it concerns no request, but the clock.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Final

from touchplate.errors import MalformedError, TouchplateError, UnavailableError
from touchplate.formats.certificate import Certificate
from touchplate.formats.timestamp_builder import encode_rejection
from touchplate.formats.timestamp_request import (
    TimestampRequest,
    parse_json_request,
    parse_timestamp_request,
)
from touchplate.keys.signer import PrivateKeySigner
from touchplate.transport.asgi import Reply, Request, Response, Route
from touchplate.transport.turn import Turn, step_each
from touchplate.tsa.stamp import Stamping

log = logging.getLogger("touchplate.tsa")

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
_AGAIN: Final = (("retry-after", "1"), *_NEVER_CACHED)
_QUERY: Final = QUERY.encode()
_PLAIN_ACCEPT: Final = frozenset({b"*/*", REPLY.encode()})
# RFC 3161 §2.4.2: what is at fault, by our codes; all else is a fault of the system.
_FAILURES: Final[Mapping[str, str]] = {
    "ALGORITHM_REFUSED": "badAlg",
    "LIMIT_EXCEEDED": "badRequest",
    "POLICY_OID_REFUSED": "unacceptedPolicy",
    "SERVICE_REFUSED": "unacceptedExtension",
    "TIME_UNPROVEN": "timeNotAvailable",
    "TIMESTAMP_MALFORMED": "badDataFormat",
}


def routes(holder: Callable[[], Stamping]) -> tuple[Route, ...]:
    """Answer for the authority; `holder` is asked for each request who signs now.

    It raises UnavailableError if nobody can.
    """

    async def stamp(request: Request) -> Response:
        try:
            stamping = holder()
        except TouchplateError as error:
            return _nobody(error)
        if _is_local(stamping):
            return answer(stamping, request)
        return await request.run(answer, stamping, request)

    turn = Turn(partial(_stamp_each, holder))

    def stamp_directly(body: bytes, reply: Reply) -> None:
        if body:
            turn.add((body, reply))
        else:
            reply(_empty())

    async def get_chain(request: Request) -> Response:
        if not _accepts(request, PEM_CHAIN):
            return _not_acceptable(PEM_CHAIN)
        try:
            chain = _pem(holder().chain)
        except TouchplateError as error:
            return _nobody(error)
        return Response(200, chain, PEM_CHAIN, _CHAIN_CACHED)

    return (
        Route(
            *("POST", "/api/v1/timestamp", stamp, MAX_BODY),
            direct=stamp_directly,
            direct_if=_is_plain_query,
        ),
        Route("GET", "/api/v1/timestamp/certchain", get_chain, 0),
    )


def _is_local(stamping: Stamping) -> bool:
    """A key in this process signs in less time than a thread takes; others may be far away."""
    return isinstance(stamping.signer, PrivateKeySigner)


def _stamp_each(holder: Callable[[], Stamping], asked: list[tuple[bytes, Reply]]) -> None:
    """Answer queries that came in one turn of the event loop; each step for all of them."""
    try:
        stamping = holder()
    except TouchplateError as error:
        for _, reply in asked:
            reply(_nobody(error))
        return
    if not _is_local(stamping):
        run = asyncio.get_running_loop().run_in_executor
        for body, reply in asked:
            run(None, _answer, stamping, QUERY, body).add_done_callback(partial(_settle, reply))
        return
    rejections = stamping.settings.rejections

    def refuse(_: object, error: TouchplateError) -> Response:
        return _refused(error, rejections=rejections)

    parsed = step_each(asked, partial(_parse, QUERY), refuse)
    drafts = step_each(parsed, stamping.draft, refuse)
    signed = step_each(drafts, stamping.sign, refuse)
    finished = step_each(signed, stamping.finish, refuse)
    for stamped, reply in finished:
        reply(Response(200, stamped, REPLY, _NEVER_CACHED))


def _settle(reply: Reply, done: "asyncio.Future[Response]") -> None:
    error = None if done.cancelled() else done.exception()
    if done.cancelled():
        reply(UnavailableError("SERVICE_UNAVAILABLE", FAILED))
    elif error is None:
        reply(done.result())
    elif isinstance(error, Exception):
        reply(error)


@lru_cache(maxsize=4)
def _pem(chain: tuple[Certificate, ...]) -> bytes:
    return "".join(certificate.pem() for certificate in chain).encode()


def _nobody(error: TouchplateError) -> Response:
    log.error("no timestamp: %s: %s", error.code, error)
    return _error(503, FAILED)._replace(headers=_AGAIN)


def _is_plain_query(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Say whether the headers name a query in DER, and admit a timestamp, in the usual spelling."""
    is_query = False
    for name, value in headers:
        if name == b"content-type":
            if is_query or value != _QUERY:
                return False
            is_query = True
        elif name == b"accept" and value not in _PLAIN_ACCEPT:
            return False
    return is_query


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
        return _empty()
    return _answer(stamping, media_type, request.body)


def _answer(stamping: Stamping, media_type: str, body: bytes) -> Response:
    try:
        stamped = stamping.stamp(_parse(media_type, body))
    except TouchplateError as error:
        return _refused(error, rejections=stamping.settings.rejections)
    return Response(200, stamped, REPLY, _NEVER_CACHED)


def _refused(error: TouchplateError, *, rejections: str) -> Response:
    """Say what is at fault, in one of the two forms."""
    failure = _FAILURES.get(error.code, "systemFailure")
    if rejections == "rfc3161":
        return Response(200, encode_rejection(failure), REPLY, _NEVER_CACHED)
    if failure == "timeNotAvailable":
        return Response(503, encode_rejection(failure), REPLY, _AGAIN)
    if isinstance(error, UnavailableError):
        return _error(503, FAILED)._replace(headers=(("retry-after", "1"),))
    return _error(500, FAILED) if failure == "systemFailure" else _error(400, error.message)


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


def _empty() -> Response:
    return _error(422, "request in body is required", code=602, content_type=JSON)


def _error(
    status: int, message: str, *, code: int | None = None, content_type: str = REPLY
) -> Response:
    body = {"code": code or status, "message": message}
    return Response(status, json.dumps(body, separators=(",", ":")).encode(), content_type)
