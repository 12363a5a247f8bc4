from touchplate.merkle.tree import (
    EMPTY_ROOT,
    LeafHash,
    node_hash,
    prove_consistency,
    prove_inclusion,
    root_hash,
)

LEAVES = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "0298d122906dcfc10892cb53a73992fc5b9f493ea4c9badb27b791b4127a7fe7",
    "07506a85fd9dd2f120eb694f86011e5bb4662e5c415a62917033d4a9624487e7",
    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    "4271a26be0d8a84f0bd54c8c302e7cb3a3b5d1fa6780a40bcce2873477dab658",
    "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
    "46f6ffadd3d06a09ff3c5860d2755c8b9819db7df44251788c7d8e3180de8eb1",
)
ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
LARGE_ROOTS = {
    255: "32f85bcaa87d7bcd05728f09e9aeba350ba6a2f733830087f0597682848be5cb",
    256: "828515d033c19d8c901f37eccb8aed919667703486f8d2fff1cf7040321c5db1",
    257: "1eda049a4351d86f76252bd7ec0b7746ad75b7fa0316ad5f541dbda458a312c4",
    513: "c24f62075c76ec77f6bf5159e732cf1952814fb1bea007e33e92ad9bdd7afda0",
    1000: "638afa98022925bacfddadb15ef22fd0199c1ac99c2973b6158243d13fce05c2",
    70_000: "1a4cdfcb66374a0c0dcbef49acbd4976d13ee864fb3cb241fc943cad04f02f7e",
}


def test_leaf_hashes(reference: tuple[LeafHash, ...]) -> None:
    """The reference leaves have the published hashes."""
    assert tuple(leaf.hex() for leaf in reference) == LEAVES


def test_roots(reference: tuple[LeafHash, ...]) -> None:
    """Every prefix of the reference leaves has the published root."""
    assert tuple(root_hash(reference[:size]).hex() for size in range(9)) == ROOTS


def test_empty_root() -> None:
    """The empty tree's root is the hash of nothing."""
    assert EMPTY_ROOT.hex() == ROOTS[0]


def test_large_roots(numbers: tuple[LeafHash, ...]) -> None:
    """Larger trees, around the ends of tiles, have the published roots."""
    assert {size: root_hash(numbers[:size]).hex() for size in LARGE_ROOTS} == LARGE_ROOTS


def test_inclusion_proofs(reference: tuple[LeafHash, ...]) -> None:
    """Proofs have the nodes that the published examples name, leaf's side first."""
    leaf, nodes = reference, _nodes(reference)

    assert prove_inclusion(leaf[:1], 0) == ()
    assert prove_inclusion(leaf, 0) == (leaf[1], nodes["A"], nodes["B"])
    assert prove_inclusion(leaf, 5) == (leaf[4], nodes["C"], nodes["R4"])
    assert prove_inclusion(leaf[:3], 2) == (nodes["R2"],)
    assert prove_inclusion(leaf[:5], 1) == (leaf[0], nodes["A"], leaf[4])
    assert prove_inclusion(leaf[:7], 6) == (nodes["E"], nodes["R4"])


def test_consistency_proofs(reference: tuple[LeafHash, ...]) -> None:
    """Proofs have the nodes that the published examples name."""
    leaf, nodes = reference, _nodes(reference)

    assert prove_consistency(leaf[:1], 1) == ()
    assert prove_consistency(leaf, 1) == (leaf[1], nodes["A"], nodes["B"])
    assert prove_consistency(leaf, 6) == (nodes["E"], nodes["C"], nodes["R4"])
    assert prove_consistency(leaf[:5], 2) == (nodes["A"], leaf[4])
    assert prove_consistency(leaf, 4) == (nodes["B"],)
    assert prove_consistency(leaf[:7], 6) == (nodes["E"], leaf[6], nodes["R4"])
    assert prove_consistency(leaf, 7) == (leaf[6], leaf[7], nodes["E"], nodes["R4"])
    assert prove_consistency(leaf[:7], 3) == (leaf[2], leaf[3], nodes["R2"], nodes["F"])


def test_consistency_from_nothing(reference: tuple[LeafHash, ...]) -> None:
    """There is nothing to prove about the empty tree."""
    assert prove_consistency(reference, 0) == ()


def _nodes(leaf: tuple[LeafHash, ...]) -> dict[str, bytes]:
    """Give the inner nodes by the names of the published examples."""
    nodes: dict[str, bytes] = {
        "A": node_hash(leaf[2], leaf[3]),
        "C": node_hash(leaf[6], leaf[7]),
        "E": node_hash(leaf[4], leaf[5]),
        "R2": node_hash(leaf[0], leaf[1]),
    }
    nodes["B"] = node_hash(nodes["E"], nodes["C"])
    nodes["F"] = node_hash(nodes["E"], leaf[6])
    nodes["R4"] = node_hash(nodes["R2"], nodes["A"])
    assert nodes["B"].hex() == "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
    assert nodes["F"].hex() == "837dbb152e9b079010717e84e865da4ebc0fa198a806d59d31bf15accef22d0e"
    return nodes
