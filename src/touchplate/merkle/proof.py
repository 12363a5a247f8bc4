"""Checks of Merkle proofs (RFC 9162 §2.1.3.2 and §2.1.4.2, over RFC 6962 hashes).

A proof has exactly one right length for its place in the tree, and every hash in it has 32 bytes;
anything else is refused before the first hash is computed.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from touchplate.errors import VerificationError
from touchplate.merkle.tree import HASH_SIZE, node_hash

_ONE_SIZE: Final = {HASH_SIZE}


def check_inclusion(
    index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes
) -> None:
    """Prove that the leaf hash `leaf` is at `index` of the tree of `size` leaves with that root.

    Raises VerificationError INCLUSION_PROOF_INVALID.
    """
    inner = _check_length(index, size, proof)
    _check_hashes((leaf, *proof), "INCLUSION_PROOF_INVALID")
    found = leaf
    for level in range(inner):
        if index >> level & 1:
            found = sha256(b"\x01" + proof[level] + found).digest()
        else:
            found = sha256(b"\x01" + found + proof[level]).digest()
    for left in proof[inner:]:
        found = sha256(b"\x01" + left + found).digest()
    if found != root:
        raise _not_included("the inclusion proof leads to another root", root.hex(), found.hex())


def check_inclusions(
    first: int, size: int, leaves: Sequence[bytes], proofs: Sequence[tuple[bytes, ...]], root: bytes
) -> None:
    """Prove that neighbouring leaf hashes are at `first`, `first + 1`, … of the tree.

    Says the same as `check_inclusion` for each, at about two hashes a leaf: the paths of two
    neighbours meet at a node, so once the first path is proven, the second is as well if it leads
    to that very node and goes on with the same hashes. Raises as `check_inclusion` does.
    """
    if len(leaves) != len(proofs):
        raise AssertionError("one proof for each leaf")
    path: list[bytes] = []  # the proven nodes on the way from the last leaf to the root
    before: tuple[bytes, ...] = ()
    for index, leaf, proof in zip(range(first, first + len(leaves)), leaves, proofs, strict=True):
        _check_length(index, size, proof)
        if not path:
            _check_hashes((leaf, *proof), "INCLUSION_PROOF_INVALID")
            path, _ = _climb(index, size, leaf, proof, (size - 1).bit_length())
            if path[-1] != root:
                raise _not_included(
                    "the inclusion proof leads to another root", root.hex(), path[-1].hex()
                )
        else:
            meet = (index ^ (index - 1)).bit_length()
            climbed, used = _climb(index, size, leaf, proof, meet)
            _check_hashes((leaf, *proof[:used]), "INCLUSION_PROOF_INVALID")
            # Below `meet` the left neighbour had a sibling, one hash of its proof, on every level.
            if climbed[meet] != path[meet] or proof[used:] != before[meet:]:
                raise _not_included(f"the inclusion proof of leaf {index} leads to another root")
            path[:meet] = climbed[:meet]
        before = proof


def check_consistency(
    old_size: int, new_size: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes
) -> None:
    """Prove that the tree of `new_size` leaves begins with the whole tree of `old_size` leaves.

    From size 0 there is nothing to prove and the proof must be empty: whether to accept that is the
    caller's to decide. Raises VerificationError CONSISTENCY_PROOF_INVALID.
    """
    if not 0 <= old_size <= new_size:
        raise _not_consistent(f"a tree of {new_size} does not contain one of {old_size}")
    _check_hashes(proof, "CONSISTENCY_PROOF_INVALID")
    if old_size in (0, new_size):
        if proof:
            raise _not_consistent("the proof should be empty", "0 hashes", f"{len(proof)} hashes")
        old, new = old_root, new_root if old_size == 0 else old_root
    elif not proof:
        raise _not_consistent("the proof is empty")
    else:
        # A perfect old tree is itself the first node; the proof leaves it out.
        perfect = old_size & (old_size - 1) == 0
        hashes = (old_root, *proof) if perfect else tuple(proof)
        old, new = _fold_consistency(old_size - 1, new_size - 1, hashes)
    if old != old_root:
        raise _not_consistent("the proof leads to another old root", old_root.hex(), old.hex())
    if new != new_root:
        raise _not_consistent("the proof leads to another new root", new_root.hex(), new.hex())


def _fold_consistency(place: int, last: int, hashes: tuple[bytes, ...]) -> tuple[bytes, bytes]:
    """Give the old and the new root that the hashes lead to, from the old tree's last leaf up."""
    while place & 1:
        place, last = place >> 1, last >> 1
    old = new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise _not_consistent("the proof is too long")
        if place & 1 or place == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        place, last = place >> 1, last >> 1
    if last != 0:
        raise _not_consistent("the proof is too short")
    return old, new


def _climb(
    index: int, size: int, leaf: bytes, proof: Sequence[bytes], levels: int
) -> tuple[list[bytes], int]:
    """Give the nodes on the leaf's path for `levels` levels, and how many hashes they took."""
    last = size - 1
    node, used, nodes = leaf, 0, [leaf]
    for level in range(levels):
        place = index >> level
        if place & 1:
            node = sha256(b"\x01" + proof[used] + node).digest()
            used += 1
        elif place < last >> level:
            node = sha256(b"\x01" + node + proof[used]).digest()
            used += 1
        # Otherwise it is the last one and has no sibling: it goes up as it is.
        nodes.append(node)
    return nodes, used


def _check_length(index: int, size: int, proof: Sequence[bytes]) -> int:
    """Check the proof's length for this place in the tree; give its number of inner levels.

    Up to the level where the path meets the tree's right edge there is a sibling on every level;
    above it only on the left, wherever the index has a one.
    """
    if not 0 <= index < size:
        raise _not_included(f"there is no leaf {index} in a tree of {size}")
    inner = (index ^ (size - 1)).bit_length()
    length = inner + (index >> inner).bit_count()
    if len(proof) != length:
        raise _not_included(
            "the inclusion proof has the wrong length", f"{length} hashes", f"{len(proof)} hashes"
        )
    return inner


def _check_hashes(hashes: Sequence[bytes], code: str) -> None:
    if set(map(len, hashes)) == _ONE_SIZE:
        return
    for part in hashes:
        if len(part) != HASH_SIZE:
            raise VerificationError(
                code,
                "a hash in the proof has the wrong length",
                expected="32",
                found=str(len(part)),
            )


def _not_included(
    message: str, expected: str | None = None, found: str | None = None
) -> VerificationError:
    return VerificationError("INCLUSION_PROOF_INVALID", message, expected=expected, found=found)


def _not_consistent(
    message: str, expected: str | None = None, found: str | None = None
) -> VerificationError:
    return VerificationError("CONSISTENCY_PROOF_INVALID", message, expected=expected, found=found)
