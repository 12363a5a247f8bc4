"""docs/reference/api.md lists the HTTP paths and the Python modules that are public."""

import importlib
import re

from tests.docs.pages import DOCS, rows_of
from touchplate.testing import World

PAGE = DOCS / "reference" / "api.md"


def test_every_route() -> None:
    """Each route of a deployment has a row, and each row has a route."""
    with World() as world:
        routes = {f"{route.method} {route.pattern}" for route in world.deployment.routes}

    described = {row[0].strip("`") for row in rows_of(PAGE)}

    assert {each for each in described if not each.startswith("touchplate.")} == routes


def test_public_names() -> None:
    """The modules that the page calls public have the names that it mentions."""
    for row in rows_of(PAGE):
        if row[0].startswith("`touchplate."):
            module = importlib.import_module(row[0].strip("`"))
            for name in re.findall(r"`(\w+)`", row[1]):
                assert hasattr(module, name), f"{row[0]} has no {name}"
