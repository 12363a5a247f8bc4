"""What a status means for the caller, the same for every service."""

from __future__ import annotations

import json
from typing import Final

from touchplate.errors import MalformedError, RefusedError, UnavailableError
from touchplate.transport.http import Response

MAX_REASON_CHARACTERS: Final = 300


def check_status(
    response: Response,
    url: str,
    *,
    expected: tuple[int, ...] = (200,),
    secret: str = "",
    hint: str | None = None,
) -> None:
    """Pass an expected status; 429 and 5xx are SERVICE_UNAVAILABLE, the rest SERVICE_REFUSED.

    The service's own reason is quoted, shortened, made printable and without `secret`; `hint` says
    what to do about a refusal.
    """
    if response.status in expected:
        return
    reason = reason_of(response.body, secret)
    text = f"{url} answers {response.status}" + (f": {reason}" if reason else "")
    if response.status >= 500 or response.status == 429:
        raise UnavailableError(
            "SERVICE_UNAVAILABLE", text, retry_after=response.retry_after(), hint="try again later"
        )
    raise RefusedError("SERVICE_REFUSED", text, hint=hint)


def reason_of(body: bytes, secret: str = "") -> str:
    """Find the reason in a gRPC-style, problem-details or plain answer; one printable line."""
    text = body[:4096].decode("utf-8", "replace")
    try:
        members = json.loads(body) if len(body) < 65536 else None
    except (ValueError, RecursionError):
        members = None
    if isinstance(members, dict):
        found = (members.get(name) for name in ("message", "detail", "title", "error"))
        text = next((value for value in found if isinstance(value, str) and value), "")
    elif text.lstrip().startswith("<"):
        text = ""
    if secret:
        text = text.replace(secret, "(token)")
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text[:MAX_REASON_CHARACTERS]


def malformed(url: str, reason: object) -> MalformedError:
    """Say that a service's answer is not what its protocol allows."""
    return MalformedError("RESPONSE_MALFORMED", f"{url} answers: {reason}")
