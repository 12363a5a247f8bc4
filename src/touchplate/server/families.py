"""How each family of paths says what the server itself says: not found, wrong method, too large.

Each upstream service has its own form, and clients read it. The roles write the errors of their own
requests; this table is for those that never reach a role, or that a role did not expect.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from touchplate.errors import (
    MalformedError,
    RefusedError,
    TouchplateError,
    UnavailableError,
    VerificationError,
)
from touchplate.transport.asgi import Response

MAX_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class Fault:
    """Something to tell the client. `message` may be shown; `allowed` are methods, for 405."""

    status: int
    message: str
    path: str
    method: str
    code: str = ""
    allowed: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    # Bytes that a body may have, for 413.
    limit: int = 0


@dataclass(frozen=True, slots=True)
class Family:
    """Paths that begin with `prefix` and speak alike."""

    prefix: str
    answer: Callable[[Fault], Response]
    # A slash at the end is the same resource (log-v1); elsewhere it is another, unknown one.
    trailing_slash: bool = False
    # Readable by scripts of any origin: public data, no cookies.
    cors: bool = True


# google.rpc.Code by HTTP status, for the faults that the server itself finds.
_GRPC: Final = {400: 3, 403: 7, 404: 5, 408: 4, 413: 3, 429: 8, 501: 12, 503: 14, 504: 4}


def _grpc(fault: Fault) -> Response:
    """Answer like grpc-gateway: a wrong method is 501, a large body 400."""
    status, message = fault.status, fault.message
    if status == 404:
        message = "Not Found"
    elif status == 405:
        status, message = 501, "Method Not Allowed"
    elif status == 413:
        status, message = 400, "http: request body too large"
    body = {"code": _GRPC.get(status, 13), "message": message, "details": []}
    return Response(status, _json(body), headers=fault.headers)


def _rest(fault: Fault) -> Response:
    """Answer like the services made with go-openapi."""
    message, headers = fault.message, fault.headers
    if fault.status == 404:
        message = f"path {_shown(fault.path)} was not found"
    elif fault.status == 405:
        allowed = ",".join(fault.allowed)
        message = f"method {_shown(fault.method)} is not allowed, but [{allowed}] are"
        headers = (*headers, ("allow", ", ".join(fault.allowed)))
    body = {"code": fault.status, "message": message}
    return Response(fault.status, _json(body) + b"\n", headers=headers)


def _timestamp(fault: Fault) -> Response:
    """Answer like timestamp authorities: a body that is too large is one that cannot be read."""
    if fault.status == 413:
        body = {"code": 400, "message": "Error generating timestamp response"}
        return Response(400, _json(body), "application/timestamp-reply", fault.headers)
    return _rest(fault)


def _text(fault: Fault) -> Response:
    """Answer like CT logs: text, the status first."""
    message, headers = fault.message, fault.headers
    phrase = HTTPStatus(fault.status).phrase
    if fault.status == 413:
        # Since Python 3.13 its phrase is another one; submitters know this one.
        phrase = "Request Entity Too Large"
        message = f"certificate chain exceeds {fault.limit}-byte limit"
    if fault.status == 405:
        message = f"method not allowed: {_shown(fault.method)}"
        headers = (*headers, ("allow", ", ".join(fault.allowed)))
    return Response(
        fault.status,
        f"{phrase}\n{message}\n".encode(),
        "text/plain; charset=utf-8",
        (*headers, ("x-content-type-options", "nosniff")),
    )


def _problem(fault: Fault) -> Response:
    """Answer with problem details (RFC 9457) and our stable code."""
    headers = fault.headers
    if fault.status == 405:
        headers = (*headers, ("allow", ", ".join(fault.allowed)))
    body: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(fault.status).phrase,
        "status": fault.status,
        "detail": fault.message,
    }
    if fault.code:
        body["code"] = fault.code
    return Response(fault.status, _json(body), "application/problem+json", headers)


# The first prefix that fits; "/" fits all.
FAMILIES: Final = (
    Family("/api/v1/log", _rest, trailing_slash=True),
    Family("/api/v1/index", _rest, trailing_slash=True),
    Family("/api/v1/timestamp", _timestamp, trailing_slash=True),
    Family("/api/search", _problem),
    Family("/api/", _grpc),
    Family("/ct/", _text),
    Family("/ct-logs/", _text),
    Family("/", _problem),
)


def family_of(path: str) -> Family:
    """Find the family that a path belongs to."""
    for family in FAMILIES:
        if path.startswith(family.prefix):
            return family
    return FAMILIES[-1]


def status_of(error: TouchplateError) -> int:
    """Give the status of an error that a role did not translate: one line for each branch."""
    if error.code == "NOT_FOUND":
        return 404
    if error.code == "LIMIT_EXCEEDED":
        return 413
    match error:
        case MalformedError() | VerificationError():
            return 400
        case RefusedError():
            return 403
        case UnavailableError():
            return 503
        case _:
            return 500


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def _shown(text: str) -> str:
    """Cut a client's own words to a length and to characters that are safe in an answer."""
    return ascii(text[:MAX_SHOWN])[1:-1]
