"""Proposed entries of the v1 log: `{"apiVersion":…,"kind":…,"spec":{…}}` of any kind we take."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from touchplate.entries import (
    dsse_v001,
    hashedrekord_v001,
    intoto_v001,
    intoto_v002,
    rekord_v001,
)
from touchplate.entries.admission import ALLOWED, Admitted
from touchplate.errors import MalformedError, RefusedError
from touchplate.formats.jsontext import Fields, JsonObject, parse_json

# Kinds that logs have taken at some time; another one is not a kind at all.
KNOWN_KINDS: Final = frozenset(
    {
        "alpine",
        "cose",
        "dsse",
        "hashedrekord",
        "helm",
        "intoto",
        "jar",
        "rekord",
        "rfc3161",
        "rpm",
        "tuf",
    }
)

# (kind, version): what checks a proposed spec and makes the leaf data.
ADMITTED_KINDS: Final[
    dict[tuple[str, str], Callable[[Fields, frozenset[str] | None], Admitted]]
] = {
    (hashedrekord_v001.KIND, hashedrekord_v001.VERSION): hashedrekord_v001.admit,
    (dsse_v001.KIND, dsse_v001.VERSION): lambda spec, _: dsse_v001.admit(spec),
    (intoto_v001.KIND, intoto_v001.VERSION): lambda spec, _: intoto_v001.admit(spec),
    (intoto_v002.KIND, intoto_v002.VERSION): lambda spec, _: intoto_v002.admit(spec),
    (rekord_v001.KIND, rekord_v001.VERSION): lambda spec, _: rekord_v001.admit(spec),
}
# The kinds that can also be asked for by their logged form.
_RESTATED: Final[dict[tuple[str, str], Callable[[Fields], Admitted | None]]] = {
    (dsse_v001.KIND, dsse_v001.VERSION): dsse_v001.restate,
    (intoto_v001.KIND, intoto_v001.VERSION): intoto_v001.restate,
}

WRITABLE_KINDS: Final = frozenset(kind for kind, _ in ADMITTED_KINDS)

MAX_PROPOSED_BYTES: Final = 16 << 20
MAX_VERSION: Final = 100

SchemaRule = Literal["kind", "required", "pattern", "type"]

# https://semver.org, as upstream's schema spells it.
_SEMVER: Final = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)"
    r"(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?"
    r"(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?",
    re.ASCII,
)
_TYPES: Final = {"apiVersion": "string", "spec": "object"}


@dataclass(frozen=True, slots=True)
class Proposed:
    """A proposed entry, read and not checked."""

    kind: str
    version: str
    spec: Fields

    def admit(
        self,
        allowed: frozenset[str] | None = ALLOWED,
        kinds: frozenset[str] = WRITABLE_KINDS,
    ) -> Admitted:
        """Check the entry, its signatures too, and make the leaf data.

        `allowed` algorithms are for hashedrekord, as upstream has it; None allows every one.
        Raises ENTRY_REFUSED for a kind or version that is not taken, and what its kind raises.
        """
        if self.kind not in kinds:
            raise RefusedError(
                "ENTRY_REFUSED",
                f"entry kind '{self.kind}' is not enabled for submission on this server",
            )
        admit = ADMITTED_KINDS.get((self.kind, self.version))
        if admit is None:
            raise RefusedError(
                "ENTRY_REFUSED",
                f"entry kind '{self.kind}' does not support inserting entries of version "
                f"'{self.version[:100]}'",
            )
        return admit(self.spec, allowed)

    def locate(self) -> bytes:
        """Give the leaf data that a log has if it has taken this entry; its signatures are checked.

        Raises ENTRY_REFUSED for kinds whose leaf data cannot be made here, and what `admit` raises.
        """
        if self.kind not in WRITABLE_KINDS:
            raise RefusedError(
                "ENTRY_REFUSED",
                f"entries of kind '{self.kind}' cannot be found by their content on this server; "
                "ask by index or UUID",
            )
        restate = _RESTATED.get((self.kind, self.version))
        restated = None if restate is None else restate(self.spec)
        return (restated or self.admit(None)).body


class SchemaError(MalformedError):
    """The outer members of a proposed entry are not those of one; `rule` names the rule broken."""

    def __init__(self, rule: SchemaRule, message: str) -> None:
        super().__init__(
            "ENTRY_KIND_UNSUPPORTED" if rule == "kind" else "REQUEST_MALFORMED", message
        )
        self.rule = rule


def parse_proposed(data: bytes) -> Proposed:
    """Read the body of `POST /api/v1/log/entries`; members it does not know are ignored.

    Raises JSON_MALFORMED, LIMIT_EXCEEDED, or as `read_proposed`.
    """
    values = parse_json(data, what="proposed entry", max_bytes=MAX_PROPOSED_BYTES)
    return read_proposed(values)


def read_proposed(values: JsonObject) -> Proposed:
    """Read a proposed entry that stands inside another request.

    Raises SchemaError: ENTRY_KIND_UNSUPPORTED for a word that is no kind, else REQUEST_MALFORMED.
    """
    kind, version, spec = (values.get(name) for name in ("kind", "apiVersion", "spec"))
    if not isinstance(kind, str | None):
        raise SchemaError("type", "kind in body must be of type string")
    if kind not in KNOWN_KINDS:
        raise SchemaError("kind", f'invalid kind value: "{ascii(kind or "")[1:-1][:100]}"')
    for name, value in (("apiVersion", version), ("spec", spec)):
        if value is None:
            raise SchemaError("required", f"{name} in body is required")
    if not isinstance(version, str) or not isinstance(spec, dict):
        name = "spec" if isinstance(version, str) else "apiVersion"
        raise SchemaError("type", f"{name} in body must be of type {_TYPES[name]}")
    if len(version) > MAX_VERSION or not _SEMVER.fullmatch(version):
        raise SchemaError("pattern", f"apiVersion in body should match '^{_SEMVER.pattern}$'")
    return Proposed(kind, version, Fields(spec, error="REQUEST_MALFORMED"))
