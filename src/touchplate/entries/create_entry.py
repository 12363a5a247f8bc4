"""The body of `POST /api/v2/log/entries`: which kind of entry it asks for (`CreateEntryRequest`).

Current logs of the reference implementation take `hashedrekord` alone. Published JavaScript clients
still send envelopes as `dsse`; whether a log takes those is its operator's to say.
"""

from typing import Final

from touchplate.entries import dsse_v002, hashedrekord_v002
from touchplate.entries.admission import ALLOWED, Admitted
from touchplate.entries.protojson import read_message
from touchplate.errors import MalformedError
from touchplate.formats.jsontext import parse_json

# The largest leaf has 65,535 bytes; a hashedrekord request spells the same with a little more. An
# envelope is larger than its leaf, which holds only the payload's hash.
MAX_REQUEST_BYTES: Final = 4 << 20

# Each spelling of a member, and its canonical name.
_TOP: Final = {
    "hashedRekordRequestV002": "hashedRekordRequestV002",
    "hashed_rekord_request_v002": "hashedRekordRequestV002",
    "dsseRequestV002": "dsseRequestV002",
    "dsse_request_v002": "dsseRequestV002",
}
_KINDS: Final = ("hashedRekordRequestV002", "dsseRequestV002")


def parse_request(
    data: bytes, *, accept_dsse: bool = False
) -> hashedrekord_v002.Request | dsse_v002.Request:
    """Read a request; what is missing is empty (REQUEST_MALFORMED)."""
    values = parse_json(
        data, what="entry request", max_bytes=MAX_REQUEST_BYTES, error="REQUEST_MALFORMED"
    )
    top = read_message(values, _TOP, "")
    kind = top.one_of(_KINDS)
    if kind == "hashedRekordRequestV002":
        return hashedrekord_v002.read_request(top.value(kind))
    if kind == "dsseRequestV002" and accept_dsse:
        return dsse_v002.read_request(top.value(kind))
    expected = "either hashedrekord or dsse" if accept_dsse else "hashedrekord"
    raise MalformedError("REQUEST_MALFORMED", f"invalid type, must be {expected}")


def prepare(
    request: hashedrekord_v002.Request | dsse_v002.Request, allowed: frozenset[str] = ALLOWED
) -> hashedrekord_v002.Unproven | Admitted:
    """Do what comes before `prove`, which is all where an entry's kind knows no steps."""
    if isinstance(request, dsse_v002.Request):
        return dsse_v002.admit(request, allowed)
    return hashedrekord_v002.prepare(request, allowed)


def prove(prepared: hashedrekord_v002.Unproven | Admitted) -> Admitted:
    """Check the signature, if that was not done."""
    return prepared if isinstance(prepared, Admitted) else hashedrekord_v002.prove(prepared)


def admit(
    request: hashedrekord_v002.Request | dsse_v002.Request, allowed: frozenset[str] = ALLOWED
) -> Admitted:
    """Check a request and make the leaf data.

    Raises REQUEST_MALFORMED, KEY_UNREADABLE, ALGORITHM_REFUSED, DIGEST_UNSUPPORTED (a digest of the
    wrong length) or SIGNATURE_INVALID.
    """
    return prove(prepare(request, allowed))


def admit_request(
    data: bytes, allowed: frozenset[str] = ALLOWED, *, accept_dsse: bool = False
) -> Admitted:
    """Read and check a request and make the leaf data; raises as both of them do."""
    return admit(parse_request(data, accept_dsse=accept_dsse), allowed)
