"""The minted world that the tests of this room share."""

import pytest

from tests.verify.mint import Mint


@pytest.fixture(scope="session")
def mint() -> Mint:
    """Give the instance whose bundles are good."""
    return Mint.new()


@pytest.fixture(scope="session")
def other() -> Mint:
    """Give another instance, which the first one's trusted root does not list."""
    return Mint.new(1000)
