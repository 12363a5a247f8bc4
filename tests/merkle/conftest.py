"""Trees to hold against: the published leaves, and one of 70,000."""

import pytest

from touchplate.merkle.tree import LeafHash, leaf_hash

# RFC 6962's reference leaves, used by every implementation in the field.
REFERENCE = tuple(
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
)


@pytest.fixture(scope="session")
def reference() -> tuple[LeafHash, ...]:
    """Give the leaf hashes of the eight reference leaves."""
    return tuple(leaf_hash(data) for data in REFERENCE)


@pytest.fixture(scope="session")
def numbers() -> tuple[LeafHash, ...]:
    """Give 70,000 leaf hashes; leaf i is i in decimal."""
    return tuple(leaf_hash(b"%d" % index) for index in range(70_000))
