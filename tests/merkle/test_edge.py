import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchplate.merkle.edge import EMPTY_EDGE, Edge, extend, levels_of
from touchplate.merkle.proof import check_inclusion, check_inclusions
from touchplate.merkle.tree import EMPTY_ROOT, LeafHash, leaf_hash, prove_inclusion, root_hash

LEAVES = tuple(leaf_hash(b"%d" % index) for index in range(1100))


@pytest.mark.slow
@pytest.mark.parametrize("size", range(34))
def test_every_growth(size: int) -> None:
    """From every small tree to every other: root, edge and proofs are the definition's."""
    edge = extend(EMPTY_EDGE, LEAVES[:size]).edge
    for grown in range(size, 35):
        growth = extend(edge, LEAVES[size:grown])

        assert growth.root() == growth.edge.root() == root_hash(LEAVES[:grown])
        assert growth.edge == Edge.of_tiles(grown, growth.edge.tiles)
        assert growth.prove_all() == [
            prove_inclusion(LEAVES[:grown], index) for index in range(size, grown)
        ]


@given(st.lists(st.sampled_from([0, 1, 2, 3, 7, 64, 255, 256, 257, 300]), max_size=6))
def test_batches(batches: list[int]) -> None:
    """However the leaves are cut into batches, tiles, root and proofs are the same."""
    edge, full = EMPTY_EDGE, list[tuple[int, int, bytes]]()
    for count in batches:
        leaves = LEAVES[edge.size : edge.size + count]
        growth = extend(edge, leaves)
        check_inclusions(
            edge.size, growth.edge.size, leaves, growth.prove_all(), growth.edge.root()
        )
        edge, full = growth.edge, [*full, *growth.full_tiles]

    assert edge == Edge.of_tiles(edge.size, edge.tiles)
    at_once = extend(EMPTY_EDGE, LEAVES[: edge.size])
    assert (edge, sorted(full)) == (at_once.edge, sorted(at_once.full_tiles))
    assert edge.root() == root_hash(LEAVES[: edge.size])


def test_large(numbers: tuple[LeafHash, ...]) -> None:
    """A tree of three levels has the published root, and grows with proofs that hold."""
    edge = EMPTY_EDGE
    for size in (60_000, 65_535, 65_537):
        edge = extend(edge, numbers[edge.size : size]).edge
    growth = extend(edge, numbers[edge.size :])
    edge = growth.edge

    assert edge.root().hex() == "1a4cdfcb66374a0c0dcbef49acbd4976d13ee864fb3cb241fc943cad04f02f7e"
    assert [len(tile) // 32 for tile in edge.tiles] == [112, 17, 1]
    for index in (65_537, 66_000, 69_999):
        check_inclusion(index, 70_000, numbers[index], growth.prove(index), edge.root())


def test_empty() -> None:
    """An empty tree has the empty root, and an empty batch changes nothing."""
    growth = extend(EMPTY_EDGE, ())

    assert (growth.edge, growth.full_tiles, growth.prove_all()) == (EMPTY_EDGE, (), [])
    assert growth.root() == EMPTY_EDGE.root() == EMPTY_ROOT


@pytest.mark.parametrize(
    ("size", "levels"), [(0, 0), (1, 1), (255, 1), (256, 2), (65_535, 2), (65_536, 3)]
)
def test_levels(size: int, levels: int) -> None:
    """A level exists from the first hash on it."""
    assert levels_of(size) == len(extend(EMPTY_EDGE, LEAVES[:size]).edge.tiles) or size > 1100
    assert levels_of(size) == levels


def test_wrong_tiles() -> None:
    """Tiles of another size make no edge."""
    with pytest.raises(AssertionError):
        Edge.of_tiles(3, (b"".join(LEAVES[:2]),))
