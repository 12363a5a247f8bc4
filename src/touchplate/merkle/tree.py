"""Hashes of RFC 6962 §2.1, and its definitions of root and proofs over a list of leaf hashes.

The three definitions take time linear in the tree: they are what `tile` and `edge` are held to.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final, NewType

LeafHash = NewType("LeafHash", bytes)
NodeHash = NewType("NodeHash", bytes)
RootHash = NewType("RootHash", bytes)

HASH_SIZE: Final = 32
EMPTY_ROOT: Final = RootHash(sha256(b"").digest())


def leaf_hash(data: bytes) -> LeafHash:
    """Hash one leaf's data: H(0x00 || data)."""
    return LeafHash(sha256(b"\x00" + data).digest())


def node_hash(left: bytes, right: bytes) -> NodeHash:
    """Hash two neighbours: H(0x01 || left || right)."""
    return NodeHash(sha256(b"\x01" + left + right).digest())


def split_point(size: int) -> int:
    """Give the largest power of two below `size`, which is at least 2."""
    return 1 << (size - 1).bit_length() - 1


def root_hash(leaves: Sequence[bytes]) -> RootHash:
    """Give MTH(D[n]) of RFC 6962 §2.1; an empty list has the root `EMPTY_ROOT`."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return RootHash(leaves[0])
    k = split_point(len(leaves))
    return RootHash(node_hash(root_hash(leaves[:k]), root_hash(leaves[k:])))


def prove_inclusion(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Give PATH(index, D[n]) of RFC 6962 §2.1.1, for 0 <= index < n."""
    if not 0 <= index < len(leaves):
        raise AssertionError(f"no leaf {index} in a tree of {len(leaves)}")
    if len(leaves) == 1:
        return ()
    k = split_point(len(leaves))
    if index < k:
        return (*prove_inclusion(leaves[:k], index), root_hash(leaves[k:]))
    return (*prove_inclusion(leaves[k:], index - k), root_hash(leaves[:k]))


def prove_consistency(leaves: Sequence[bytes], old_size: int) -> tuple[bytes, ...]:
    """Give PROOF(old_size, D[n]) of RFC 6962 §2.1.2, for 0 <= old_size <= n; from 0 it is empty."""
    if not 0 <= old_size <= len(leaves):
        raise AssertionError(f"no tree of {old_size} in a tree of {len(leaves)}")
    return _subproof(leaves, old_size, known=True) if old_size else ()


def _subproof(leaves: Sequence[bytes], old_size: int, *, known: bool) -> tuple[bytes, ...]:
    """Give SUBPROOF(m, D[n], b); `known` says that the verifier holds the old tree's root."""
    if old_size == len(leaves):
        return () if known else (root_hash(leaves),)
    k = split_point(len(leaves))
    if old_size <= k:
        return (*_subproof(leaves[:k], old_size, known=known), root_hash(leaves[k:]))
    return (*_subproof(leaves[k:], old_size - k, known=False), root_hash(leaves[:k]))
