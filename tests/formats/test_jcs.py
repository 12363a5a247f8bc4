import json

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from touchplate.errors import MalformedError
from touchplate.formats.jcs import MAX_DEPTH, MAX_INTEGER, canonical_json

text = st.text(st.characters(codec="utf-8"), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=5),
    max_leaves=25,
)


@given(values)
def test_same_as_rfc8785(value: object) -> None:
    """Our bytes are those of an independent implementation, and read back as the value."""
    encoded = canonical_json(value)
    assert encoded == rfc8785.dumps(value)  # type: ignore[arg-type]  # its type is narrower
    assert json.loads(encoded) == value


def test_order_of_names() -> None:
    """Names are sorted by UTF-16 code units: RFC 8785 §3.2.3, its own example."""
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    encoded = canonical_json(dict.fromkeys(names, 0))
    assert list(json.loads(encoded)) == [
        "\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33",
    ]  # fmt: skip


def test_inclusion_promise() -> None:
    """The bytes under a log's promise have sorted names, no spaces, plain numbers."""
    promise = {"integratedTime": 1893456000, "logIndex": 100000001, "body": "e30=", "logID": "5d"}
    assert canonical_json(promise) == (
        b'{"body":"e30=","integratedTime":1893456000,"logID":"5d","logIndex":100000001}'
    )


def test_escapes() -> None:
    """Only what must be escaped is, in the shortest form."""
    assert canonical_json('"\\/\b\f\n\r\t\x01\x7f\u2028é') == (
        '"\\"\\\\/\\b\\f\\n\\r\\t\\u0001\x7f\u2028é"'.encode()
    )


@pytest.mark.parametrize(
    "value",
    [1.0, float("nan"), {1: 2}, {None: 1}, b"x", {1, 2}, "\ud800", {"\ud800": 1}, 2**53, -(2**53)],
)
def test_refused(value: object) -> None:
    """Floats, other types, half pairs and numbers beyond 2^53 - 1 have no form here."""
    for nested in (value, [value], {"a": value}):
        with pytest.raises(MalformedError) as error:
            canonical_json(nested)
        assert error.value.code == "JSON_MALFORMED"


def test_depth() -> None:
    """64 levels are written, and one more is refused rather than recursed into."""
    value: object = 0
    for level in range(MAX_DEPTH + 1):
        if level < MAX_DEPTH:
            value = [value] if level % 2 else {"a": value}
            canonical_json(value)
    with pytest.raises(MalformedError) as error:
        canonical_json([value])
    assert error.value.code == "LIMIT_EXCEEDED"
    with pytest.raises(MalformedError):
        canonical_json({"a": value})
