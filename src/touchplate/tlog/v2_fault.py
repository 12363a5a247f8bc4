"""How API v2 says no: one table for HTTP and gRPC, with the codes and texts of rekor-tiles.

A fault is made of the error and of where it came up: a request that cannot be read, an entry that
is not admitted, a log that does not take it. Errors of the last kind are never the client's.
"""

import logging
from typing import Final

from touchplate.entries import dsse_v002, hashedrekord_v002
from touchplate.entries.admission import Admitted
from touchplate.errors import RefusedError, TouchplateError, UnavailableError
from touchplate.transport.fault import (
    ALREADY_EXISTS,
    INVALID_ARGUMENT,
    UNAVAILABLE,
    UNIMPLEMENTED,
    UNKNOWN,
    Fault,
)

log = logging.getLogger("touchplate.tlog")

FROZEN_TEXT: Final = "This log has been frozen, please switch to the latest log."

AnyRequest = hashedrekord_v002.Request | dsse_v002.Request
FROZEN: Final = Fault(UNIMPLEMENTED, 405, "log frozen")


def unreadable(error: TouchplateError) -> Fault:
    """Say that the request is none."""
    return Fault(INVALID_ARGUMENT, 400, str(error))


def not_admitted(
    request: AnyRequest | hashedrekord_v002.Unproven | Admitted, error: TouchplateError
) -> Fault:
    """Say that the request's entry does not hold what it must; upstream gives no reason."""
    kind = "dsse" if isinstance(request, dsse_v002.Request) else "hashedrekord"
    return Fault(INVALID_ARGUMENT, 400, f"invalid {kind} request: {error}")


def not_appended(error: TouchplateError) -> Fault:
    """Say that the log did not take an entry that was admitted."""
    if isinstance(error, UnavailableError):
        busy = error.code == "LOG_BUSY"
        message = "reached max pushback; retry" if busy else "failed to integrate entry"
        seconds = 1 if error.retry_after is None else int(error.retry_after.total_seconds())
        return Fault(UNAVAILABLE, 503, message, (("retry-after", str(max(1, seconds))),))
    if isinstance(error, RefusedError) and error.code == "LOG_FROZEN":
        return FROZEN
    if isinstance(error, RefusedError) and error.code == "LIMIT_EXCEEDED":
        return Fault(INVALID_ARGUMENT, 400, str(error))
    log.error("an entry was not integrated: %s: %s", error.code, error)
    return Fault(UNKNOWN, 500, "failed to integrate entry")


def conflict(index: int) -> Fault:
    """Say that the log has the entry, and where."""
    message = f"an equivalent entry already exists in the transparency log with index {index}"
    return Fault(ALREADY_EXISTS, 409, message, (("x-log-index", str(index)),))
