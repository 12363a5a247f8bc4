"""Every backend, for the contract tests: they run once for each scheme."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from touchplate.storage.database import LogDatabase
from touchplate.storage.objects import ObjectStore
from touchplate.storage.schemes import SCHEMES, open_log, open_objects

URIS = {"memory": "memory:", "file": "file://{folder}/store-{number}"}


@pytest.fixture(params=list(SCHEMES))
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Give a maker of URIs of one backend, each for a new store."""
    numbers = itertools.count()
    return lambda: URIS[request.param].format(folder=tmp_path, number=next(numbers))


@pytest.fixture
def objects(uri: Callable[[], str]) -> ObjectStore:
    """Give an empty object store."""
    return open_objects(uri())


@pytest.fixture
def database(uri: Callable[[], str]) -> Iterator[LogDatabase]:
    """Give the database of a log that is not there yet."""
    opened = open_log(uri())
    yield opened
    opened.close()
