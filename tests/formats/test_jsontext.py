import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchplate.errors import MalformedError
from touchplate.formats.jsontext import (
    MAX_DEPTH,
    MAX_VALUES,
    Fields,
    parse_int64,
    parse_json,
    parse_json_value,
)

CODE = "BUNDLE_MALFORMED"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


def parse(data: bytes | str) -> dict[str, Any]:
    """Parse with the limits of these tests."""
    return parse_json(data, what="the document", max_bytes=100_000, error=CODE)


def fields(**members: object) -> Fields:
    """Read an object that lies at `outer[0]`."""
    return Fields(dict(members), error=CODE, path="outer[0]")


def code_of(data: bytes | str) -> str:
    """Give the code that this text is refused with."""
    with pytest.raises(MalformedError) as error:
        parse(data)
    return error.value.code


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b"{} {}",
        b'{"a":1,"a":1}',
        b'{"x":{"a":1,"b":2,"a":null}}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":01}',
        b"{'a':1}",
        b'{"a":1,}',
        b'{"a":"\xff"}',
        b'{"a":"\x01"}',
        b'\xef\xbb\xbf{"a":1}',
        '{"a":1}'.encode("utf-16"),
        b'{"a":"\\ud800"}',
        b'{"\\udfff":1}',
        b'{"a":["\\uD83D"]}',
        '{"a":"\ud800"}',
        b'{"a":' + b"9" * 5000 + b"}",
    ],
)
def test_refused(text: bytes | str) -> None:
    """What parsers read in different ways is not JSON here."""
    assert code_of(text) == CODE


def test_duplicate_is_named() -> None:
    """The error says which member occurs twice."""
    with pytest.raises(MalformedError, match="'hint' occurs twice"):
        parse(b'{"a":{"hint":"x","hint":"y"}}')


@pytest.mark.parametrize(
    "text",
    [
        r'{"a":"\"","a":""}',
        r'{"a":1,"\u0061":1}',
        r'{"a":"\\","a":"\""}',
        r'{"x":[{"a":{},"a":{"b":"\"\"\""}}]}',
        r'{"a":{"b":"c","d":["e"]},"a":"\"\"\"\""}',
    ],
)
def test_duplicate_beside_quotes(text: str) -> None:
    """Quotes inside of strings, however many, never make up for a member that was dropped."""
    assert code_of(text) == code_of(text.encode()) == CODE


names = st.sampled_from(["a", "b", '"', '""', "\\", "", ":", "é", "\n"])
members: st.SearchStrategy[Any] = st.deferred(
    lambda: st.lists(
        st.tuples(names, names | st.integers() | members | st.lists(names | members, max_size=3)),
        max_size=4,
    ).map(tuple)
)


def written(value: object, *, is_ascii: bool) -> str:
    """Write pairs as an object, whatever their names, with quotes escaped in one of two ways."""
    if isinstance(value, tuple):
        pairs = (
            f"{written(name, is_ascii=is_ascii)}: {written(item, is_ascii=is_ascii)}"
            for name, item in value
        )
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(written(item, is_ascii=is_ascii) for item in value) + "]"
    if is_ascii and isinstance(value, str):
        return '"' + "".join(f"\\u{ord(character):04x}" for character in value) + '"'
    return json.dumps(value, ensure_ascii=False)


def has_duplicate(value: object) -> bool:
    """Say whether any object of these pairs has a name twice."""
    if isinstance(value, tuple):
        return len({name for name, _ in value}) < len(value) or any(
            has_duplicate(item) for _, item in value
        )
    return isinstance(value, list) and any(has_duplicate(item) for item in value)


@given(members, st.booleans())
def test_any_duplicate(value: object, is_ascii: bool) -> None:
    """A document is refused exactly if some object in it has a name twice."""
    text = written(value, is_ascii=is_ascii).encode()
    try:
        parse(text)
    except MalformedError as error:
        assert "occurs twice" in error.message  # noqa: PT017 - both outcomes are right
        assert has_duplicate(value)
    else:
        assert not has_duplicate(value)


@pytest.mark.parametrize("size", [60_000, 70_000])
def test_duplicate_in_any_size(size: int) -> None:
    """Short documents and long ones are read in different ways, to the same answer."""
    for start in ('{"a":1,"a":"', '{"a":{"b":1,"b":2},"c":"'):
        assert code_of(start + "x" * size + '"}') == CODE
    assert parse('{"a":1,"b":"' + "x" * size + '"}')["a"] == 1


def test_surrogate_pair() -> None:
    """A whole pair is one character."""
    assert parse(b'{"a":"\\ud83d\\ude00"}') == {"a": "\U0001f600"}


def test_size() -> None:
    """More than the limit is refused before it is read."""
    with pytest.raises(MalformedError) as error:
        parse_json(b'{"a":1}', what="the document", max_bytes=6)
    assert error.value.code == "LIMIT_EXCEEDED"


@pytest.mark.slow
@pytest.mark.parametrize("value", ["[]", "{}", '{"a":1}', '"a"', "1", "null"])
def test_many_values(value: str) -> None:
    """Many small values cost far more memory than text: they are counted before they are made."""
    for count, fits in ((10, True), (MAX_VALUES // 2, False), (1_000_000, False)):
        text = '{"a":[' + ",".join([value] * 2 * count) + "]}"
        if fits:
            assert len(parse_json(text, what="test", max_bytes=len(text))["a"]) == 2 * count
        else:
            with pytest.raises(MalformedError) as error:
                parse_json(text, what="test", max_bytes=len(text))
            assert error.value.code == "LIMIT_EXCEEDED"


@pytest.mark.parametrize("depth", [MAX_DEPTH, MAX_DEPTH + 1, 5000, 50_000])
def test_depth(depth: int) -> None:
    """64 levels are read; one more is not, and no depth breaks the parser."""
    for text in ("[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth):
        if depth <= MAX_DEPTH:
            parse_json_value(text, what="the document", max_bytes=10**6)
        else:
            with pytest.raises(MalformedError) as error:
                parse_json_value(text, what="the document", max_bytes=10**6)
            assert error.value.code == "LIMIT_EXCEEDED"


@given(json_values)
def test_reads_what_others_write(value: object) -> None:
    """Whatever the standard library writes is read as the same value."""
    text = json.dumps({"a": value})
    assert parse(text) == parse(text.encode()) == {"a": value}


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_garbage(data: bytes) -> None:
    """Garbage raises our error and nothing else."""
    try:
        parse(data)
    except MalformedError as error:
        assert error.code in (CODE, "LIMIT_EXCEEDED")  # noqa: PT017 - most garbage is refused


@pytest.mark.parametrize(
    ("text", "data"),
    [("", b""), ("YQ==", b"a"), ("YQ", b"a"), ("-_8=", b"\xfb\xff"), ("+/8", b"\xfb\xff")],
)
def test_bytes(text: str, data: bytes) -> None:
    """Base64 is read in each form that protobuf JSON allows."""
    assert fields(a=text).bytes("a") == data
    assert fields(a=[text, text]).byte_strings("a") == (data, data)


@pytest.mark.parametrize(
    "value", ["Y", "YQ=", "YQ===", "=", "YQ==YQ==", "Y Q=", "YQ==\n", "é===", "\ud800", 1, [], True]
)
def test_not_bytes(value: object) -> None:
    """Illegal characters, wrong padding and other types are refused."""
    with pytest.raises(MalformedError, match=r"outer\[0\]\.a"):
        fields(a=value).bytes("a")
    with pytest.raises(MalformedError, match=r"outer\[0\]\.a"):
        fields(a=["", value]).byte_strings("a")


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("0", 0),
        (7, 7),
        ("-1", -1),
        (-(2**63), -(2**63)),
        (str(2**63 - 1), 2**63 - 1),
        (None, 0),
        (9007199254740993, 9007199254740993),
    ],
)
def test_int64(value: object, number: int) -> None:
    """An integer comes as a string or a number, and keeps every digit."""
    assert fields(a=value).int64("a") == number


@pytest.mark.parametrize(
    "value",
    [
        "", "+1", " 1", "1 ", "01", "-0", "-", "1.0", "1e3", "1_0", "\u0661", "0x1", "9" * 5000,
        2**63, -(2**63) - 1, str(2**63), 1.0, 1.5, True, False, [], {},
    ],
)  # fmt: skip
def test_not_int64(value: object) -> None:
    """Fractions, booleans, other spellings and what does not fit are refused."""
    with pytest.raises(MalformedError, match=r"outer\[0\]\.a"):
        fields(a=value).int64("a")


@given(st.integers())
def test_parse_int64(number: int) -> None:
    """Every integer that fits is read from its decimal form; no other is."""
    fits = -(2**63) <= number < 2**63
    assert parse_int64(str(number)) == (number if fits else None)


def test_enum() -> None:
    """An enum comes as name or number; absent has the default; others are refused."""
    names = {1: "SHA2_256", 2: "SHA2_384"}
    assert fields(a="SHA2_256").enum("a", names) == "SHA2_256"
    assert fields(a=2).enum("a", names) == "SHA2_384"
    assert fields().enum("a", names, "none") == "none"
    wrong: tuple[object, ...] = ("sha256", 3, True, 1.0, [], "1")
    for value in wrong:
        with pytest.raises(MalformedError):
            fields(a=value).enum("a", names)


def test_defaults() -> None:
    """An absent member and a null one have the default of their type."""
    for reader in (fields(), fields(a=None)):
        assert reader.string("a") == ""
        assert reader.string("a", "x") == "x"
        assert reader.bytes("a") == b""
        assert reader.int64("a", 5) == 5
        assert reader.boolean("a") is False
        assert reader.timestamp("a") is None
        assert reader.object("a") is None
        assert reader.objects("a") == ()
        assert reader.strings("a") == ()
        assert reader.byte_strings("a") == ()
        assert not reader.has("a")
        with pytest.raises(MalformedError, match=r"outer\[0\]\.a is missing"):
            reader.require("a")


@pytest.mark.parametrize(
    "method",
    ["string", "boolean", "bytes", "int64", "timestamp", "object", "objects", "strings",
     "byte_strings", "require"],
)  # fmt: skip
@pytest.mark.parametrize("value", [1.5, [1.5], {"b": 1}, [[]]])
def test_wrong_type(method: str, value: object) -> None:
    """A value of another type is refused, with the path and the code asked for."""
    if method in ("object", "require") and isinstance(value, dict):
        return
    with pytest.raises(MalformedError, match=r"outer\[0\]\.a") as error:
        getattr(fields(a=value), method)("a")
    assert error.value.code == CODE


def test_path() -> None:
    """An error names where in the document the fault is."""
    document = parse(b'{"tlogEntries":[{},{"inclusionProof":{"treeSize":true}}]}')
    entry = Fields(document, error=CODE).objects("tlogEntries")[1]
    with pytest.raises(MalformedError, match=r"tlogEntries\[1\]\.inclusionProof\.treeSize"):
        entry.require("inclusionProof").int64("treeSize")


def test_one_of() -> None:
    """Of a oneof, one member is there, or none; two are refused."""
    assert fields(a={}, c=1).one_of(("a", "b")) == "a"
    assert fields(a=None).one_of(("a", "b")) is None
    with pytest.raises(MalformedError, match="exclude each other"):
        fields(a={}, b={}).one_of(("a", "b"))


def test_only() -> None:
    """Strict readers refuse members that they do not know."""
    fields(a=1).only(("a", "b"))
    with pytest.raises(MalformedError, match=r"outer\[0\]\.z is not a known field"):
        fields(a=1, z=1).only(("a", "b"))


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2021-01-12T11:53:27Z", datetime(2021, 1, 12, 11, 53, 27, tzinfo=UTC)),
        ("2022-10-31T23:59:59.999Z", datetime(2022, 10, 31, 23, 59, 59, 999000, tzinfo=UTC)),
        ("2022-10-31T23:59:59.9999999Z", datetime(2022, 10, 31, 23, 59, 59, 999999, tzinfo=UTC)),
        ("2022-01-01T01:30:00.5+02:00", datetime(2021, 12, 31, 23, 30, 0, 500000, tzinfo=UTC)),
        ("2022-01-01T01:30:00-00:30", datetime(2022, 1, 1, 2, 0, tzinfo=UTC)),
    ],
)
def test_timestamp(text: str, time: datetime) -> None:
    """RFC 3339 times are read as UTC, cut off below the microsecond."""
    assert fields(a=text).timestamp("a") == time


@pytest.mark.parametrize(
    "text",
    [
        "", "2021-01-12", "2021-01-12T11:53:27", "2021-01-12 11:53:27Z", "2021-01-12t11:53:27Z",
        "2021-01-12T11:53:27z", "2021-01-12T11:53Z", "2021-02-30T00:00:00Z",
        "2021-01-12T24:00:00Z", "2021-01-12T11:53:60Z", "0000-01-01T00:00:00Z",
        "2021-01-12T11:53:27.Z", "2021-01-12T11:53:27.1234567890Z", "2021-01-12T11:53:27,5Z",
        "2021-01-12T11:53:27+02", "2021-01-12T11:53:27+0200", "2021-01-12T11:53:27+24:00",
        "2021-01-12T11:53:27+02:60", "2021-01-12T11:53:27ZZ", "20210-01-12T11:53:27Z",
        "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "2021-01-12T11:53:27.\u0661Z",
        " 2021-01-12T11:53:27Z", "2021-W02-2T11:53:27Z", "2021-1-012T11:53:27Z",
        "-021-01-12T11:53:27Z",
    ],
)  # fmt: skip
def test_not_timestamp(text: str) -> None:
    """Other forms, and times that do not exist, are refused."""
    with pytest.raises(MalformedError, match=r"outer\[0\]\.a"):
        fields(a=text).timestamp("a")
