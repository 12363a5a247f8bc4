"""Canonical JSON (RFC 8785) of strings, integers, booleans, null, arrays and objects.

Floats are refused: no format of ours has them, and their canonical form is the one hard part.
"""

from json.encoder import encode_basestring
from typing import Any, Final

from touchplate.errors import MalformedError

MAX_DEPTH: Final = 64
MAX_INTEGER: Final = 2**53 - 1
"""RFC 8785 §3.2.2.3: beyond it a number is no longer the same in every implementation."""


def canonical_json(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """Encode canonically. Raises JSON_MALFORMED for what has no canonical form here."""
    parts: list[str] = []
    _write(value, parts, 0)
    try:
        return "".join(parts).encode()
    except UnicodeEncodeError as error:
        raise MalformedError("JSON_MALFORMED", "a string holds half of a surrogate pair") from error


def _write(value: Any, parts: list[str], depth: int) -> None:  # noqa: ANN401 - any JSON value
    kind = value.__class__
    if kind is str:
        parts.append(encode_basestring(value))
    elif kind is dict:
        _write_object(value, parts, depth)
    elif kind is int:
        if not -MAX_INTEGER <= value <= MAX_INTEGER:
            raise MalformedError("JSON_MALFORMED", f"{value} is beyond 2^53 - 1")
        parts.append(str(value))
    elif kind is list or kind is tuple:
        _write_array(value, parts, depth)
    elif value is None:
        parts.append("null")
    elif kind is bool:
        parts.append("true" if value else "false")
    else:
        raise MalformedError("JSON_MALFORMED", f"a {kind.__name__} has no canonical JSON here")


def _write_object(value: dict[Any, Any], parts: list[str], depth: int) -> None:
    if depth == MAX_DEPTH:
        raise _too_deep()
    separator = "{"
    for name in _sorted_names(value):
        parts.append(separator)
        parts.append(encode_basestring(name))
        parts.append(":")
        _write(value[name], parts, depth + 1)
        separator = ","
    parts.append("}" if value else "{}")


def _write_array(value: list[Any] | tuple[Any, ...], parts: list[str], depth: int) -> None:
    if depth == MAX_DEPTH:
        raise _too_deep()
    separator = "["
    for item in value:
        parts.append(separator)
        _write(item, parts, depth + 1)
        separator = ","
    parts.append("]" if value else "[]")


def _sorted_names(value: dict[Any, Any]) -> list[str]:
    """Sort by UTF-16 code units (RFC 8785 §3.2.3), which for ASCII is the order of `sorted`."""
    for name in value:
        if name.__class__ is not str:
            raise MalformedError("JSON_MALFORMED", f"the member name {name!r} is not a string")
    if "".join(value).isascii():
        return sorted(value)
    return sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))


def _too_deep() -> MalformedError:
    return MalformedError(
        "LIMIT_EXCEEDED", "the JSON is nested too deeply", expected=f"at most {MAX_DEPTH} levels"
    )
