"""Reading what v1 requests carry outside of their entries; each problem has its own 4xx answer."""

import re
from typing import Final, NamedTuple
from urllib.parse import urlencode

from touchplate.entries.proposed import SchemaError
from touchplate.errors import MalformedError
from touchplate.tlog import v1
from touchplate.tlog.log import MAX_INDEX, TransparencyLog
from touchplate.tlog.shards import Shards
from touchplate.transport.asgi import Request, Response

_ENTRY_ID: Final = re.compile(r"[0-9a-fA-F]{64}|[0-9a-fA-F]{80}")
_DIGITS: Final = re.compile(r"-?[0-9]{1,40}", re.ASCII)
_UUID_DIGITS: Final = 64


class FaultError(Exception):
    """The request is answered with `response`; stays between here and the routes."""

    def __init__(self, status: int, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.response: Response = v1.answer_fault(status, message, code)


def check_json(request: Request, name: str) -> None:
    """Require a JSON body: 415 for another type, 422 for none. `name` is what upstream calls it."""
    if request.media_type != "application/json":
        shown = ascii(request.media_type[:100])[1:-1]
        text = f'unsupported media type "{shown}", only [application/json] are allowed'
        raise FaultError(415, text)
    check_accept(request, "application/json")
    if not request.body.strip():
        raise FaultError(422, f"{name} in body is required", v1.REQUIRED)


def check_accept(request: Request, media_type: str) -> None:
    """Require that the client takes answers of this type: 406 if its `Accept` rules them out."""
    accept = request.headers.get("accept", "").strip()
    wanted = {"*/*", media_type, media_type.partition("/")[0] + "/*"}
    if not accept or any(_range(part) in wanted for part in accept.split(",")):
        return
    text = f"unsupported media type requested, only [{media_type}] are available"
    raise FaultError(406, text)


def _range(part: str) -> str:
    """Give a media range of an Accept header in lower case; "" if its weight is zero."""
    media, *parameters = (each.strip().lower() for each in part.split(";"))
    refused = any(re.fullmatch(r"q\s*=\s*0(\.0*)?", each) for each in parameters)
    return "" if refused else media


_RULES: Final = {
    "kind": 422,
    "required": v1.REQUIRED,
    "pattern": v1.PATTERN,
    "type": v1.INVALID_TYPE,
}


def schema_fault(error: MalformedError) -> FaultError:
    """Give the fault of a proposed entry: 400 if it is no JSON at all, 422 if it has no schema."""
    if isinstance(error, SchemaError):
        return FaultError(422, str(error), _RULES[error.rule])
    return FaultError(400, str(error))


def location_query(request: Request) -> str:
    """Give the request's query string for a `Location`, with its "?", without its API key."""
    fields = request.query.items() if request.query_string else ()
    kept = [(name, value) for name, values in fields for value in values if name != "apiKey"]
    return "?" + urlencode(sorted(kept)) if kept else ""


def read_integer(request: Request, name: str, *, minimum: int, default: int | None = None) -> int:
    """Give a query field as an int64; 422 if it is missing, no number, or too small."""
    values = _values(request, name)
    text = values[-1] if values else ""
    if not text:
        if default is not None:
            return default
        raise FaultError(422, f"{name} in query is required", v1.REQUIRED)
    if not _DIGITS.fullmatch(text) or abs(int(text)) > MAX_INDEX:
        shown = ascii(text[:40])[1:-1]
        text = f'{name} in query must be of type int64: "{shown}"'
        raise FaultError(422, text, v1.INVALID_TYPE)
    if int(text) < minimum:
        text = f"{name} in query should be greater than or equal to {minimum}"
        raise FaultError(422, text, v1.TOO_SMALL)
    return int(text)


def read_tree(request: Request, shards: Shards) -> TransparencyLog:
    """Give the tree that `treeID` names, the active one if it is not given (400, 422)."""
    values = _values(request, "treeID")
    text = values[-1] if values else ""
    if not text:
        return shards.active
    if not _DIGITS.fullmatch(text) or text.startswith("-"):
        text = "treeID in query should match '^[0-9]+$'"
        raise FaultError(422, text, v1.PATTERN)
    log = shards.tree(int(text))
    if log is None:
        raise FaultError(400, f"no log range found for tree ID {text}")
    return log


class EntryId(NamedTuple):
    """What an entry is asked for by: its leaf hash, and its tree if that was named."""

    leaf: bytes
    tree_id: int | None


def read_entry_id(text: str, name: str = "entryUUID in path") -> EntryId:
    """Read a UUID (64 hex digits) or entry id (80).

    422 if it is neither, 400 if its tree id is not a positive int64.
    """
    if not _ENTRY_ID.fullmatch(text):
        text = f"{name} should match '^([0-9a-fA-F]{{64}}|[0-9a-fA-F]{{80}})$'"
        raise FaultError(422, text, v1.PATTERN)
    if len(text) == _UUID_DIGITS:
        return EntryId(bytes.fromhex(text), None)
    tree_id = int(text[:-_UUID_DIGITS], 16)
    if not 0 < tree_id <= MAX_INDEX:
        raise FaultError(400, "validation error: invalid tree ID")
    return EntryId(bytes.fromhex(text[-_UUID_DIGITS:]), tree_id)


def _values(request: Request, name: str) -> tuple[str, ...]:
    try:
        return request.query.get(name, ())
    except MalformedError as error:
        raise FaultError(400, str(error)) from error
