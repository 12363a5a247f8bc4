"""The worked examples of each kind as fixtures."""

from collections.abc import Callable

import pytest

from tests.entries.worked import VECTORS, Vector, load
from touchplate.entries import KINDS

EXAMPLES = [load(path.name) for path in sorted(VECTORS.iterdir()) if path.is_dir()]
VOUCHING = [each for each in EXAMPLES if (each.kind, each.version) in KINDS]


@pytest.fixture(params=VOUCHING, ids=[each.folder for each in VOUCHING])
def vector(request: pytest.FixtureRequest) -> Vector:
    """Each worked example in turn whose kind can vouch for a bundle."""
    made: Vector = request.param
    return made


@pytest.fixture(scope="session")
def worked() -> Callable[[str], Vector]:
    """Give a function that reads a worked example by the name of its folder."""
    return load
