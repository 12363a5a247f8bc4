"""How the authority says no: one table for HTTP and gRPC, with the codes and texts of Fulcio.

    what is wrong                                   code  status
    the request, the token, the key, the proof        3     400   its own text
    a name that no certificate can hold               3     400   its own text
    an issuer's keys cannot be had now               14     503   NO_IDENTITY
    the log takes no precertificate                  13     500   NO_LOG
    the authority's key or chain                     13     500   NO_AUTHORITY

Clients try again after a 5xx, and the reasons for these go away with time; the texts of the others
are final. None is ever 401. Fulcio answers 400 for an issuer that is away, which tells a client
that its token is at fault (docs/explanation/issuers.md says why we do not).
"""

import logging
from typing import Final

from touchplate.errors import MalformedError, RefusedError, TouchplateError, UnavailableError
from touchplate.transport.fault import INTERNAL, INVALID_ARGUMENT, UNAVAILABLE, Fault

log = logging.getLogger("touchplate.ca")

NO_IDENTITY: Final = "There was an error processing the identity token"
NO_LOG: Final = "Error entering certificate in CTL"
NO_AUTHORITY: Final = "error communicating with CA backend"
NO_BUNDLE: Final = "error retrieving trust bundle from CA backend"
NO_CONFIGURATION: Final = "error loading fulcio configuration"

_MAX_ISSUER, _MAX_REASON = 200, 300

_SHOWN: Final = frozenset({NO_LOG, NO_IDENTITY})


def fault_of(error: TouchplateError, what: str = NO_AUTHORITY) -> Fault:
    """Say what the client may know; `what` failed if it was not the client's request."""
    if isinstance(error, MalformedError | RefusedError):
        return Fault(INVALID_ARGUMENT, 400, error.message)
    message = error.message if error.message in _SHOWN else what
    if message != NO_IDENTITY:  # of which `note_refused` has told
        log.error("%s: %s: %s", message, error.code, error.__cause__ or error)
    headers: tuple[tuple[str, str], ...] = ()
    if isinstance(error, UnavailableError):
        seconds = error.retry_after.total_seconds() if error.retry_after else 1
        headers = (("retry-after", str(max(1, round(seconds)))),)
    if message == NO_IDENTITY:
        return Fault(UNAVAILABLE, 503, message, headers)
    return Fault(INTERNAL, 500, message, headers)


def note_refused(issuer: str, error: TouchplateError) -> None:
    """Tell the operator why a token was not accepted, of what issuer; nothing else that it says.

    Both are the words of whoever sent it, and so are cut, and kept on their line.
    """
    reason = ascii(str(error)[:_MAX_REASON])[1:-1]
    log.warning("token of %s: %s: %s", ascii(issuer[:_MAX_ISSUER]), error.code, reason)
