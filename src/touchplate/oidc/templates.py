"""The templates of `ci-issuer-metadata`: the part of Go's text/template that issuer files use.

Read once, when the file is: what is not supported is refused then, and evaluation can only fail for
a claim that a token does not have. `{{ .name }}`, `{{ index . "any name" }}` with or without
parentheses, `{{if eq A "text"}}…{{else}}…{{end}}`, and trimming with `{{-` and `-}}`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from math import isfinite
from typing import Any, Final

from touchplate.errors import RefusedError

MAX_TEMPLATE: Final = 4096
MAX_ACTIONS: Final = 100
MAX_DEPTH: Final = 8
MAX_RESULT: Final = 4096

Data = Mapping[str, str]

_TEXT: Final = r'"((?:[^"\\\n]|\\["\\])*)"'
_ACTION: Final = re.compile(r"\{\{(-(?=[ \t\r\n]))?(.*?)((?<=[ \t\r\n])-)?\}\}", re.DOTALL)
_FIELD: Final = re.compile(r"\.([^\W\d]\w*)")
_INDEX: Final = re.compile(rf"index\s+\.\s+{_TEXT}")
_PARENTHESES: Final = re.compile(r"\(\s*(.*?)\s*\)", re.DOTALL)
_IF: Final = re.compile(rf"if\s+eq\s+(.+?)\s+{_TEXT}", re.DOTALL)
_SPACE: Final = " \t\r\n"


@dataclass(frozen=True, slots=True)
class _Value:
    """A claim by name; `missing` is the error's text if it is not there, empty if it need not be.

    Go's `.name` must be there; `index` gives an empty text for what is not.
    """

    name: str
    missing: str = ""

    def evaluate(self, data: Data) -> str:
        found = data.get(self.name)
        if found is None and self.missing:
            raise _missing(self.missing)
        return found or ""


@dataclass(frozen=True, slots=True)
class _Choice:
    value: _Value
    equal: str
    then: "tuple[_Part, ...]"
    otherwise: "tuple[_Part, ...]"

    def evaluate(self, data: Data) -> str:
        is_equal = self.value.evaluate(data) == self.equal
        return _evaluate(self.then if is_equal else self.otherwise, data)


_Part = str | _Value | _Choice


@dataclass(frozen=True, slots=True)
class Template:
    """A template that was read, or the name of a claim; any thread may evaluate it."""

    parts: tuple[_Part, ...]

    def evaluate(self, data: Data) -> str:
        """Give the text for these claims (TOKEN_REFUSED: one is missing, or above 4096 characters).

        Values are put in as they are; they are never read as templates.
        """
        text = _evaluate(self.parts, data)
        if len(text) > MAX_RESULT:
            raise _missing(f"a value is longer than {MAX_RESULT} characters")
        return text


def parse_template(text: str) -> Template:
    """Read a template, or the name of a claim; ValueError says what is not supported."""
    if len(text) > MAX_TEMPLATE:
        raise ValueError(f"the template is longer than {MAX_TEMPLATE} characters")
    if "{{" not in text:
        missing = f"value <{text}> not present in either claims or defaults"
        return Template((_Value(text, missing),))
    reader = _Reader(_tokens(text))
    parts = reader.read(0)
    if reader.at < len(reader.tokens):
        raise ValueError(f"{{{{{reader.tokens[reader.at][1]}}}}} without an if")
    return Template(parts)


def _tokens(text: str) -> list[tuple[bool, str]]:
    """Give literal texts and actions (True) in turn, trimmed where they say so."""
    found: list[tuple[bool, str]] = []
    at, trim = 0, False
    for match in _ACTION.finditer(text):
        literal = text[at : match.start()]
        if "{{" in literal:
            break
        literal = literal.lstrip(_SPACE) if trim else literal
        found.append((False, literal.rstrip(_SPACE) if match[1] else literal))
        found.append((True, match[2].strip(_SPACE)))
        at, trim = match.end(), bool(match[3])
        if len(found) > 2 * MAX_ACTIONS:
            raise ValueError(f"the template has more than {MAX_ACTIONS} actions")
    rest = text[at:]
    if "{{" in rest:
        raise ValueError("an action is not closed")
    found.append((False, rest.lstrip(_SPACE) if trim else rest))
    return found


class _Reader:
    """Reads tokens into parts."""

    def __init__(self, tokens: list[tuple[bool, str]]) -> None:
        self.tokens = tokens
        self.at = 0

    def read(self, depth: int) -> tuple[_Part, ...]:
        """Read to the end, or to an `else` or `end`, which is left where it is."""
        if depth > MAX_DEPTH:
            raise ValueError(f"more than {MAX_DEPTH} ifs inside each other")
        parts: list[_Part] = []
        while self.at < len(self.tokens):
            is_action, text = self.tokens[self.at]
            if is_action and text in ("else", "end"):
                break
            self.at += 1
            if not is_action:
                parts.append(text)
            elif found := _IF.fullmatch(text):
                parts.append(self._choice(found, depth))
            else:
                parts.append(_value(text))
        return tuple(parts)

    def _choice(self, found: re.Match[str], depth: int) -> _Choice:
        value, equal = _value(found[1]), _unquote(found[2])
        then = self.read(depth + 1)
        otherwise: tuple[_Part, ...] = ()
        if self._take() == "else":
            otherwise = self.read(depth + 1)
            if self._take() != "end":
                raise ValueError("an if has two else")
        return _Choice(value, equal, then, otherwise)

    def _take(self) -> str:
        if self.at == len(self.tokens):
            raise ValueError("an if without its end")
        self.at += 1
        return self.tokens[self.at - 1][1]


def _value(text: str) -> _Value:
    inner = text
    if found := _PARENTHESES.fullmatch(text):
        inner = found[1]
    if found := _FIELD.fullmatch(inner):
        return _Value(found[1], f'map has no entry for key "{found[1]}"')
    if found := _INDEX.fullmatch(inner):
        return _Value(_unquote(found[1]))
    raise ValueError(f"{{{{{text[:100]}}}}} is not supported")


def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _evaluate(parts: tuple[_Part, ...], data: Data) -> str:
    return "".join(part if isinstance(part, str) else part.evaluate(data) for part in parts)


def claims_as_text(claims: Mapping[str, Any]) -> dict[str, str]:
    """Give each claim as Fulcio writes it: `<nil>`, `true`, `1000`, `[a b]`, `map[k:v]`.

    Whole numbers keep all digits, also where Go would round them to 53 bits.
    """
    return {name: _plain(value) for name, value in claims.items()}


def _plain(value: object) -> str:
    if isinstance(value, float):
        return _number(value)
    return _nested(value)


def _nested(value: object) -> str:
    """Write a value as Go's %v does; no deeper than JSON was read."""
    if isinstance(value, str):
        return value
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{' '.join(map(_nested, value))}]"
    if isinstance(value, dict):
        members = (f"{key}:{_nested(value[key])}" for key in sorted(value))
        return f"map[{' '.join(members)}]"
    if isinstance(value, float) and value and not 1e-4 <= abs(value) < 1e21:
        # Go: at least two digits of exponent, with its sign; so does Python.
        return re.sub(r"\.0(?=e|$)", "", repr(value))
    return _number(value)


def _number(value: object) -> str:
    """Write a number without an exponent, and without `.0`."""
    if isinstance(value, float):
        if not isfinite(value):
            raise _missing("a claim is a number out of range")
        text = format(Decimal(repr(value)), "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    return str(value)


def _missing(reason: str) -> RefusedError:
    return RefusedError("TOKEN_REFUSED", f"identity token: {reason}")
