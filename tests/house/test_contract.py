"""The import contract in pyproject.toml speaks of every room."""

import re
import tomllib
from typing import Any

from tests.docs.pages import REPOSITORY


def contracts() -> dict[str, dict[str, Any]]:
    """Give the contracts by their id."""
    text = (REPOSITORY / "pyproject.toml").read_text("utf-8")
    return {each["id"]: each for each in tomllib.loads(text)["tool"]["importlinter"]["contracts"]}


def test_every_room_has_a_layer() -> None:
    """A folder of the package that the layers do not name is refused."""
    package = REPOSITORY / "src" / "touchplate"
    rooms = {path.name for path in package.iterdir() if any(path.glob("*.py"))}
    layers = contracts()["layers"]["layers"]

    assert rooms - set(re.findall(r"\w+", " ".join(layers))) == set()


def test_pure_rooms() -> None:
    """The rooms below the edge are the pure ones: each layer under storage is held to that."""
    layers = contracts()["layers"]["layers"]
    edge = next(place for place, layer in enumerate(layers) if "storage" in layer)
    below = re.findall(r"\w+", " ".join(layers[edge + 1 :]))

    assert sorted(contracts()["pure"]["source_modules"]) == sorted(f"touchplate.{r}" for r in below)
