"""Proposed entries of the v1 log: `{"apiVersion":…,"kind":…,"spec":{…}}` of any kind we take."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from touchplate.entries import dsse_v001, hashedrekord_v001, intoto_v002
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
    (intoto_v002.KIND, intoto_v002.VERSION): lambda spec, _: intoto_v002.admit(spec),
}

WRITABLE_KINDS: Final = frozenset(kind for kind, _ in ADMITTED_KINDS)

MAX_PROPOSED_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Proposed:
    """A proposed entry, read and not checked."""

    kind: str
    version: str
    spec: Fields

    def admit(self, allowed: frozenset[str] | None = ALLOWED) -> Admitted:
        """Check the entry, its signatures too, and make the leaf data.

        `allowed` algorithms are for hashedrekord, as upstream has it; None allows every one, which
        is for finding old entries. Raises ENTRY_REFUSED for a kind or version that is not taken,
        and what its kind raises.
        """
        admit = ADMITTED_KINDS.get((self.kind, self.version))
        if admit is not None:
            return admit(self.spec, allowed)
        if self.kind in WRITABLE_KINDS:
            reason = (
                f"entry kind '{self.kind}' does not support inserting entries of version "
                f"'{self.version[:100]}'"
            )
        else:
            reason = f"entry kind '{self.kind}' is not enabled for submission on this server"
        raise RefusedError("ENTRY_REFUSED", reason)


def parse_proposed(data: bytes) -> Proposed:
    """Read the body of `POST /api/v1/log/entries`; members it does not know are ignored.

    Raises JSON_MALFORMED, REQUEST_MALFORMED, or ENTRY_KIND_UNSUPPORTED for a word that is no kind.
    """
    values = parse_json(data, what="proposed entry", max_bytes=MAX_PROPOSED_BYTES)
    return read_proposed(values)


def read_proposed(values: JsonObject) -> Proposed:
    """Read a proposed entry that stands inside another request."""
    top = Fields(values, error="REQUEST_MALFORMED")
    kind = top.string("kind")
    if kind not in KNOWN_KINDS:
        raise MalformedError("ENTRY_KIND_UNSUPPORTED", f'invalid kind value: "{kind[:100]}"')
    for name in ("apiVersion", "spec"):
        if not top.has(name):
            raise MalformedError("REQUEST_MALFORMED", f"{name} in body is required")
    return Proposed(kind, top.string("apiVersion"), top.require("spec"))
