"""JSON texts that differ in a few strings only: what those say, without parsing all the rest.

Whoever writes documents writes each like the last: the same members in the same order with the
same white space. A `Layout` is made of one text that has been parsed. Another text that equals it
in every octet between the strings that may differ has the same value but for these strings, so
nothing else is left to read. Each string is given as it stands between two quotes: the caller must
take none that is not a whole JSON string (base64 and digits are; `unescape` reads any other).
"""

from collections.abc import Callable, Sequence
from itertools import accumulate, chain
from json import loads
from json.decoder import scanstring  # type: ignore[attr-defined]  # typeshed leaves it out
from operator import itemgetter
from typing import Any, NamedTuple

Path = tuple[str | int, ...]
"""Names of members, and places in arrays, from the root to a value."""


class Layout(NamedTuple):
    """What is the same in all texts of one layout, by the pieces that quotes cut a text into.

    Pieces are counted from the beginning if they are before the array, and from the end after it.
    """

    size: int
    """How many pieces are not of the array."""
    fixed: Callable[[Sequence[bytes]], tuple[bytes, ...]]
    """Takes the pieces in which nothing may differ."""
    octets: tuple[bytes, ...]
    """What those are."""
    taken: Callable[[Sequence[Any]], tuple[bytes, ...]]
    """Takes the strings that may differ."""
    first: int
    """The array's first string."""
    between: bytes
    """What stands between two strings of the array."""

    def read(self, pieces: Sequence[bytes]) -> tuple[tuple[bytes, ...], Sequence[bytes]] | None:
        """The strings that may differ, and those of the array; None if it is of another layout.

        `pieces` are the text, cut at each quote.
        """
        size, first = self.size, self.first
        inner = len(pieces) - size
        # Strings and what stands between them take turns, from a string to a string.
        if inner < 1 or inner % 2 == 0 or self.fixed(pieces) != self.octets:
            return None
        array = pieces[first : first + inner]
        for other in array[1::2]:
            if other != self.between:
                return None
        return self.taken(pieces), array[::2]


class Spots(NamedTuple):
    """Where all is in a text of a layout, and in any other whose strings are as long as its own.

    Taken at its spots such a text need not be cut, nor looked through for quotes.
    """

    fixed: Callable[[bytes], tuple[bytes, ...]]
    """Takes the octets between the strings that may differ, with the quotes around these."""
    octets: tuple[bytes, ...]
    """What those are."""
    taken: Callable[[bytes], tuple[bytes, ...]]
    """Takes the strings that may differ, and then those of the array."""
    before: int
    """How many are before those of the array."""

    def read(self, data: bytes) -> tuple[tuple[bytes, ...], Sequence[bytes]] | None:
        """As `Layout.read`. A quote may be in a string, which then is not a whole one."""
        if self.fixed(data) != self.octets:
            return None
        found = self.taken(data)
        return found[: self.before], found[self.before :]


def spots_of(layout: Layout, pieces: Sequence[bytes]) -> Spots:
    """The spots of a text of this layout, which quotes cut into these pieces."""
    places = range(len(pieces))
    strings: Any = layout.taken(places)
    inner = len(pieces) - layout.size
    numbers = [*strings, *places[layout.first : layout.first + inner : 2]]
    starts = list(accumulate([len(piece) + 1 for piece in pieces], initial=0))
    spots = [slice(starts[number], starts[number + 1] - 1) for number in numbers]
    data = b'"'.join(pieces)
    inside = sorted((spot.start, spot.stop) for spot in spots)
    ends = [0, *[stop for _, stop in inside]]
    fixed = _getter(list(map(slice, ends, [*[start for start, _ in inside], None])))
    return Spots(fixed, fixed(data), _getter(spots), len(strings))


def layout_of(data: bytes, paths: Sequence[Path], array: Path) -> Layout | None:
    """The layout of a text that was parsed, and has no escaped quotes; None if it has none.

    The strings at `paths` may differ, and so may those of the array, and their number: two at
    least here, and one in any other text.
    """
    pieces = data.split(b'"')
    # The same text with each string replaced by its number says where each value stands.
    numbered = b'"'.join([b"%d" % i if i % 2 else piece for i, piece in enumerate(pieces)])
    tree = loads(numbered)
    try:
        taken = [int(_at(tree, path, pieces)) for path in paths]
        elements = [int(mark) for mark in _at(tree, array, pieces)]
    except LookupError:
        return None  # a name is spelled with escapes
    between = {pieces[mark + 1] for mark in elements[:-1]}
    if len(between) != 1:
        return None
    first, last, count = elements[0], elements[-1], len(pieces)
    # Of the array nothing is counted from the beginning or from the end.
    places = {i: i if i < first else i - count for i in chain(range(first), range(last + 1, count))}
    fixed = _getter([place for i, place in places.items() if i not in taken])
    return Layout(
        len(places),
        fixed,
        fixed(pieces),
        _getter([places[i] for i in taken]),
        first,
        between.pop(),
    )


def unescape(octets: bytes) -> str:
    """What a JSON string between its quotes says. Raises ValueError if it is not one."""
    text = octets.decode() + '"'
    value: str
    value, end = scanstring(text, 0)
    if end != len(text):
        raise ValueError("a quote within a string")
    return value


def _at(tree: Any, path: Path, pieces: Sequence[bytes]) -> Any:  # noqa: ANN401 - any JSON value
    """The value at `path` in a tree whose strings are numbers of pieces."""
    for step in path:
        if isinstance(step, str):
            tree = {pieces[int(name)]: value for name, value in tree.items()}[step.encode()]
        else:
            tree = tree[step]
    return tree


def _getter(places: Sequence[int | slice]) -> Callable[[Sequence[Any]], tuple[bytes, ...]]:
    getter: Any = itemgetter(*places)
    take: Callable[[Sequence[Any]], tuple[bytes, ...]] = getter
    return take
