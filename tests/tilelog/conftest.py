"""Logs over every backend: what changes in one store, what does not in another."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers.fixtures import S3_ENVIRON
from tests.tilelog.places import Place
from touchplate.storage.schemes import open_log, open_objects
from touchplate.tilelog.log import TileLog

BACKENDS = ["memory", "sqlite+folder", pytest.param("postgres+s3", marks=pytest.mark.slow)]


@pytest.fixture(params=BACKENDS)
def new_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Place]]:
    """Give a maker of places for logs; whatever is in them at the end is checked."""
    places: list[Place] = []

    def uris() -> tuple[str, str]:
        if request.param == "memory":
            return "memory:", "memory:"
        if request.param == "sqlite+folder":
            return f"file://{tmp_path}/{len(places)}", f"file://{tmp_path}/{len(places)}/objects"
        postgres: Callable[[], str] = request.getfixturevalue("new_postgres")
        s3: Callable[[], str] = request.getfixturevalue("new_s3")
        return postgres(), s3()

    def make() -> Place:
        database, objects = uris()
        place = Place(open_log(database, "log"), open_objects(objects, S3_ENVIRON))
        places.append(place)
        return place

    yield make
    for place in places:
        place.close()


@pytest.fixture
def place(new_place: Callable[[], Place]) -> Place:
    """Give a place for a log, on every backend."""
    return new_place()


@pytest.fixture
def log(place: Place) -> TileLog:
    """Give an empty log."""
    return place.open()
