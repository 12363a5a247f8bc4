"""What a file of the corpus is, and ways to spoil a good document."""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
ARTIFACT = b"artifact"


# File name, bytes, the code that it must lead to ("" for a good one) and, where it is a request,
# the status.
Row = tuple[str, bytes, str, int]


def dump(value: Any) -> bytes:
    """Write JSON."""
    return json.dumps(value).encode()


def edited(document: bytes, edit: Callable[[Any], object]) -> bytes:
    """Change members of a JSON document."""
    value = json.loads(document)
    edit(value)
    return dump(value)


def put(*path: Any) -> Callable[[Any], None]:
    """Give an edit: the last of `path` is put where the others lead."""
    *steps, last, value = path

    def edit(document: Any) -> None:
        for step in steps:
            document = document[step]
        document[last] = value

    return edit


def flip(text: str, at: int) -> str:
    """Flip one bit of what the base64 text says."""
    data = bytearray(b64decode(text))
    data[at] ^= 1
    return b64encode(data).decode()


def any_json(good: bytes, code: str, status: int) -> Iterator[Row]:
    """Give what is wrong with JSON, whatever it says."""
    yield "truncated.json", good[: len(good) // 2], code, status
    yield "empty.json", b"", code, status
    yield "array.json", b"[" + good + b"]", code, status
    yield "null.json", b"null", code, status
    yield "not_utf8.json", good.replace(b'":', b'\xff":', 1), code, status
    yield "byte_order_mark.json", b"\xef\xbb\xbf" + good, code, status
    yield "followed.json", good + b"{}", code, status
    name = next(iter(json.loads(good)))
    twice = b"{" + dump(name) + b":" + dump(json.loads(good)[name]) + b"," + good[1:]
    yield "member_twice.json", twice, code, status
    deep = b"[" * 5000 + b"]" * 5000
    yield "deep.json", b"{" + dump(name) + b":" + deep + b"}", "LIMIT_EXCEEDED", status
    yield "not_a_number.json", b"{" + dump(name) + b":NaN}", code, status
    yield "huge_number.json", b"{" + dump(name) + b":1" + b"0" * 6000 + b"}", code, status
