"""docs/reference/settings.md explains each setting: the fields of each room's settings.py."""

import dataclasses
import importlib
import inspect
import re

import pytest

from tests.docs.pages import DOCS, REPOSITORY

MODULES = sorted((REPOSITORY / "src" / "touchplate").glob("*/settings.py"))


def settings_of(room: str) -> dict[str, list[str]]:
    """Give the field names of each data class of a room's settings module."""
    module = importlib.import_module(f"touchplate.{room}.settings")
    return {
        name: [field.name for field in dataclasses.fields(each)]
        for name, each in inspect.getmembers(module, dataclasses.is_dataclass)
        if inspect.isclass(each) and each.__module__ == module.__name__
    }


def sections() -> dict[str, set[str]]:
    """Give the names in the first column of the table below each heading."""
    text = (DOCS / "reference" / "settings.md").read_text("utf-8")
    parts = re.split(r"^##+ .*?`(\w+)`.*$", text, flags=re.MULTILINE)
    return {
        name: set(re.findall(r"^\| `(\w+)` \|", body, flags=re.MULTILINE))
        for name, body in zip(parts[1::2], parts[2::2], strict=True)
    }


@pytest.mark.parametrize("room", [path.parent.name for path in MODULES])
def test_every_setting(room: str) -> None:
    """A field without its row, and a row without its field, is refused."""
    described = sections()
    for name, fields in settings_of(room).items():
        assert described.get(name) == set(fields), name
