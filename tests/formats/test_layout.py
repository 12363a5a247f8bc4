"""Texts that differ in some strings only: which those are, and what no layout is made of."""

import pytest

from touchplate.formats.layout import Layout, layout_of, spots_of, unescape

TEXT = b'{"a":"x","b":{"c":["1","2"],"d":7},"e":["y",{"f":"z"}]}'
PATHS = [("a",), ("e", 1, "f")]


def read(layout: Layout | None, text: bytes) -> object:
    """Give what the layout takes out of a text."""
    assert layout is not None
    return layout.read(text.split(b'"'))


def test_read() -> None:
    """The strings at the paths come in their order, those of the array by themselves."""
    layout = layout_of(TEXT, PATHS, ("b", "c"))
    assert read(layout, TEXT) == ((b"x", b"z"), [b"1", b"2"])
    other = b'{"a":"","b":{"c":["3"],"d":7},"e":["y",{"f":"\\n"}]}'
    assert read(layout, other) == ((b"", b"\\n"), [b"3"])


def test_spots() -> None:
    """Where strings are as long as in another text all else must be the same, octet for octet."""
    layout = layout_of(TEXT, PATHS, ("b", "c"))
    assert layout is not None
    for text in (TEXT, TEXT.replace(b'"1"', b'"111"'), TEXT.replace(b'"1",', b"")):
        spots = spots_of(layout, text.split(b'"'))
        strings, array = spots.read(text) or ((), ())
        assert (strings, list(array)) == layout.read(text.split(b'"'))
        free = {place for place, octet in enumerate(text) if octet in b"xz123"}
        for place in range(len(text)):
            changed = text[:place] + b'"' + text[place + 1 :]
            if changed != text:
                assert (spots.read(changed) is not None) == (place in free)
        assert spots.read(text[:-1]) is spots.read(text + b"}") is spots.read(b"") is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"a"', b'"A"'),
        (b'"a":', b'"a": '),
        (b"7", b"8"),
        (b'"y"', b'"x"'),
        (b'"1","2"', b""),
        (b'"1","2"', b'"1", "2"'),
        (b'"1","2"', b'"1","2","3", "4"'),
        (b'"1","2"', b'"1","2","'),
        (b'"1","2"', b'"1","'),
        (b'"z"', b'"z","f":"z"'),
        (b'"x"', b'"x\\""'),
        (b'"f":"z"', b""),
        (b"}]}", b"}]}x"),
    ],
)
def test_other_layouts(before: bytes, after: bytes) -> None:
    """Any other difference is seen."""
    assert before in TEXT
    assert read(layout_of(TEXT, PATHS, ("b", "c")), TEXT.replace(before, after, 1)) is None


@pytest.mark.parametrize("text", [b"", b'"', b'""', b"{}", TEXT[:-1], TEXT[:20], TEXT + b'"'])
def test_shorter(text: bytes) -> None:
    """So is a text that ends early."""
    assert read(layout_of(TEXT, PATHS, ("b", "c")), text) is None


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace(b'"a"', b'"\\u0061"'),  # a name spelled in another way
        TEXT.replace(b'"1","2"', b'"1"'),
        TEXT.replace(b'"1","2"', b'"1","2" ,"3"'),
    ],
)
def test_no_layout(text: bytes) -> None:
    """Texts from which nothing can be learnt have no layout."""
    assert layout_of(text, PATHS, ("b", "c")) is None


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"", ""),
        (b"a\\nb", "a\nb"),
        (b"\\u2014", "—"),
        ("—".encode(), "—"),
        (b'\\"', '"'),
        (b"\\\\", "\\"),
        (b"\\", None),
        (b"\\x", None),
        (b"\n", None),
        (b"\x00", None),
        (b"\xff", None),
        (b'a"b', None),
    ],
)
def test_unescape(octets: bytes, text: str | None) -> None:
    """A string is read as JSON reads it, and refused where JSON refuses it."""
    if text is None:
        with pytest.raises(ValueError, match=r"."):
            unescape(octets)
    else:
        assert unescape(octets) == text
