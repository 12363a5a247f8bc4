"""A log entry's body as JSON, for the comparisons that bytes alone cannot decide."""

from typing import NamedTuple

from touchplate.errors import MalformedError
from touchplate.formats.base64text import parse_base64
from touchplate.formats.jsontext import Fields, parse_json
from touchplate.formats.limits import MAX_ENTRY_BODY_BYTES


class Body(NamedTuple):
    """A log entry's body, read but not compared with anything."""

    kind: str
    version: str
    spec: Fields


def parse_body(data: bytes) -> Body:
    """Read a body `{"apiVersion":…,"kind":…,"spec":{…}}` (ENTRY_MALFORMED, LIMIT_EXCEEDED)."""
    error = "ENTRY_MALFORMED"
    members = parse_json(data, what="entry body", max_bytes=MAX_ENTRY_BODY_BYTES, error=error)
    if members.keys() != {"apiVersion", "kind", "spec"}:
        raise MalformedError(
            error,
            "entry body has other members than an entry",
            expected="apiVersion, kind, spec",
            found=", ".join(sorted(members))[:200],
        )
    fields = Fields(members, error=error)
    return Body(fields.string("kind"), fields.string("apiVersion"), fields.require("spec"))


def read_base64(fields: Fields, name: str) -> bytes:
    """Give a base64 member as the v1 log decodes it: standard alphabet, line breaks ignored."""
    return decode_base64(fields, name, fields.string(name))


def decode_base64(fields: Fields, name: str, text: str) -> bytes:
    """Decode `text`, which came from the member `name`."""
    try:
        return parse_base64(text.replace("\r", "").replace("\n", ""))
    except ValueError as error:
        raise fields.wrong(name, "standard base64") from error
