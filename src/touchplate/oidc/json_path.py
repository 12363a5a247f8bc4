"""The paths of `issuer-claim`: `$.a.b`, `$['a']["b"]`, `$.a[0]`.

Wildcards, filters and slices are refused when the file is read.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

from touchplate.errors import RefusedError

MAX_STEPS: Final = 16

_STEP: Final = re.compile(
    r"""\.([^\W\d][\w-]*) | \[(\d{1,6})\] | \['([^'\\]*)'\] | \["([^"\\]*)"\]""", re.VERBOSE
)


@dataclass(frozen=True, slots=True)
class JsonPath:
    """A path that was read: member names and array indexes from the top."""

    text: str
    steps: tuple[str | int, ...]

    def find(self, value: Any) -> str:  # noqa: ANN401  any JSON value
        """Give the text at the path; TOKEN_REFUSED if there is none, or an empty one."""
        for step in self.steps:
            try:
                value = None if isinstance(value, str) else value[step]
            except (LookupError, TypeError) as error:
                text = f"identity token: nothing at {self.text}"
                raise RefusedError("TOKEN_REFUSED", text) from error
        if not isinstance(value, str) or not value:
            raise RefusedError("TOKEN_REFUSED", f"identity token: no text at {self.text}")
        return value


def parse_json_path(text: str) -> JsonPath:
    """Read a path of at most 16 steps; ValueError for what is not supported."""
    if not text.startswith("$"):
        raise ValueError(f"{text[:100]!r} does not begin with $")
    at, steps = 1, list[str | int]()
    while at < len(text):
        found = _STEP.match(text, at)
        if found is None or len(steps) == MAX_STEPS:
            raise ValueError(f"{text[:100]!r} is not supported from {text[at : at + 20]!r} on")
        name, index, single, double = found.groups()
        steps.append(
            int(index) if index else next(n for n in (name, single, double) if n is not None)
        )
        at = found.end()
    if not steps:
        raise ValueError("$ alone is all claims, and no text")
    return JsonPath(text, tuple(steps))
