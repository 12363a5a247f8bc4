"""The right edge of a growing tree: all that an append needs to know of the leaves before it.

An append of k leaves costs about 2 k hashes whatever the size of the tree, and the proofs of the
new leaves come from the nodes that it computed on the way.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Self

from touchplate.merkle.tile import TILE_HEIGHT, TILE_WIDTH, fold_tile, partial_width
from touchplate.merkle.tree import EMPTY_ROOT, HASH_SIZE, RootHash, node_hash


@dataclass(frozen=True, slots=True)
class Edge:
    """The partial tiles of a tree of `size` leaves, level 0 first; an absent one is empty.

    `peaks[h]` is the root of the perfect subtree of 2^h leaves at the edge, for each one bit h of
    `size`, and empty for the zero bits.
    """

    size: int
    tiles: tuple[bytes, ...]
    peaks: tuple[bytes, ...]

    @classmethod
    def of_tiles(cls, size: int, tiles: Sequence[bytes]) -> Self:
        """Make the edge from its partial tiles alone; there is one for each level of `size`."""
        if [len(tile) for tile in tiles] != [
            partial_width(level, size) * HASH_SIZE for level in range(levels_of(size))
        ]:
            raise AssertionError(f"these are not the partial tiles of a tree of {size}")
        peaks = []
        for height in range(size.bit_length()):
            level, rise = divmod(height, TILE_HEIGHT)
            place = (size >> height) - 1
            peaks.append(
                fold_tile(tiles[level])[rise][place % (TILE_WIDTH >> rise)]
                if size >> height & 1
                else b""
            )
        return cls(size, tuple(tiles), tuple(peaks))

    def root(self) -> RootHash:
        """Give the tree's root."""
        found = b""
        for peak in self.peaks:
            if peak:
                found = node_hash(peak, found) if found else peak
        return RootHash(found) if found else EMPTY_ROOT


EMPTY_EDGE: Final = Edge(0, (), ())


@dataclass(frozen=True, slots=True)
class Growth:
    """What an append made: the new edge, the tiles it filled, and the nodes for its proofs."""

    edge: Edge
    first: int  # index of the first new leaf
    full_tiles: tuple[tuple[int, int, bytes], ...]  # (level, index, 256 hashes)
    _levels: tuple[tuple[int, list[bytes]], ...]  # by height: place of the first node, the nodes

    def root(self) -> RootHash:
        """Give the new tree's root."""
        return RootHash(self._levels[-1][1][0]) if self._levels else self.edge.root()

    def prove(self, index: int) -> tuple[bytes, ...]:
        """Give the inclusion proof of one of the new leaves in the new tree."""
        return self.prove_all()[index - self.first]

    def prove_all(self) -> list[tuple[bytes, ...]]:
        """Give the inclusion proofs of all new leaves in the new tree, in their order.

        Proofs share their tails: from the root down, each is its sibling before its parent's.
        """
        proofs: list[tuple[bytes, ...]] = [()]
        start = 0
        for first, nodes in reversed(self._levels[:-1]):
            above, above_start = proofs, start
            proofs, start = [], first
            for place in range(len(nodes)):
                tail = above[(first + place >> 1) - above_start]
                sibling = place ^ 1  # `first` is even
                proofs.append((nodes[sibling], *tail) if sibling < len(nodes) else tail)
        return proofs[self.first - start :] if self._levels else []


def levels_of(size: int) -> int:
    """Give the number of tile levels that a tree of `size` leaves has."""
    return -(-size.bit_length() // TILE_HEIGHT)


def extend(edge: Edge, leaves: Sequence[bytes]) -> Growth:
    """Append leaf hashes to the tree. `edge` stays as it is."""
    if not leaves:
        return Growth(edge, edge.size, (), ())
    size = edge.size + len(leaves)
    levels: list[tuple[int, list[bytes]]] = []
    start, nodes = edge.size, list(leaves)
    while True:
        if start & 1:
            # The left neighbour of the first new node is whole: it is a peak of the old tree.
            start -= 1
            nodes.insert(0, edge.peaks[len(levels)])
        levels.append((start, nodes))
        if start == 0 and len(nodes) == 1:
            break
        parents = [
            sha256(b"\x01" + nodes[place] + nodes[place + 1]).digest()
            for place in range(0, len(nodes) - 1, 2)
        ]
        if len(nodes) & 1:
            # The last node has no sibling yet: RFC 6962 carries it up as it is.
            parents.append(nodes[-1])
        start, nodes = start >> 1, parents
    tiles, full = _extend_tiles(edge, size, levels)
    return Growth(Edge(size, tiles, _peaks(edge, size, levels)), edge.size, full, tuple(levels))


def _peaks(edge: Edge, size: int, levels: list[tuple[int, list[bytes]]]) -> tuple[bytes, ...]:
    peaks = []
    for height in range(size.bit_length()):
        place = (size >> height) - 1
        if not size >> height & 1:
            peaks.append(b"")
        elif place >= levels[height][0]:
            peaks.append(levels[height][1][place - levels[height][0]])
        else:
            peaks.append(edge.peaks[height])
    return tuple(peaks)


def _extend_tiles(
    edge: Edge, size: int, levels: list[tuple[int, list[bytes]]]
) -> tuple[tuple[bytes, ...], tuple[tuple[int, int, bytes], ...]]:
    """Give the new partial tiles and the tiles that became full."""
    tiles, full = [], []
    for level in range(levels_of(size)):
        height = TILE_HEIGHT * level
        had, has = edge.size >> height, size >> height
        hashes = edge.tiles[level] if level < len(edge.tiles) else b""
        if has > had:
            start, nodes = levels[height]
            hashes += b"".join(nodes[had - start : has - start])
        index = had // TILE_WIDTH
        while len(hashes) >= TILE_WIDTH * HASH_SIZE:
            full.append((level, index, hashes[: TILE_WIDTH * HASH_SIZE]))
            hashes = hashes[TILE_WIDTH * HASH_SIZE :]
            index += 1
        tiles.append(hashes)
    return tuple(tiles), tuple(full)
