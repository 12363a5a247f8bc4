"""Conditions that log entries are searched by, and whether an entry meets them.

Server and client hold the same entry against them: the one to answer, the other to prove.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from touchplate.entries.terms_found import EntryTerms
from touchplate.errors import MalformedError
from touchplate.formats.extensions import BY_NAME
from touchplate.formats.timetext import parse_timestamp

MAX_TEXT: Final = 2048
MAX_EXTENSION: Final = 127

_DIGEST: Final = re.compile(r"([a-z0-9-]{1,20}):([0-9a-f]{32,256})")
_BARE_HASHES: Final = {40: "sha1", 64: "sha256", 96: "sha384", 128: "sha512"}
_KEY: Final = re.compile(r"[0-9a-f]{64}")
_KIND: Final = re.compile(r"[a-z0-9]{1,64}")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NUMBER: Final = re.compile(r"[0-9]{1,3}")


@dataclass(frozen=True, slots=True)
class Conditions:
    """What an entry must meet, all of it. Texts are in their canonical spelling."""

    digests: tuple[str, ...] = ()
    """`algorithm:hex` in lower case, of an artifact, payload, envelope or statement subject."""
    identities: tuple[str, ...] = ()
    """Subject alternative names: an e-mail address in any case, all others as they stand."""
    issuers: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    """Hex SHA-256 of a SubjectPublicKeyInfo, or of the canonical PEM of a key or certificate."""
    extensions: tuple[tuple[int, str], ...] = ()
    """Number below 1.3.6.1.4.1.57264.1, and text."""
    kinds: tuple[str, ...] = ()
    since: datetime | None = None
    """Integrated then or later."""
    until: datetime | None = None
    """Integrated before then."""

    def matches(self, found: EntryTerms) -> bool:
        """Say whether an entry meets all conditions but those of time."""
        return (
            set(self.digests) <= set(found.digests)
            and all(_has_identity(found.identities, wanted) for wanted in self.identities)
            and set(self.issuers) <= set(found.issuers)
            and set(self.keys) <= set(found.keys)
            and set(self.extensions) <= set(found.extensions)
            and all(kind == found.kind for kind in self.kinds)
        )

    def meets_times(self, time: datetime) -> bool:
        """Say whether something of that time meets the conditions of time."""
        return (self.since is None or self.since <= time) and (
            self.until is None or time < self.until
        )


def _has_identity(found: Sequence[str], wanted: str) -> bool:
    if is_email(wanted):
        return wanted.lower() in map(str.lower, found)
    return wanted in found


def is_email(text: str) -> bool:
    """Say whether a name is an address, whose case does not matter."""
    return "@" in text and "/" not in text and not text.startswith("@")


def read_conditions(fields: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Read the members of `Conditions` from fields that may stand several times.

    Raises MalformedError REQUEST_MALFORMED for what is not understood.
    """
    return {
        "digests": _each(fields, "digest", read_digest),
        "identities": _each(fields, "identity", str),
        "issuers": _each(fields, "issuer", str),
        "keys": _each(fields, "key", read_key),
        "extensions": tuple(
            read_extension(bounded("extension", text)) for text in fields.get("extension", ())
        ),
        "kinds": _each(fields, "kind", _read_kind),
        "since": _time(fields, "since"),
        "until": _time(fields, "until"),
    }


def read_digest(text: str) -> str:
    """Read `algorithm:hex`, or hex alone, which is SHA-1 or SHA-2 by its length."""
    lower = text.strip().lower()
    if ":" not in lower and len(lower) in _BARE_HASHES:
        lower = f"{_BARE_HASHES[len(lower)]}:{lower}"
    if not _DIGEST.fullmatch(lower):
        raise wrong("digest", "ALGORITHM:HEX", text)
    return lower


def read_key(text: str) -> str:
    """Read a SHA-256 in hex; colons between the digits are allowed."""
    lower = text.strip().lower().removeprefix("sha256:").replace(":", "")
    if not _KEY.fullmatch(lower):
        raise wrong("key", "SHA-256 in hex", text)
    return lower


def read_extension(text: str) -> tuple[int, str]:
    """Read `NUMBER=VALUE` or `NAME=VALUE`; the names are those of policies."""
    name, equals, value = text.partition("=")
    row = BY_NAME.get(name)
    if row is not None:
        number = row.number
    elif _NUMBER.fullmatch(name):
        number = int(name)
    else:
        number = 0
    if not equals or not value or not 1 <= number <= MAX_EXTENSION:
        raise wrong("extension", "NUMBER=VALUE or NAME=VALUE", text)
    return number, value


def read_time(name: str, text: str) -> datetime:
    """Read an RFC 3339 time, or a date, which is its first moment in UTC."""
    try:
        if _DATE.fullmatch(text):
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
        return parse_timestamp(text)
    except ValueError as error:
        raise wrong(name, "a time such as 2030-01-01T00:00:00Z, or a date", text) from error


def one(fields: Mapping[str, Sequence[str]], name: str) -> str:
    """Give a field that may stand once; empty if it does not."""
    values = fields.get(name, ())
    if len(values) > 1:
        raise wrong(name, "one value", f"{len(values)}")
    return values[0] if values else ""


def _each(
    fields: Mapping[str, Sequence[str]], name: str, read: Callable[[str], str]
) -> tuple[str, ...]:
    return tuple(read(bounded(name, text)) for text in fields.get(name, ()))


def bounded(name: str, text: str) -> str:
    """Give a text that is neither empty nor longer than `MAX_TEXT`."""
    if not 0 < len(text) <= MAX_TEXT:
        raise wrong(name, f"1 to {MAX_TEXT} characters", f"{len(text)}")
    return text


def _read_kind(text: str) -> str:
    if not _KIND.fullmatch(text):
        raise wrong("kind", "the name of a kind of entry, such as hashedrekord", text)
    return text


def _time(fields: Mapping[str, Sequence[str]], name: str) -> datetime | None:
    text = one(fields, name)
    return read_time(name, text) if text else None


def wrong(name: str, expected: str, found: str) -> MalformedError:
    """Say what a field should be."""
    return MalformedError(
        "REQUEST_MALFORMED", f"{name} is not as it should be", expected=expected, found=found[:200]
    )
