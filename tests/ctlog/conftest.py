"""Each test of the log gets an empty one, which is re-read from its tiles afterwards."""

from collections.abc import Iterator

import pytest

from tests.ctlog.places import Place, open_place


@pytest.fixture
def place() -> Iterator[Place]:
    """Give an empty log with an authority."""
    found = open_place()
    yield found
    found.log.log.check()
    found.log.log.close()
