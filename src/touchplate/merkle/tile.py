"""Tiles of C2SP tlog-tiles: their paths and widths, and roots and proofs from tiles that are read.

A tile at level L holds up to 256 hashes, each the root of a perfect subtree of 256^L leaves; a
partial tile is a prefix of the full one. IO is the caller's: it hands in a `ReadTile`.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from touchplate.errors import MalformedError
from touchplate.merkle.tree import (
    EMPTY_ROOT,
    HASH_SIZE,
    RootHash,
    node_hash,
    split_point,
)

TILE_WIDTH: Final = 256
TILE_HEIGHT: Final = 8  # TILE_WIDTH == 1 << TILE_HEIGHT
MAX_LEVEL: Final = 63  # the highest level that a path may name
MAX_SIZE: Final = 1 << 63  # a tree has fewer leaves than this

# (level, index, width) -> the tile's first `width` hashes, exactly 32 * width bytes.
ReadTile = Callable[[int, int, int], bytes]


def tile_width(level: int, index: int, size: int) -> int:
    """Give how many hashes the tile has in a tree of `size` leaves; 0 says that there is none."""
    hashes = size >> TILE_HEIGHT * level
    return max(0, min(TILE_WIDTH, hashes - index * TILE_WIDTH))


def partial_width(level: int, size: int) -> int:
    """Give the width of the level's partial tile in a tree of `size` leaves; 0 says none."""
    return size >> TILE_HEIGHT * level & TILE_WIDTH - 1


def encode_tile_index(index: int, width: int = TILE_WIDTH) -> str:
    """Give the last part of a tile's path, like `x001/x234/067` or `000.p/5`."""
    if not 0 <= index < MAX_SIZE or not 0 < width <= TILE_WIDTH:
        raise AssertionError(f"no tile has index {index} and width {width}")
    text = f"{index % 1000:03}"
    while index := index // 1000:
        text = f"x{index % 1000:03}/{text}"
    return text if width == TILE_WIDTH else f"{text}.p/{width}"


def tile_path(level: int | str, index: int, width: int = TILE_WIDTH) -> str:
    """Give a tile's path, like `tile/0/x001/x234/067` or `tile/entries/000.p/5`."""
    return f"tile/{level}/{encode_tile_index(index, width)}"


def parse_tile_index(text: str) -> tuple[int, int]:
    """Parse `x001/x234/067` or `000.p/5` into index and width; each tile has one spelling only.

    Raises MalformedError REQUEST_MALFORMED.
    """
    if len(text) > MAX_LEVEL:
        raise _malformed(text[:MAX_LEVEL])
    path, partial, tail = text.partition(".p/")
    groups = path.split("/")
    digits = "".join(group.removeprefix("x") for group in groups)
    if not (_is_decimal(digits) and (not partial or _is_decimal(tail))):
        raise _malformed(text)
    index, width = int(digits), int(tail) if partial else TILE_WIDTH
    if not (index < MAX_SIZE and 0 < width <= TILE_WIDTH):
        raise _malformed(text)
    # Writing it again settles everything else: groups, leading zeros, `.p/256`.
    if encode_tile_index(index, width) != text:
        raise _malformed(text)
    return index, width


def parse_tile_level(text: str) -> int:
    """Parse a tile level, 0 to 63 without leading zeros. Raises REQUEST_MALFORMED."""
    if not _is_decimal(text) or len(text) > 2 or str(int(text)) != text or int(text) > MAX_LEVEL:
        raise _malformed(text[:MAX_LEVEL])
    return int(text)


def tree_root(size: int, read: ReadTile) -> RootHash:
    """Give the root of the first `size` leaves, from the tiles on the right edge of that tree."""
    return RootHash(_range_hash(0, size, size, read)) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, read: ReadTile) -> tuple[bytes, ...]:
    """Give the inclusion proof of a leaf in the tree of `size` leaves (RFC 6962 §2.1.1)."""
    if not 0 <= index < size:
        raise AssertionError(f"no leaf {index} in a tree of {size}")
    proof = []
    last = size - 1
    for level in range(last.bit_length()):
        sibling = index >> level ^ 1
        if sibling <= last >> level:
            start = sibling << level
            proof.append(_range_hash(start, min(start + (1 << level), size), size, read))
    return tuple(proof)


def consistency_proof(old_size: int, new_size: int, read: ReadTile) -> tuple[bytes, ...]:
    """Give the consistency proof between two sizes (RFC 6962 §2.1.2); from 0 it is empty."""
    if not 0 <= old_size <= new_size:
        raise AssertionError(f"no tree of {old_size} in a tree of {new_size}")
    if old_size in (0, new_size):
        return ()
    # The RFC's recursion from the root down, each step of which adds one hash at the end.
    proof: list[bytes] = []
    start, end, known = 0, new_size, True
    while old_size != end:
        k = split_point(end - start)
        if old_size <= start + k:
            proof.append(_range_hash(start + k, end, new_size, read))
            end = start + k
        else:
            proof.append(_range_hash(start, start + k, new_size, read))
            start, known = start + k, False
    if not known:
        proof.append(_range_hash(start, end, new_size, read))
    return tuple(reversed(proof))


def _range_hash(start: int, end: int, size: int, read: ReadTile) -> bytes:
    """Give MTH of leaves [start, end), where `start` is aligned as the RFC's splits leave it."""
    peaks = []
    while start < end:
        height = (end - start).bit_length() - 1
        peaks.append(_perfect_hash(height, start >> height, size, read))
        start += 1 << height
    found = peaks.pop()
    while peaks:
        found = node_hash(peaks.pop(), found)
    return found


def _perfect_hash(height: int, place: int, size: int, read: ReadTile) -> bytes:
    """Give the root of the perfect subtree over leaves [place << height, (place + 1) << height)."""
    level, rise = divmod(height, TILE_HEIGHT)
    first = place << rise
    index = first // TILE_WIDTH
    hashes = read(level, index, tile_width(level, index, size))
    return fold_tile(hashes)[rise][(first % TILE_WIDTH) >> rise]


@lru_cache(maxsize=256)
def fold_tile(hashes: bytes) -> tuple[tuple[bytes, ...], ...]:
    """Give the tile's hashes and all nodes above them that they make whole, level by level.

    Those of the 256 tiles used last are kept, at up to 50 KiB each.
    """
    level = tuple(hashes[start : start + HASH_SIZE] for start in range(0, len(hashes), HASH_SIZE))
    levels = [level]
    while len(level) > 1:
        level = tuple(
            node_hash(level[place], level[place + 1]) for place in range(0, len(level) - 1, 2)
        )
        levels.append(level)
    return tuple(levels)


def _is_decimal(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _malformed(text: str) -> MalformedError:
    return MalformedError("REQUEST_MALFORMED", f"{text!r} names no tile")
