"""docs/reference/settings.md explains each setting: the fields of each room's settings.py."""

import dataclasses
import importlib
import inspect
import re
import tomllib
from typing import Any

import pytest

from tests.docs.pages import DOCS, REPOSITORY, rows_of
from touchplate.server import settings as server_settings
from touchplate.server.reading import Kind, kind_of

MODULES = sorted((REPOSITORY / "src" / "touchplate").glob("*/settings.py"))
# Tables of the settings file: member of ServeSettings, and class.
TABLE_CLASSES = {
    kind_of(each).__name__: each.name
    for each in dataclasses.fields(server_settings.ServeSettings)
    if inspect.isclass(kind_of(each))
}
TABLES = set(TABLE_CLASSES.values())


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
        # Tables of the settings file are sections of their own; the folder is no member of it.
        assert described.get(name) == set(fields) - TABLES - {"data"}, name


def members_of(table: type) -> dict[str, tuple[Kind[Any], object]]:
    """Give kind and default of each member that the settings file may set in a table."""
    return {
        each.name: (kind_of(each), each.default)
        for each in dataclasses.fields(table)
        if isinstance(kind_of(each), Kind)
    }


def defaults_of(name: str) -> dict[str, str]:
    """Give the second column of a section's table, by its first."""
    text = (DOCS / "reference" / "settings.md").read_text("utf-8")
    _, _, body = text.partition(f": `{name}`\n")
    section = body.partition("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", section, flags=re.MULTILINE))


@pytest.mark.parametrize("table", ["ServeSettings", *sorted(TABLE_CLASSES)])
def test_every_default(table: str) -> None:
    """The default that the page gives for a member of the file is the one in code."""
    described = defaults_of(table)
    for name, (kind, default) in members_of(getattr(server_settings, table)).items():
        cell = described[name]
        if cell == "none":
            assert default is None, name
        elif cell == "all of them":
            assert isinstance(default, frozenset), name
            assert all(f'"{word}"' in kind.allowed for word in default), name
        else:
            (value,) = tomllib.loads(f"x = {cell.strip('`')}").values()
            assert kind.read(value) == default, name


def test_every_variable() -> None:
    """The page's first table has each environment variable, and no other."""
    rows = {row[0].strip("`") for row in rows_of(DOCS / "reference" / "settings.md")}
    assert {row for row in rows if row.startswith("TOUCHPLATE_")} == set(server_settings.VARIABLES)
