"""Strict reading of TOML into the settings' data classes, member by member.

A member of a data class says with `member` what it is; `read_table` walks them. What is unknown or
of another kind is refused with its name, its line if it can be found, and what is allowed.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from touchplate.errors import SettingsError

T = TypeVar("T")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_KIND: Final = "kind"


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """One kind of value: its description, and how it is read (ValueError or SettingsError)."""

    allowed: str
    read: Callable[[object], T]


@dataclass(frozen=True, slots=True)
class Source:
    """The file that is read; paths in it are relative to its folder."""

    path: Path
    text: str

    def refuse(self, table: str, name: str, problem: str, expected: str) -> SettingsError:
        """Make the error for one member; `table` is empty for those at the top."""
        line = _line_of(self.text, table, name)
        shown = f"{table}.{name}" if table else name
        place = f"{self.path}, line {line}" if line else str(self.path)
        return SettingsError("SETTINGS_INVALID", f"{place}: {shown}: {problem}", expected=expected)


def member(kind: Kind[T], default: T) -> T:
    """Declare a member of a settings data class that the file may set."""
    return field(default=default, metadata={_KIND: kind})


def table(kind: type[T]) -> T:
    """Declare a member that is a table of the file."""
    return field(default_factory=kind, metadata={_KIND: kind})


def kind_of(declared: Any) -> Any:  # noqa: ANN401  a dataclasses.Field, a Kind or a data class
    """Give the kind of a data class's field: a Kind, a data class, or None if no file sets it."""
    return declared.metadata.get(_KIND)


def read_table(
    cls: type[T], values: Mapping[str, object], source: Source, name: str = "", **given: object
) -> T:
    """Read one table and those in it; `given` are the members that the file does not set.

    Raises SETTINGS_INVALID for a member that is not known or not of its kind.
    """
    known = {each.name: kind_of(each) for each in fields(cls) if kind_of(each) is not None}  # type: ignore[arg-type]  # T is a data class
    read = dict(given)
    for key, value in values.items():
        kind = known.get(key)
        if kind is None:
            raise source.refuse(name, key, "there is no such setting", _or(sorted(known)))
        read[key] = (
            _read_member(kind, value, source, name, key)
            if isinstance(kind, Kind)
            else _read_inner(kind, value, source, key)
        )
    return cls(**read)


def _read_member(kind: Kind[Any], value: object, source: Source, name: str, key: str) -> object:
    try:
        read = kind.read(value)
    except (ValueError, SettingsError) as error:
        problem = str(error) or f"{value!r} is not allowed"
        raise source.refuse(name, key, problem, kind.allowed) from error
    return source.path.parent / read if isinstance(read, Path) else read


def _read_inner(cls: type[Any], value: object, source: Source, key: str) -> object:
    if not isinstance(value, dict):
        raise source.refuse("", key, f"{_shown(value)} is no table", f"[{key}]")
    return read_table(cls, value, source, key)


def tables(cls: type[T]) -> Kind[tuple[T, ...]]:
    """Make the kind of arrays of tables: `[[name]]`, each of them a data class."""
    known = {each.name: kind_of(each) for each in fields(cls)}  # type: ignore[arg-type]  # T is a data class

    def read_one(number: int, value: object) -> T:
        if not isinstance(value, dict):
            raise ValueError(_refused(value))  # noqa: TRY004  the reader's one error
        found = {}
        for key, each in value.items():
            if key not in known:
                raise ValueError(f"number {number}: there is no setting {key!r}")
            try:
                found[key] = known[key].read(each)
            except ValueError as error:
                raise ValueError(f"number {number}: {key}: {error}") from error
        return cls(**found)

    def read(value: object) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise ValueError(_refused(value))  # noqa: TRY004  the reader's one error
        return tuple(read_one(number, each) for number, each in enumerate(value, start=1))

    return Kind(f"an array of tables with {_or(sorted(known))}", read)


def _read_words(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError(_refused(value))  # noqa: TRY004  the reader's one error
    return tuple(map(read_text, value))


def integer(minimum: int, maximum: int) -> Kind[int]:
    """Make the kind of whole numbers in a range."""

    def read(value: object) -> int:
        # TOML's booleans are Python's, which are integers.
        if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
            raise ValueError(_refused(value))
        return value

    return Kind(f"a whole number from {minimum} to {maximum}", read)


def seconds(minimum: float, maximum: float) -> Kind[float]:
    """Make the kind of durations in seconds."""

    def read(value: object) -> float:
        number = value if isinstance(value, int | float) and value is not True else -1
        if not minimum <= number <= maximum:
            raise ValueError(_refused(value))
        return float(number)

    return Kind(f"seconds, from {minimum:g} to {maximum:g}", read)


def choice(*words: str) -> Kind[str]:
    """Make the kind of one of some words."""

    def read(value: object) -> str:
        if not isinstance(value, str) or value not in words:
            raise ValueError(_refused(value))
        return value

    return Kind(_or(_quoted(words)), read)


def several(words: Iterable[str]) -> Kind[frozenset[str]]:
    """Make the kind of lists of some of these words, at least one."""
    known = sorted(words)

    def read(value: object) -> frozenset[str]:
        if not isinstance(value, list) or not value:
            raise ValueError(_refused(value))
        for each in value:
            if each not in known:
                raise ValueError(_refused(each))
        return frozenset(value)

    return Kind(f"a list of {_or(_quoted(known))}", read)


def texts(
    of_what: str, read_one: Callable[[str], str], minimum: int, maximum: int
) -> Kind[tuple[str, ...]]:
    """Make the kind of lists of words that `read_one` takes (ValueError)."""

    def read(value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not minimum <= len(value) <= maximum:
            raise ValueError(_refused(value))
        return tuple(read_one(read_text(each)) for each in value)

    return Kind(f"a list of {minimum} to {maximum} {of_what}", read)


def read_text(value: object) -> str:
    """Read words that are not empty (ValueError)."""
    if not isinstance(value, str) or not value:
        raise ValueError(_refused(value))
    return value


def _read_uri(value: object) -> str:
    # Not shown: a URI may hold a password.
    if not isinstance(value, str) or ":" not in value:
        raise ValueError("this is no URI")
    return value


def _read_boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(_refused(value))  # noqa: TRY004  the reader's one error
    return value


def _read_networks(value: object) -> tuple[Network, ...]:
    if not isinstance(value, list):
        raise ValueError(_refused(value))  # noqa: TRY004  the reader's one error
    return tuple(ipaddress.ip_network(read_text(each)) for each in value)


def _read_path(value: object) -> Path:
    return Path(read_text(value))


BOOLEAN: Final = Kind("true or false", _read_boolean)
URI: Final[Kind[str | None]] = Kind("a URI, see the table of storage", _read_uri)
FILE: Final[Kind[Path | None]] = Kind("the path of a file", _read_path)
TEXT: Final = Kind("a text", read_text)
WORDS: Final = Kind("a list of texts", _read_words)
NETWORKS: Final = Kind('a list of addresses and networks, such as "10.0.0.0/8"', _read_networks)


def _or(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _quoted(words: Iterable[str]) -> list[str]:
    return [f'"{word}"' for word in words]


def _refused(value: object) -> str:
    return f"{_shown(value)} is not allowed"


def _shown(value: object) -> str:
    return repr(value)[:100]


def _line_of(text: str, table: str, name: str) -> int | None:
    """Find the line of a member, or that of the table if it is one; None if it is written oddly."""
    header = re.compile(r"\s*\[\s*\"?([\w-]+)\"?\s*\]")
    assignment = re.compile(rf"\s*\"?{re.escape(name)}\"?\s*[=.]")
    dotted = re.compile(rf"\s*\"?{re.escape(table)}\"?\s*\.\s*\"?{re.escape(name)}\"?\s*=")
    inside = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if found := header.match(line):
            inside = found[1]
            if not table and inside == name:
                return number
            continue
        pattern = assignment if inside == table else dotted if not inside else None
        if pattern is not None and pattern.match(line):
            return number
    return None
