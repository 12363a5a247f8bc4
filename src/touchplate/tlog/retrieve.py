"""`POST /api/v1/log/entries/retrieve`: up to ten entries by id, by index, or by what they say."""

from typing import Final

from touchplate.entries.proposed import MAX_PROPOSED_BYTES, read_proposed
from touchplate.errors import MalformedError, RefusedError, TouchplateError
from touchplate.formats.jsontext import Fields, parse_json
from touchplate.merkle.tree import leaf_hash
from touchplate.tilelog.entry import Receipt
from touchplate.tlog import v1
from touchplate.tlog.log import MAX_INDEX, TransparencyLog
from touchplate.tlog.query import FaultError, read_entry_id
from touchplate.transport.asgi import Response

MAX_QUERIES: Final = 10
_NAMES: Final = ("entryUUIDs", "logIndexes", "entries")


def retrieve(log: TransparencyLog, body: bytes) -> Response:
    """Answer the entries found, an array; those that are not there are left out."""
    try:
        members = parse_json(body, what="query", max_bytes=MAX_PROPOSED_BYTES)
        fields = Fields(members, error="REQUEST_MALFORMED")
        total = 0
        for name in _NAMES:
            value = fields.value(name)
            if not isinstance(value, list | None):
                raise fields.wrong(name, "an array")
            count = len(value or ())
            if count > MAX_QUERIES:
                text = f"{name} in body should have at most {MAX_QUERIES} items"
                raise FaultError(422, text, v1.TOO_MANY_ITEMS)
            total += count
        if total > MAX_QUERIES:
            raise FaultError(422, f"more than max allowed {MAX_QUERIES} entries in request")
        found = _by_id(log, fields) + _by_content(log, fields) + _by_index(log, fields)
    except TouchplateError as error:
        return v1.answer_error(error)
    entries = b",".join(v1.encode_entry(log, receipt) for receipt in found)
    return Response(200, b"[%b]\n" % entries)


def _by_id(log: TransparencyLog, fields: Fields) -> list[Receipt]:
    """Give the entries of `entryUUIDs`: the ids with a tree first, then those without."""
    found: list[Receipt] = []
    for text in sorted(fields.strings("entryUUIDs"), key=len, reverse=True):
        leaf = read_entry_id(text, log.key.tree_id)
        receipt = log.find(leaf) if leaf else None
        if receipt is not None:
            found.append(receipt)
    return found


def _by_content(log: TransparencyLog, fields: Fields) -> list[Receipt]:
    """Give the entries that proposed `entries` would be; their signatures are checked."""
    found = []
    for number in range(len(fields.objects("entries"))):
        proposed = read_proposed(fields.value("entries")[number])
        try:
            admitted = proposed.admit(None)
        except RefusedError as error:
            if error.code != "ENTRY_REFUSED":
                raise
            # Of a kind that this log has never taken: cosign asks for several at once.
            continue
        receipt = log.find(leaf_hash(admitted.body))
        if receipt is not None:
            found.append(receipt)
    return found


def _by_index(log: TransparencyLog, fields: Fields) -> list[Receipt]:
    found = []
    for index in fields.value("logIndexes") or ():
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index <= MAX_INDEX:
            raise MalformedError("REQUEST_MALFORMED", "logIndexes in body must be of type int64")
        receipt = log.read(index)
        if receipt is not None:
            found.append(receipt)
    return found
