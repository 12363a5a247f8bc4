"""Which store a URI names. A new backend is a module and a line here; the contract tests follow.

memory:                     lives as long as the process
file:///var/lib/touchplate  a folder; for a log, the SQLite file at that path
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from touchplate.errors import SettingsError
from touchplate.storage.database import LogDatabase
from touchplate.storage.objects import ObjectStore


@dataclass(frozen=True, slots=True)
class Scheme:
    """How one kind of URI opens."""

    objects: Callable[[str], ObjectStore]
    log: Callable[[str], LogDatabase]


def open_objects(uri: str) -> ObjectStore:
    """Open the object store that the URI names. Raises SettingsError SETTINGS_INVALID."""
    return _scheme(uri).objects(uri)


def open_log(uri: str) -> LogDatabase:
    """Open the database of one log that the URI names. Raises SettingsError SETTINGS_INVALID."""
    return _scheme(uri).log(uri)


def _memory_objects(_uri: str) -> ObjectStore:
    from touchplate.storage.objects import MemoryObjects

    return MemoryObjects()


def _memory_log(_uri: str) -> LogDatabase:
    from touchplate.storage.memory import MemoryLog

    return MemoryLog()


def _folder_objects(uri: str) -> ObjectStore:
    from touchplate.storage.folder import FolderObjects

    return FolderObjects(_path(uri))


def _sqlite_log(uri: str) -> LogDatabase:
    from touchplate.storage.sqlite import SQLiteLog

    return SQLiteLog(_path(uri))


SCHEMES: Final[Mapping[str, Scheme]] = {
    "memory": Scheme(_memory_objects, _memory_log),
    "file": Scheme(_folder_objects, _sqlite_log),
}


def _scheme(uri: str) -> Scheme:
    name = urlsplit(uri).scheme
    if name not in SCHEMES:
        raise SettingsError(
            "SETTINGS_INVALID",
            f"no storage has the scheme of {uri!r}",
            expected=" or ".join(f"{known}:" for known in SCHEMES),
        )
    return SCHEMES[name]


def _path(uri: str) -> Path:
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise SettingsError(
            "SETTINGS_INVALID", f"{uri!r} is not file:// and an absolute path", found=parts.netloc
        )
    return Path(unquote(parts.path))
