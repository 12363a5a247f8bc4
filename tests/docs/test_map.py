"""docs/architecture.md is the map: every room has its paragraph."""

import re

from tests.docs.pages import DOCS, REPOSITORY


def test_every_room() -> None:
    """Each folder of the package, and no other, has a paragraph that starts with its name."""
    package = REPOSITORY / "src" / "touchplate"
    rooms = {path.parent.name for path in package.glob("*/__init__.py")}

    text = (DOCS / "architecture.md").read_text("utf-8")
    described = set(re.findall(r"^\*\*`([a-z]+)/`\*\*", text, flags=re.MULTILINE))

    assert described == rooms
