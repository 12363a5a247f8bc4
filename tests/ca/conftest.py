"""Each test of issuing gets an office of its own, whose log is re-read afterwards."""

from collections.abc import Iterator

import pytest

from tests.ca.places import Office, open_office


@pytest.fixture
def office() -> Iterator[Office]:
    """Give an authority, an issuer and a log."""
    found = open_office()
    yield found
    found.place.log.log.check()
    found.place.log.log.close()
