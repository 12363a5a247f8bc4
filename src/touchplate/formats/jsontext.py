"""JSON as Sigstore's formats use it: strict text in, protobuf-JSON fields out.

`parse_json` refuses what parsers read in different ways (duplicate members, bytes that are not
UTF-8, NaN). `Fields` reads one object by the rules of protobuf JSON and names the path in its
errors. Canonical output is in `jcs`.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from json import JSONDecoder
from re import compile as compile_pattern
from typing import Any, Final, NoReturn

from touchplate.errors import MalformedError
from touchplate.formats.base64text import parse_any_base64
from touchplate.formats.timetext import parse_timestamp

MAX_DEPTH: Final = 64
MAX_VALUES: Final = 100_000
"""An empty array is two octets of text, and forty times that in memory."""
MAX_INT64: Final = 2**63 - 1
MIN_INT64: Final = -(2**63)
_MAX_INT64_DIGITS: Final = 19

JsonObject = dict[str, Any]
_Octets = bytes
"""Inside `Fields`, `bytes` is a method."""


def _no_duplicates(pairs: list[tuple[str, Any]]) -> JsonObject:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise ValueError(f"the member {name!r} occurs twice")
            seen.add(name)
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_STRICT: Final = JSONDecoder(object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
# Three times as fast, and keeps the last of two members: counting tells.
_FAST: Final = JSONDecoder(parse_constant=_no_constant)
_MAX_FAST: Final = 64 * 1024
"""Above this a document is mostly values that nobody looks at, and counting them costs more."""
_SURROGATE_ESCAPE: Final = compile_pattern(rb"\\u[dD]")
"""The only way to half of a surrogate pair, when the text itself is UTF-8."""


def parse_json(
    data: bytes | str,
    *,
    what: str,
    max_bytes: int,
    error: str = "JSON_MALFORMED",
    max_values: int = MAX_VALUES,
) -> JsonObject:
    """Parse one JSON object. `what` names it in errors, `error` is the code for malformed text.

    At most `max_bytes` (characters, if given text), 64 levels and `max_values` (brackets and
    commas, wherever they stand): else LIMIT_EXCEEDED.
    """
    value = parse_json_value(
        data, what=what, max_bytes=max_bytes, error=error, max_values=max_values
    )
    if value.__class__ is not dict:
        raise MalformedError(error, f"{what} is not a JSON object", found=_kind(value))
    members: JsonObject = value
    return members


def parse_json_value(
    data: bytes | str,
    *,
    what: str,
    max_bytes: int,
    error: str = "JSON_MALFORMED",
    max_values: int = MAX_VALUES,
) -> Any:  # noqa: ANN401 - any JSON value
    """Parse any JSON value, with the limits of `parse_json`."""
    if len(data) > max_bytes:
        raise MalformedError(
            "LIMIT_EXCEEDED",
            f"{what} is too large",
            expected=f"at most {max_bytes} bytes",
            found=f"{len(data)} bytes",
        )
    try:
        octets = data.encode(errors="surrogatepass") if isinstance(data, str) else data
        text = data if isinstance(data, str) else data.decode()
        if len(octets) > max_values:
            _check_values(octets, what, max_values)
        if len(octets) > _MAX_FAST:
            value = _STRICT.decode(text)
            containers = octets.count(b"{") + octets.count(b"[")
        else:
            value = _FAST.decode(text)
            strings, containers = _count(value)
            # A string in the text has two quotes, and one with a quote inside has more: if no
            # quote is left over then nothing that was read has been dropped, so no name was twice.
            if 2 * strings != len(octets) - len(octets.replace(b'"', b"")):
                value = _STRICT.decode(text)
    except RecursionError:
        raise _too_deep(what) from None
    except ValueError as problem:  # JSONDecodeError and UnicodeDecodeError are among them
        raise MalformedError(error, f"{what} is not JSON: {problem}") from problem
    # Both need a walk over all values, so first rule out most documents cheaply.
    if containers > MAX_DEPTH:
        _check_depth(value, what)
    if isinstance(data, str) or _SURROGATE_ESCAPE.search(octets):
        _check_surrogates(value, what, error)
    return value


def parse_unchecked(data: bytes) -> tuple[Any, int] | None:
    """A JSON value and how many quotes its text has; None for what only `parse_json` can judge.

    It may have dropped a member that stood twice, be too deep, or hold half of a surrogate pair.
    The caller must rule that out: each value known, texts encoded, and two quotes for each string
    (names of members too), which is one that neither was dropped nor holds a quote.
    """
    if len(data) > _MAX_FAST:
        return None
    try:
        text = data.decode()
        value, end = _FAST.raw_decode(text)
    except (ValueError, RecursionError):
        return None
    if end != len(text) and text[end:].strip(" \t\n\r"):
        return None
    return value, len(data) - len(data.replace(b'"', b""))


def _check_values(octets: bytes, what: str, max_values: int) -> None:
    if octets.count(b"{") + octets.count(b"[") + octets.count(b",") > max_values:
        raise MalformedError(
            "LIMIT_EXCEEDED", f"{what} holds too much", expected=f"at most {max_values} values"
        )


def _count(value: Any) -> tuple[int, int]:  # noqa: ANN401 - any JSON value
    """How many strings (names of members too), and how many arrays and objects are in a value."""
    strings = containers = 0
    waiting = [value]
    for item in waiting:  # which grows while we walk
        kind = item.__class__
        if kind is str:
            strings += 1
        elif kind is dict:
            containers += 1
            strings += len(item)
            waiting += item.values()
        elif kind is list:
            containers += 1
            waiting += item
    return strings, containers


def _check_depth(value: Any, what: str) -> None:  # noqa: ANN401 - any JSON value
    level = [value]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for item in level:
            if item.__class__ is dict:
                below.extend(item.values())
            elif item.__class__ is list:
                below.extend(item)
        level = [item for item in below if item.__class__ in (dict, list)]
        if not level:
            return
    raise _too_deep(what)


def _check_surrogates(value: Any, what: str, error: str) -> None:  # noqa: ANN401 - any JSON value
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if item.__class__ is dict:
            waiting.extend(item)
            waiting.extend(item.values())
        elif item.__class__ is list:
            waiting.extend(item)
        elif item.__class__ is str:
            try:
                item.encode()
            except UnicodeEncodeError as problem:
                raise MalformedError(
                    error, f"{what} holds half of a surrogate pair", found=ascii(item)[:80]
                ) from problem


def _too_deep(what: str) -> MalformedError:
    return MalformedError(
        "LIMIT_EXCEEDED", f"{what} is nested too deeply", expected=f"at most {MAX_DEPTH} levels"
    )


class Fields:
    """One JSON object, read by the rules of protobuf JSON.

    A member that is absent or null has its type's default. Each method raises MalformedError with
    the code given at the start, naming the path of the member.
    """

    __slots__ = ("_above", "_error", "_members", "_path")

    def __init__(
        self, members: JsonObject, error: str, path: str = "", above: "Fields | None" = None
    ) -> None:
        """Read `members`, which lies at `path` in the document; `error` is the code to raise.

        With `above` the path is a member's name within that object, and is put together only when
        an error needs it.
        """
        self._members = members
        self._error = error
        self._path = path
        self._above = above

    def path(self, name: str) -> str:
        """Give the path of a member: `verificationMaterial.tlogEntries[0].logIndex`."""
        here = self._path if self._above is None else self._above.path(self._path)
        return f"{here}.{name}" if here else name

    def wrong(self, name: str, expected: str) -> MalformedError:
        """Give the error that says what the member `name` should be; the caller raises it."""
        return MalformedError(
            self._error,
            f"{self.path(name)} is not as it should be",
            expected=expected,
            found=_kind(self._members.get(name)),
        )

    def missing(self, name: str) -> MalformedError:
        """Give the error that says that the member is required; the caller raises it."""
        return MalformedError(self._error, f"{self.path(name)} is missing")

    def names(self) -> Iterable[str]:
        """Give the names of all members, null ones too."""
        return self._members

    def value(self, name: str) -> Any:  # noqa: ANN401 - any JSON value
        """Give a member as JSON gave it; None if absent."""
        return self._members.get(name)

    def has(self, name: str) -> bool:
        """Say whether the member is there and not null."""
        return self._members.get(name) is not None

    def one_of(self, names: Iterable[str]) -> str | None:
        """Give the one of these names that is there, None if none is; two are an error."""
        present = [name for name in names if self._members.get(name) is not None]
        if len(present) > 1:
            raise MalformedError(
                self._error,
                f"{self.path(present[0])} and {present[1]} exclude each other",
                expected="one of them",
            )
        return present[0] if present else None

    def only(self, names: Iterable[str]) -> None:
        """Refuse any member that is not in `names`."""
        unknown = self._members.keys() - set(names)
        if unknown:
            raise MalformedError(self._error, f"{self.path(min(unknown))} is not a known field")

    def string(self, name: str, default: str = "") -> str:
        """Give a string."""
        value = self._members.get(name)
        if value.__class__ is str:
            text: str = value
            return text
        if value is None:
            return default
        raise self.wrong(name, "a string")

    def boolean(self, name: str) -> bool:
        """Give a boolean, False if absent."""
        value = self._members.get(name)
        if value is None:
            return False
        if value.__class__ is not bool:
            raise self.wrong(name, "true or false")
        answer: bool = value
        return answer

    def bytes(self, name: str) -> bytes:
        """Give bytes: base64, standard or URL-safe alphabet, padding optional."""
        value = self._members.get(name)
        if value is None:
            return b""
        if value.__class__ is not str:
            raise self.wrong(name, "a string of base64")
        try:
            return parse_any_base64(value)
        except ValueError as problem:
            raise self.wrong(name, "base64") from problem

    def int64(self, name: str, default: int = 0) -> int:
        """Give an integer of 64 bits with sign; a decimal string or a JSON integer."""
        value = self._members.get(name)
        if value.__class__ is str:
            number = parse_int64(value)
            if number is not None:
                return number
        elif value is None:
            return default
        elif value.__class__ is int and MIN_INT64 <= value <= MAX_INT64:
            integer: int = value
            return integer
        raise self.wrong(name, "an integer of 64 bits")

    def enum(self, name: str, names: Mapping[int, str], default: str | None = None) -> str | None:
        """Give the name of an enum value that came as name or number; `names` is by number."""
        value = self._members.get(name)
        if value is None:
            return default
        if value.__class__ is int:
            value = names.get(value, value)
        if value.__class__ is not str or value not in names.values():
            raise self.wrong(name, "one of " + ", ".join(names.values()))
        text: str = value
        return text

    def timestamp(self, name: str) -> datetime | None:
        """Give a time in UTC (RFC 3339); None if absent. Below a microsecond is cut off."""
        value = self._members.get(name)
        if value is None:
            return None
        if value.__class__ is str:
            try:
                return parse_timestamp(value)
            except ValueError as problem:
                raise self.wrong(name, "an RFC 3339 time such as 2030-01-01T00:00:00Z") from problem
        raise self.wrong(name, "a string with an RFC 3339 time")

    def time_range(self) -> tuple[datetime, datetime | None]:
        """Give this object as a TimeRange: its start, which must be there, and its end."""
        start = self.timestamp("start")
        if start is None:
            raise self.missing("start")
        return start, self.timestamp("end")

    def object(self, name: str) -> "Fields | None":
        """Give an object; None if absent."""
        value = self._members.get(name)
        if value.__class__ is dict:
            return Fields(value, self._error, name, self)
        if value is None:
            return None
        raise self.wrong(name, "an object")

    def require(self, name: str) -> "Fields":
        """Give an object that must be there."""
        found = self.object(name)
        if found is None:
            raise self.missing(name)
        return found

    def objects(self, name: str) -> "tuple[Fields, ...]":
        """Give an array of objects, empty if absent."""
        value = self._array(name)
        for item in value:
            if item.__class__ is not dict:
                raise self.wrong(name, "an array of objects")
        return tuple(
            [Fields(item, self._error, f"{name}[{i}]", self) for i, item in enumerate(value)]
        )

    def strings(self, name: str) -> tuple[str, ...]:
        """Give an array of strings, empty if absent."""
        value = self._array(name)
        for item in value:
            if item.__class__ is not str:
                raise self.wrong(name, "an array of strings")
        return tuple(value)

    def byte_strings(self, name: str) -> tuple[_Octets, ...]:
        """Give an array of bytes in base64, empty if absent."""
        found = []
        for i, item in enumerate(self._array(name)):
            if item.__class__ is not str:
                raise self.wrong(name, "an array of base64 strings")
            try:
                found.append(parse_any_base64(item))
            except ValueError as problem:
                raise self.wrong(f"{name}[{i}]", "base64") from problem
        return tuple(found)

    def _array(self, name: str) -> list[Any]:
        value = self._members.get(name)
        if value is None:
            return []
        if value.__class__ is not list:
            raise self.wrong(name, "an array")
        items: list[Any] = value
        return items


def parse_int64(text: str) -> int | None:
    """Read a decimal integer of 64 bits: no plus, no leading zero, no space. None if it is not."""
    digits = text.removeprefix("-")
    if not (digits.isdigit() and digits.isascii()) or len(digits) > _MAX_INT64_DIGITS:
        return None
    if digits[0] == "0" and text != "0":
        return None
    number = int(text)
    return number if MIN_INT64 <= number <= MAX_INT64 else None


def _kind(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Describe a JSON value in an error: its kind, and the value if it is short."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return f"an array of {len(value)}"
    text = ascii(value)
    return text if len(text) <= 80 else text[:77] + "..."
