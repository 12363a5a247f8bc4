"""Which store a URI names. A new backend is a module and a line here; the contract tests follow.

memory:                          lives as long as the process
file:///var/lib/touchplate       a folder; the log NAME is the SQLite file NAME.db in it
postgresql://user@host/database  tables in the schema `touchplate` (?schema=)    logs only
s3://bucket/prefix               objects, with ?endpoint= and ?region=           objects only

Packages of a backend are imported when a URI names it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote, urlsplit

from touchplate.errors import SettingsError
from touchplate.storage.database import LogDatabase
from touchplate.storage.objects import ObjectStore

Environ = Mapping[str, str]

_NO_ENVIRON: Final[Environ] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Scheme:
    """How one kind of URI opens, as an object store, as the database of a log, or as both."""

    objects: Callable[[str, Environ], ObjectStore] | None
    log: Callable[[str, str], LogDatabase] | None


def open_objects(uri: str, environ: Environ = _NO_ENVIRON) -> ObjectStore:
    """Open the object store that the URI names; `environ` has credentials by their usual names.

    Raises SettingsError SETTINGS_INVALID, and STORAGE_UNAVAILABLE if it does not answer. No
    message repeats the URI: there may be a password in it.
    """
    opener = _scheme(uri).objects
    if opener is None:
        raise _not_for(uri, "objects", [name for name, each in SCHEMES.items() if each.objects])
    return opener(uri, environ)


def open_log(uri: str, name: str) -> LogDatabase:
    """Open the database of the log with this name, in the store that the URI names.

    `name` has lower-case letters, digits and `-`. Raises as `open_objects` does.
    """
    if not _LETTERS.issuperset(name) or not name:
        raise AssertionError(f"{name!r} is no name of a log")
    opener = _scheme(uri).log
    if opener is None:
        raise _not_for(uri, "logs", [name for name, each in SCHEMES.items() if each.log])
    return opener(uri, name)


def _memory_objects(_uri: str, _environ: Environ) -> ObjectStore:
    from touchplate.storage.objects import MemoryObjects

    return MemoryObjects()


def _memory_log(_uri: str, _name: str) -> LogDatabase:
    from touchplate.storage.memory import MemoryLog

    return MemoryLog()


def _folder_objects(uri: str, _environ: Environ) -> ObjectStore:
    from touchplate.storage.folder import FolderObjects

    return FolderObjects(_path(uri))


def _sqlite_log(uri: str, name: str) -> LogDatabase:
    from touchplate.storage.sqlite import SQLiteLog

    return SQLiteLog(_path(uri) / f"{name}.db")


def _s3_objects(uri: str, environ: Environ) -> ObjectStore:
    from touchplate.storage.s3 import S3Objects

    return S3Objects(uri, environ)


def _postgres_log(uri: str, name: str) -> LogDatabase:
    from touchplate.storage.postgres import PostgresLog

    return PostgresLog(uri, name)


SCHEMES: Final[Mapping[str, Scheme]] = {
    "memory": Scheme(_memory_objects, _memory_log),
    "file": Scheme(_folder_objects, _sqlite_log),
    "postgresql": Scheme(None, _postgres_log),
    "s3": Scheme(_s3_objects, None),
}

_LETTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


def _scheme(uri: str) -> Scheme:
    name = urlsplit(uri).scheme
    if name not in SCHEMES:
        raise _not_for(uri, "state", list(SCHEMES))
    return SCHEMES[name]


def _not_for(uri: str, what: str, known: list[str]) -> SettingsError:
    found = urlsplit(uri).scheme
    return SettingsError(
        "SETTINGS_INVALID",
        f"no store for {what} has the scheme {found!r}",
        expected="a URI that begins with " + " or ".join(f"{name}:" for name in known),
        found=found or "a URI without a scheme",
    )


def _path(uri: str) -> Path:
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise SettingsError(
            "SETTINGS_INVALID",
            "this is not file:// and an absolute path",
            found=f"{parts.scheme}://{parts.hostname or ''}{parts.path}",
        )
    return Path(unquote(parts.path))
