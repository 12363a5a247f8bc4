"""The repository's HTTP: files that never change, one that does, and a true 404 for the rest."""

import asyncio
from collections.abc import Iterator
from hashlib import sha256

import pytest

from touchplate.testing import World
from touchplate.testing.in_process import exchange
from touchplate.transport.http import Response


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """A deployment with its repository."""
    with World() as world:
        yield world


def get(world: World, name: str) -> Response:
    """GET a file below /tuf/."""
    response = asyncio.run(exchange(world.app, "GET", f"/tuf/{name}"))
    assert response is not None
    return response


@pytest.mark.parametrize("name", ["1.root.json", "1.snapshot.json", "1.targets.json"])
def test_versioned(world: World, name: str) -> None:
    """A file with its version in its name may be kept for ever."""
    response = get(world, name)
    assert response.status == 200
    assert "immutable" in (response.header("cache-control") or "")


@pytest.mark.parametrize("name", ["timestamp.json", "root.json"])
def test_mutable(world: World, name: str) -> None:
    """A file that changes is never kept."""
    response = get(world, name)
    assert response.status == 200
    assert "no-store" in (response.header("cache-control") or "")


def test_newest_root(world: World) -> None:
    """root.json is the newest root, and its digest what clients pin."""
    root = get(world, "root.json").body
    assert root == get(world, "1.root.json").body
    assert sha256(root).hexdigest() == world.deployment.repository.fingerprint


@pytest.mark.parametrize(
    "name",
    [
        "2.root.json",
        "0.root.json",
        "01.root.json",
        "1.timestamp.json",
        "999999999999.root.json",
        "snapshot.json",
        "targets/trusted_root.json",
        "targets/" + "0" * 64 + ".trusted_root.json",
        "../tlog.db",
        "..%2ftlog.db",
        "1.root.json/",
        "1.root.json\x00",
        "1.ROOT.json",
        "targets/",
        "x" * 5000,
    ],
)
def test_not_there(world: World, name: str) -> None:
    """What the repository has not written is not there, whatever it is called."""
    response = get(world, name)
    assert response.status == 404
    assert len(response.body) < 1000
