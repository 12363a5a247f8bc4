"""Reading the JSON of log entries and of v1 requests, member by member, with the path in each error.

Rules of the v1 log's decoders: `null` is absent, unknown members are ignored, base64 is the standard
alphabet with padding, line breaks inside tolerated. The v2 requests are protobuf JSON: see `protojson`.
"""

from binascii import a2b_base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from touchplate.errors import MalformedError
from touchplate.formats.jsontext import parse_json

# No leaf that a log takes today is longer than 65,535 bytes; v1 logs of the past had no limit.
MAX_BODY_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Members:
    """One JSON object at `path`; reading a member of the wrong type raises `error`."""

    values: Mapping[str, object]
    path: str
    error: str

    def has(self, name: str) -> bool:
        """Say whether the member is there and is not null."""
        return self.values.get(name) is not None

    def object(self, name: str) -> "Members":
        """Give a member that must be an object."""
        value = self.values.get(name)
        if not isinstance(value, dict):
            raise self.wrong(name, "an object", value)
        return Members(value, self.where(name), self.error)

    def objects(self, name: str) -> "tuple[Members, ...]":
        """Give a member that must be a list of objects."""
        found = []
        for number, value in enumerate(self.items(name)):
            label = f"{name}[{number}]"
            if not isinstance(value, dict):
                raise self.wrong(label, "an object", value)
            found.append(Members(value, self.where(label), self.error))
        return tuple(found)

    def items(self, name: str) -> list[object]:
        """Give a member that must be a list."""
        value = self.values.get(name)
        if not isinstance(value, list):
            raise self.wrong(name, "a list", value)
        return value

    def text(self, name: str) -> str:
        """Give a member that must be a string; "" if absent."""
        value = self.values.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self.wrong(name, "a string", value)
        return value

    def base64(self, name: str) -> bytes:
        """Give the bytes of a base64 member; empty if absent."""
        return self.decode(self.text(name), name)

    def decode(self, text: str, name: str) -> bytes:
        """Decode standard base64; `name` is for the error."""
        try:
            return a2b_base64(text.replace("\r", "").replace("\n", ""), strict_mode=True)
        except ValueError as problem:
            message = f"{self.where(name)} is not standard base64: {problem}"
            raise MalformedError(self.error, message) from problem

    def where(self, name: str) -> str:
        """Give the path of a member, for messages."""
        return f"{self.path}.{name}" if self.path else name

    def wrong(self, name: str, expected: str, value: object) -> MalformedError:
        """Make the error for a member of the wrong type."""
        found = "nothing" if value is None else type(value).__name__
        message = f"{self.where(name)} is not {expected}"
        return MalformedError(self.error, message, expected=expected, found=found)


@dataclass(frozen=True, slots=True)
class Body:
    """A log entry's body, read but not compared with anything."""

    kind: str
    version: str
    spec: Members


def parse_body(data: bytes) -> Body:
    """Read a canonical body `{"apiVersion":…,"kind":…,"spec":{…}}` (ENTRY_MALFORMED)."""
    error = "ENTRY_MALFORMED"
    values = parse_json(data, what="entry body", max_bytes=MAX_BODY_BYTES, error=error)
    if values.keys() != {"apiVersion", "kind", "spec"}:
        raise MalformedError(
            error,
            "entry body has other members than an entry",
            expected="apiVersion, kind, spec",
            found=", ".join(sorted(values))[:200],
        )
    members = Members(values, "", error)
    return Body(members.text("kind"), members.text("apiVersion"), members.object("spec"))
