"""Logs over every backend."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tilelog.places import Place
from touchplate.storage.schemes import SCHEMES, open_log, open_objects
from touchplate.tilelog.log import TileLog

URIS = {"memory": "memory:", "file": "file://{folder}/{name}"}


@pytest.fixture(params=list(SCHEMES))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Give a place for a log, on every backend; whatever is there at the end is checked."""
    names = itertools.count()

    def uri() -> str:
        return URIS[request.param].format(folder=tmp_path, name=next(names))

    place = Place(open_log(uri()), open_objects(uri()))
    yield place
    place.close()


@pytest.fixture
def log(place: Place) -> TileLog:
    """Give an empty log."""
    return place.open()
