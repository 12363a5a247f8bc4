"""A well-behaved issuer elsewhere, for each test that asks for it."""

from collections.abc import Iterator

import pytest

from tests.oidc.hostile import RemoteIssuer, Server, serving
from tests.oidc.place import Place


@pytest.fixture
def server() -> Iterator[Server]:
    """Serve, and nothing but that."""
    with serving() as found:
        yield found


@pytest.fixture
def place(server: Server) -> Place:
    """Give a well-behaved issuer and who believes it."""
    issuer = RemoteIssuer(server)
    issuer.publish()
    return Place(server, issuer)
