import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchplate.errors import VerificationError
from touchplate.merkle.proof import check_consistency, check_inclusion, check_inclusions
from touchplate.merkle.tree import (
    LeafHash,
    leaf_hash,
    node_hash,
    prove_consistency,
    prove_inclusion,
    root_hash,
)

SMALL = range(1, 35)
LEAVES = tuple(leaf_hash(b"%d" % index) for index in range(max(SMALL)))


@pytest.mark.parametrize("size", SMALL)
def test_every_inclusion(size: int) -> None:
    """In every small tree, every leaf's proof holds, and for no other leaf, index or size."""
    leaves, root = LEAVES[:size], root_hash(LEAVES[:size])
    for index, leaf in enumerate(leaves):
        proof = prove_inclusion(leaves, index)
        check_inclusion(index, size, leaf, proof, root)
        for wrong in set(range(-1, size + 2)) - {index}:
            with pytest.raises(VerificationError) as refused:
                check_inclusion(wrong, size, leaf, proof, root)
            assert refused.value.code == "INCLUSION_PROOF_INVALID"


@pytest.mark.slow
@pytest.mark.parametrize("size", SMALL)
def test_every_run_of_neighbours(size: int) -> None:
    """In every small tree, the proofs of every run of neighbours hold together."""
    leaves, root = LEAVES[:size], root_hash(LEAVES[:size])
    proofs = [prove_inclusion(leaves, index) for index in range(size)]
    for first in range(size):
        for end in range(first, size + 1):
            check_inclusions(first, size, leaves[first:end], proofs[first:end], root)


@pytest.mark.parametrize("size", SMALL)
def test_every_consistency(size: int) -> None:
    """In every small tree, every earlier tree is proven, and with no other root or size."""
    leaves, root = LEAVES[:size], root_hash(LEAVES[:size])
    for old_size in range(size + 1):
        old_root, proof = root_hash(leaves[:old_size]), prove_consistency(leaves, old_size)
        check_consistency(old_size, size, proof, old_root, root)
        if old_size == 0:
            continue
        with pytest.raises(VerificationError) as refused:
            check_consistency(old_size, size, proof, bytes(32), root)
        assert refused.value.code == "CONSISTENCY_PROOF_INVALID"
        with pytest.raises(VerificationError):
            check_consistency(old_size, size, proof, old_root, bytes(32))
        for wrong in (*proof, bytes(32)):
            with pytest.raises(VerificationError):
                check_consistency(old_size, size, (*proof, wrong), old_root, root)
        if proof:
            with pytest.raises(VerificationError):
                check_consistency(old_size, size, proof[:-1], old_root, root)


@given(st.integers(1, 34), st.data())
def test_flipped_inclusion_bit(size: int, data: st.DataObject) -> None:
    """A proof that differs in any one bit proves nothing, alone or among neighbours."""
    leaves, root = LEAVES[:size], root_hash(LEAVES[:size])
    index = data.draw(st.integers(0, size - 1))
    proofs = [prove_inclusion(leaves, each) for each in range(size)]
    if not proofs[index]:
        return
    proofs[index] = flip_one_bit(proofs[index], data)

    with pytest.raises(VerificationError):
        check_inclusion(index, size, leaves[index], proofs[index], root)
    with pytest.raises(VerificationError):
        check_inclusions(0, size, leaves, proofs, root)


@given(st.integers(1, 34), st.data())
def test_flipped_leaf_among_neighbours(size: int, data: st.DataObject) -> None:
    """One leaf that is not in the tree is found among its neighbours."""
    leaves, root = list(LEAVES[:size]), root_hash(LEAVES[:size])
    index = data.draw(st.integers(0, size - 1))
    proofs = [prove_inclusion(leaves, each) for each in range(size)]
    leaves[index] = LeafHash(flip_one_bit((leaves[index],), data)[0])

    with pytest.raises(VerificationError):
        check_inclusions(0, size, leaves, proofs, root)


@given(st.integers(2, 34), st.data())
def test_flipped_consistency_bit(size: int, data: st.DataObject) -> None:
    """A consistency proof that differs in any one bit proves nothing."""
    leaves = LEAVES[:size]
    old_size = data.draw(st.integers(1, size - 1))
    proof = flip_one_bit(prove_consistency(leaves, old_size), data)

    with pytest.raises(VerificationError):
        check_consistency(old_size, size, proof, root_hash(leaves[:old_size]), root_hash(leaves))


@given(st.lists(st.binary(max_size=40), max_size=8), st.integers(-2, 300), st.integers(-2, 300))
def test_hostile_proofs(proof: list[bytes], one: int, other: int) -> None:
    """Whatever the numbers and hashes are, a check that fails raises our error and no other."""
    for index, size in ((one, other), (other, one)):
        with pytest.raises(VerificationError):
            check_inclusion(index, size, bytes(32), proof, bytes(32))
        if 0 < index < size:
            with pytest.raises(VerificationError):
                check_consistency(index, size, proof, bytes(32), bytes(32))


def test_wrong_hash_length() -> None:
    """Hashes of another length are refused even if their bytes would lead to the root."""
    left, right = LEAVES[:2]
    root = root_hash((left, right))

    with pytest.raises(VerificationError, match="length"):
        check_inclusion(0, 2, LeafHash(left + right[:1]), (right[1:],), root)
    with pytest.raises(VerificationError, match="length"):
        check_inclusions(0, 2, (LeafHash(left + right[:1]),), ((right[1:],),), root)
    with pytest.raises(VerificationError, match="length"):
        check_inclusions(0, 2, (left, right[1:]), ((right,), (left + right[:1],)), root)


def test_no_such_leaf() -> None:
    """An index outside of the tree is refused although the hashes lead to the root."""
    leaf, other = LEAVES[:2]
    for index, size, root in (
        (1, 1, node_hash(other, leaf)),
        (0, 0, node_hash(leaf, other)),
        (-1, 1, node_hash(other, leaf)),
    ):
        with pytest.raises(VerificationError, match="no leaf"):
            check_inclusion(index, size, leaf, (other,), root)


def test_neighbours_beyond_the_tree() -> None:
    """A run of leaves does not go on beyond the end of the tree."""
    leaves, root = LEAVES[:2], root_hash(LEAVES[:2])
    proofs = [prove_inclusion(leaves, index) for index in range(2)]

    with pytest.raises(VerificationError):
        check_inclusions(1, 2, (leaves[1], leaves[1]), (proofs[1], proofs[1]), root)


def test_shrinking_tree() -> None:
    """No proof shows that a tree has shrunk."""
    with pytest.raises(VerificationError) as refused:
        check_consistency(2, 1, (), root_hash(LEAVES[:2]), root_hash(LEAVES[:1]))
    assert refused.value.code == "CONSISTENCY_PROOF_INVALID"
    root = root_hash(LEAVES[:3])
    with pytest.raises(VerificationError, match="does not contain"):  # the hashes would agree
        check_consistency(3, 1, (root,), root, root)


def test_consistency_from_nothing() -> None:
    """From the empty tree the proof is empty; a longer one is refused."""
    check_consistency(0, 5, (), bytes(32), root_hash(LEAVES[:5]))
    with pytest.raises(VerificationError):
        check_consistency(0, 5, (bytes(32),), bytes(32), root_hash(LEAVES[:5]))


def test_odd_consistency() -> None:
    """A proof too long, or with a short hash, is refused although it leads to both roots."""
    above, left, here, right = LEAVES[:4]
    short = right[1:]
    long = (here, right, left, above)
    old, new = node_hash(left, here), node_hash(left, node_hash(here, right))

    check_consistency(3, 4, long[:3], old, new)
    with pytest.raises(VerificationError, match="too short"):
        check_consistency(3, 8, long[:3], old, new)
    with pytest.raises(VerificationError, match="too long"):
        check_consistency(3, 4, long, node_hash(above, old), node_hash(above, new))
    with pytest.raises(VerificationError, match="length"):
        check_consistency(3, 4, (here, short, left), old, node_hash(left, node_hash(here, short)))


def flip_one_bit(hashes: tuple[bytes, ...], data: st.DataObject) -> tuple[bytes, ...]:
    """Give the hashes with one bit changed."""
    which = data.draw(st.integers(0, len(hashes) - 1))
    bit = data.draw(st.integers(0, 255))
    changed = bytearray(hashes[which])
    changed[bit // 8] ^= 1 << bit % 8
    return (*hashes[:which], bytes(changed), *hashes[which + 1 :])
