"""Which store a URI names. A new backend is a module and a line here; the contract tests follow.

memory:                          lives as long as the process
file:///var/lib/touchplate       a folder; the log NAME is the SQLite file NAME.db in it, the
                                 search index is index.db
postgresql://user@host/database  tables in the schema `touchplate` (?schema=)    no objects
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
from touchplate.storage.index import IndexDatabase
from touchplate.storage.objects import ObjectStore

Environ = Mapping[str, str]

_NO_ENVIRON: Final[Environ] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Scheme:
    """How one kind of URI opens: as an object store, a log's database, a search index."""

    objects: Callable[[str, Environ], ObjectStore] | None
    log: Callable[[str, str], LogDatabase] | None
    index: Callable[[str], IndexDatabase] | None


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


def open_index(uri: str) -> IndexDatabase:
    """Open the search index in the store that the URI names. Raises as `open_objects` does."""
    opener = _scheme(uri).index
    if opener is None:
        raise _not_for(uri, "indexes", [name for name, each in SCHEMES.items() if each.index])
    return opener(uri)


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


def _memory_index(_uri: str) -> IndexDatabase:
    from touchplate.storage.index_memory import MemoryIndex

    return MemoryIndex()


def _sqlite_index(uri: str) -> IndexDatabase:
    from touchplate.storage.index_sqlite import SQLiteIndex

    return SQLiteIndex(_path(uri) / "index.db")


def _postgres_index(uri: str) -> IndexDatabase:
    from touchplate.storage.index_postgres import PostgresIndex

    return PostgresIndex(uri)


SCHEMES: Final[Mapping[str, Scheme]] = {
    "memory": Scheme(_memory_objects, _memory_log, _memory_index),
    "file": Scheme(_folder_objects, _sqlite_log, _sqlite_index),
    "postgresql": Scheme(None, _postgres_log, _postgres_index),
    "s3": Scheme(_s3_objects, None, None),
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
