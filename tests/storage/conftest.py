"""Every backend, for the contract tests: they run once for each scheme."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers.fixtures import S3_ENVIRON
from touchplate.storage.database import LogDatabase
from touchplate.storage.objects import ObjectStore
from touchplate.storage.schemes import SCHEMES, open_log, open_objects

# Backends that need a server are left out of `make test-fast`.
SERVERS = {"postgresql": "new_postgres", "s3": "new_s3"}


def schemes(kind: str) -> list[object]:
    """Give the schemes that have this kind of store, those with a server marked as slow."""
    names = [name for name, scheme in SCHEMES.items() if getattr(scheme, kind)]
    return [
        pytest.param(name, marks=pytest.mark.slow) if name in SERVERS else name for name in names
    ]


def new_uris(scheme: str, request: pytest.FixtureRequest, folder: Path) -> Callable[[], str]:
    """Give a maker of URIs of one scheme, each for a new store."""
    numbers = itertools.count()
    if scheme in SERVERS:
        maker: Callable[[], str] = request.getfixturevalue(SERVERS[scheme])
        return maker
    if scheme == "memory":
        return lambda: "memory:"
    return lambda: f"{scheme}://{folder}/store-{next(numbers)}"


@pytest.fixture(params=schemes("objects"))
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """Give an empty object store."""
    return open_objects(new_uris(request.param, request, tmp_path)(), S3_ENVIRON)


@pytest.fixture(params=schemes("log"))
def log_uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the URI of a store without logs."""
    return new_uris(request.param, request, tmp_path)()


@pytest.fixture
def database(log_uri: str) -> Iterator[LogDatabase]:
    """Give the database of a log that is not there yet."""
    opened = open_log(log_uri, "log")
    yield opened
    opened.close()
