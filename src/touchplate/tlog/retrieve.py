"""`POST /api/v1/log/entries/retrieve`: up to ten entries by id, by index, or by what they say."""

from typing import Final

from touchplate.entries.proposed import MAX_PROPOSED_BYTES, read_proposed
from touchplate.errors import MalformedError, TouchplateError
from touchplate.formats.jsontext import Fields, parse_json
from touchplate.merkle.tree import leaf_hash
from touchplate.tlog import v1
from touchplate.tlog.log import MAX_INDEX
from touchplate.tlog.query import FaultError, read_entry_id
from touchplate.tlog.shards import Found, Shards
from touchplate.transport.asgi import Response

MAX_QUERIES: Final = 10
_NAMES: Final = ("entryUUIDs", "logIndexes", "entries")


def retrieve(shards: Shards, body: bytes, attest: v1.Attest) -> Response:
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
            if value is not None and not count:
                text = f"{name} in body should have at least 1 items"
                raise FaultError(422, text, v1.TOO_FEW_ITEMS)
            total += count
        if total > MAX_QUERIES:
            raise FaultError(422, f"more than max allowed {MAX_QUERIES} entries in request")
        found = _by_id(shards, fields) + _by_content(shards, fields)
        found += _by_index(shards, fields)
    except TouchplateError as error:
        return v1.answer_error(error)
    entries = b",".join(v1.encode_entry(each, attest(each)) for each in found)
    return Response(200, b"[%b]\n" % entries)


def _by_id(shards: Shards, fields: Fields) -> list[Found]:
    """Give the entries of `entryUUIDs`: the ids with a tree first, then those without."""
    wanted = [
        read_entry_id(text, f"entryUUIDs.{number} in body")
        for number, text in enumerate(fields.strings("entryUUIDs"))
    ]
    named = [shards.find(leaf, tree_id) for leaf, tree_id in wanted if tree_id is not None]
    hits = [hit for leaf, tree_id in wanted if tree_id is None for hit in shards.find_all(leaf)]
    return [found for found in named if found is not None] + hits


def _by_content(shards: Shards, fields: Fields) -> list[Found]:
    """Give the entries that proposed `entries` would be; their signatures are checked."""
    hits: list[Found] = []
    for number in range(len(fields.objects("entries"))):
        body = read_proposed(fields.value("entries")[number]).locate()
        hits.extend(shards.find_all(leaf_hash(body)))
    return hits


def _by_index(shards: Shards, fields: Fields) -> list[Found]:
    hits = []
    for number, index in enumerate(fields.value("logIndexes") or ()):
        if index.__class__ is not int or abs(index) > MAX_INDEX:
            raise MalformedError("REQUEST_MALFORMED", "logIndexes in body must be of type int64")
        if index < 0:
            text = f"logIndexes.{number} in body should be greater than or equal to 0"
            raise FaultError(422, text, v1.TOO_SMALL)
        found = shards.read(index)
        if found is not None:
            hits.append(found)
    return hits
