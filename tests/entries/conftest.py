"""The worked examples of each kind as fixtures."""

from collections.abc import Callable

import pytest

from tests.entries.worked import VECTORS, Vector, load


@pytest.fixture(params=sorted(path.name for path in VECTORS.iterdir() if path.is_dir()))
def vector(request: pytest.FixtureRequest) -> Vector:
    """Each worked example in turn."""
    return load(request.param)


@pytest.fixture(scope="session")
def worked() -> Callable[[str], Vector]:
    """Give a function that reads a worked example by the name of its folder."""
    return load
