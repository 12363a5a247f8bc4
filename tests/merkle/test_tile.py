import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchplate.errors import MalformedError
from touchplate.merkle.edge import EMPTY_EDGE, extend
from touchplate.merkle.proof import check_consistency, check_inclusion
from touchplate.merkle.tile import (
    ReadTile,
    consistency_proof,
    encode_tile_index,
    inclusion_proof,
    parse_tile_index,
    parse_tile_level,
    partial_width,
    tile_path,
    tile_width,
    tree_root,
)
from touchplate.merkle.tree import LeafHash, prove_consistency, prove_inclusion, root_hash

PATHS = {
    "000": (0, 256),
    "005": (5, 256),
    "999": (999, 256),
    "x001/000": (1000, 256),
    "x001/x234/067": (1234067, 256),
    "x123/x456/789": (123456789, 256),
    "000.p/5": (0, 5),
    "x001/000.p/255": (1000, 255),
}
NOT_PATHS = (
    "",
    "0",
    "00",
    "1000",
    "x000/000",
    "x000/x001/000",
    "001/000",
    "x01/000",
    "x1000/000",
    "x001",
    "x001/x000",
    "X001/000",
    "000.p/0",
    "000.p/256",
    "000.p/05",
    "000.p/",
    "000.p",
    "000.p/5/",
    "000/",
    "/000",
    "000.p/5.p/5",
    "-01",
    "+01",
    " 00",
    "000\n",
    "\u0660\u0660\u0660",
    "x\u0660\u0660\u0661/000",
    "../000",
    "x999/" * 8 + "999",
    "x999/" * 1000 + "999",
)


@pytest.fixture(scope="session")
def read(numbers: tuple[LeafHash, ...]) -> ReadTile:
    """Give a reader over the tiles of the large tree that hands out nothing beyond them."""
    growth = extend(EMPTY_EDGE, numbers)
    tiles = {(level, index): hashes for level, index, hashes in growth.full_tiles}
    for level, hashes in enumerate(growth.edge.tiles):
        tiles[level, len(numbers) >> 8 * (level + 1)] = hashes

    def read_tile(level: int, index: int, width: int) -> bytes:
        hashes = tiles[level, index][: 32 * width]
        assert 0 < len(hashes) == 32 * width
        return hashes

    return read_tile


@pytest.mark.parametrize(("text", "parsed"), PATHS.items())
def test_path(text: str, parsed: tuple[int, int]) -> None:
    """Index and width have the path of C2SP tlog-tiles, and it leads back to them."""
    assert encode_tile_index(*parsed) == text
    assert parse_tile_index(text) == parsed


@pytest.mark.parametrize("text", NOT_PATHS)
def test_other_spelling(text: str) -> None:
    """Every other spelling of a tile names nothing."""
    with pytest.raises(MalformedError) as refused:
        parse_tile_index(text)
    assert refused.value.code == "REQUEST_MALFORMED"


@given(st.text(st.sampled_from("x0123459/.p"), max_size=14))
def test_one_spelling(text: str) -> None:
    """What parses is exactly what is written for it."""
    try:
        parsed = parse_tile_index(text)
    except MalformedError:
        return
    assert encode_tile_index(*parsed) == text


@given(st.integers(0, 2**63 - 1), st.integers(1, 256))
def test_every_path(index: int, width: int) -> None:
    """Every tile's path leads back to it."""
    assert parse_tile_index(encode_tile_index(index, width)) == (index, width)


def test_whole_path() -> None:
    """The path names the level, or the entry bundles, before the index."""
    assert tile_path(0, 1234067) == "tile/0/x001/x234/067"
    assert tile_path("entries", 0, 2) == "tile/entries/000.p/2"


@pytest.mark.parametrize("level", [0, 1, 9, 10, 63])
def test_level(level: int) -> None:
    """A level is a plain decimal number up to 63."""
    assert parse_tile_level(str(level)) == level


@pytest.mark.parametrize(
    "text", ["", "00", "01", "64", "-1", "+1", "1 ", "entries", "\u0663", "9" * 9]
)
def test_not_a_level(text: str) -> None:
    """Nothing else is a level."""
    with pytest.raises(MalformedError):
        parse_tile_level(text)


def test_widths() -> None:
    """A tree of 70,000 has the tiles that the specification counts out."""
    assert [tile_width(0, index, 70_000) for index in (0, 272, 273, 274)] == [256, 256, 112, 0]
    assert [tile_width(1, index, 70_000) for index in (0, 1, 2)] == [256, 17, 0]
    assert [tile_width(2, index, 70_000) for index in (0, 1)] == [1, 0]
    assert [partial_width(level, 70_000) for level in range(4)] == [112, 17, 1, 0]
    assert [partial_width(level, 256) for level in range(2)] == [0, 1]


@pytest.mark.slow
def test_roots(numbers: tuple[LeafHash, ...], read: ReadTile) -> None:
    """The root at every size comes out of the tiles of a later tree."""
    for size in [*range(600), 65_535, 65_536, 65_537, 70_000]:
        assert tree_root(size, read) == root_hash(numbers[:size])


@given(st.integers(1, 70_000), st.data())
def test_inclusion(
    numbers: tuple[LeafHash, ...], read: ReadTile, size: int, data: st.DataObject
) -> None:
    """A proof from tiles is the one that the definition gives, and it holds."""
    size = data.draw(st.sampled_from([size, size % 600 + 1]))
    index = data.draw(st.integers(0, size - 1))

    proof = inclusion_proof(index, size, read)

    check_inclusion(index, size, numbers[index], proof, tree_root(size, read))
    if size <= 600:
        assert proof == prove_inclusion(numbers[:size], index)


@given(st.integers(0, 70_000), st.data())
def test_consistency(
    numbers: tuple[LeafHash, ...], read: ReadTile, size: int, data: st.DataObject
) -> None:
    """A consistency proof from tiles is the one that the definition gives, and it holds."""
    size = data.draw(st.sampled_from([size, size % 600]))
    old_size = data.draw(st.integers(0, size))

    proof = consistency_proof(old_size, size, read)

    roots = tree_root(old_size, read), tree_root(size, read)
    check_consistency(old_size, size, proof, *roots)
    if size <= 600:
        assert proof == prove_consistency(numbers[:size], old_size)
