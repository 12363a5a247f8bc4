"""In-toto statements: what the payload of a Sigstore DSSE envelope says about its subjects.

`attestation: spec/v1/statement.md`; both the v1 and the v0.1 type are read, v1 is written.
"""

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from touchplate.errors import MalformedError
from touchplate.formats.jsontext import Fields, parse_json
from touchplate.formats.limits import (
    MAX_BUNDLE_BYTES,
    MAX_DIGESTS,
    MAX_STATEMENT_VALUES,
    MAX_SUBJECTS,
)

STATEMENT_V1: Final = "https://in-toto.io/Statement/v1"
STATEMENT_V0_1: Final = "https://in-toto.io/Statement/v0.1"
_ERROR: Final = "STATEMENT_INVALID"


class Subject(NamedTuple):
    """One thing that a statement is about; `digests` are in hex, by the name of the algorithm."""

    name: str
    digests: Mapping[str, str]


class Statement(NamedTuple):
    """What is said, of which type, about which subjects."""

    type: str
    predicate_type: str
    subjects: tuple[Subject, ...]
    predicate: Mapping[str, Any] | None
    """The predicate as JSON gave it: its form is its type's affair."""


def parse_statement(payload: bytes) -> Statement:
    """The statement in these bytes. Raises MalformedError STATEMENT_INVALID or LIMIT_EXCEEDED."""
    members = parse_json(
        payload,
        what="statement",
        max_bytes=MAX_BUNDLE_BYTES,
        error=_ERROR,
        max_values=MAX_STATEMENT_VALUES,
    )
    root = Fields(members, error=_ERROR)
    kind = root.string("_type")
    if kind not in {STATEMENT_V1, STATEMENT_V0_1}:
        raise MalformedError(
            _ERROR, "the statement's _type is not known", expected=STATEMENT_V1, found=kind[:120]
        )
    predicate_type = root.string("predicateType")
    if not predicate_type:
        raise root.missing("predicateType")
    items = root.objects("subject")
    if not 1 <= len(items) <= MAX_SUBJECTS:
        raise MalformedError(
            _ERROR,
            "the statement's number of subjects is not allowed",
            expected=f"1 to {MAX_SUBJECTS}",
            found=str(len(items)),
        )
    if root.has("predicate"):
        root.require("predicate")
    return Statement(
        type=kind,
        predicate_type=predicate_type,
        subjects=tuple([_subject(item) for item in items]),
        predicate=members.get("predicate"),
    )


def encode_statement(
    subjects: Sequence[Subject], predicate_type: str, predicate: Mapping[str, Any]
) -> bytes:
    """A statement of type v1, in one line."""
    members = {
        "_type": STATEMENT_V1,
        "subject": [{"name": item.name, "digest": dict(item.digests)} for item in subjects],
        "predicateType": predicate_type,
        "predicate": dict(predicate),
    }
    return json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def _subject(found: Fields) -> Subject:
    digests = found.require("digest")
    names = tuple(digests.names())
    if not 1 <= len(names) <= MAX_DIGESTS:
        raise MalformedError(
            _ERROR,
            f"{found.path('digest')} has a number of digests that is not allowed",
            expected=f"1 to {MAX_DIGESTS}",
            found=str(len(names)),
        )
    values = {name: digests.string(name) for name in names}
    return Subject(found.string("name"), MappingProxyType(values))
