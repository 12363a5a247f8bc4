"""How the authority says no: one table for HTTP and gRPC, with the codes and texts of Fulcio.

    what is wrong                                   code  status
    the request, the token, the key, the proof        3     400   its own text
    a name that no certificate can hold               3     400   its own text
    the log takes no precertificate                  13     500   NO_LOG
    the authority's key or chain                     13     500   NO_AUTHORITY

Clients try again after a 5xx, and the reasons for these go away with time; the texts of the others
are final. None is ever 401.
"""

import logging
from typing import Final

from touchplate.errors import MalformedError, RefusedError, TouchplateError, UnavailableError
from touchplate.transport.fault import INTERNAL, INVALID_ARGUMENT, Fault

log = logging.getLogger("touchplate.ca")

NO_IDENTITY: Final = "There was an error processing the identity token"
NO_LOG: Final = "Error entering certificate in CTL"
NO_AUTHORITY: Final = "error communicating with CA backend"
NO_BUNDLE: Final = "error retrieving trust bundle from CA backend"
NO_CONFIGURATION: Final = "error loading fulcio configuration"

_SHOWN: Final = frozenset({NO_LOG})


def fault_of(error: TouchplateError, what: str = NO_AUTHORITY) -> Fault:
    """Say what the client may know; `what` failed if it was not the client's request."""
    if isinstance(error, MalformedError | RefusedError):
        return Fault(INVALID_ARGUMENT, 400, error.message)
    message = error.message if error.message in _SHOWN else what
    log.error("%s: %s: %s", message, error.code, error.__cause__ or error)
    headers: tuple[tuple[str, str], ...] = ()
    if isinstance(error, UnavailableError):
        seconds = error.retry_after.total_seconds() if error.retry_after else 1
        headers = (("retry-after", str(max(1, round(seconds)))),)
    return Fault(INTERNAL, 500, message, headers)
