"""What a deployment's certificate log needs beside its tiles: roots, and an index of leaves."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from threading import Lock
from typing import Final

from touchplate.ctlog import LeafIndex
from touchplate.errors import MalformedError, SettingsError
from touchplate.formats.certificate import parse_pem_certificates
from touchplate.storage.index import IndexDatabase
from touchplate.tilelog.log import TileLog

MAX_ROOTS_FILE: Final = 1024 * 1024


def accepted_roots(own: Iterable[bytes], more: Path | None) -> list[bytes]:
    """Give the roots (DER) of our own authorities, and those in a file, each once.

    Raises FILE_UNREADABLE, SETTINGS_INVALID.
    """
    roots = dict.fromkeys(own)
    if more is not None:
        try:
            with more.open("rb") as file:
                text = file.read(MAX_ROOTS_FILE).decode("ascii", errors="replace")
        except OSError as error:
            raise SettingsError("FILE_UNREADABLE", f"{more}: {error.strerror}") from error
        try:
            roots |= dict.fromkeys(each.der for each in parse_pem_certificates(text))
        except MalformedError as error:
            raise SettingsError("SETTINGS_INVALID", f"ct.roots, {more}: {error}") from error
    return list(roots)


class LazyLeafIndex:
    """An index of leaves that is opened when somebody first asks for one; few ever do.

    It is a log of its own in the search index's database.
    """

    def __init__(
        self, opened: ExitStack, database: Callable[[], IndexDatabase], log: TileLog, name: str
    ) -> None:
        self._database = database
        self._log = log
        self._name = f"{name}-leaves"
        self._lock = Lock()  # of everything below
        self._close = ExitStack()
        self._index: LeafIndex | None = None
        opened.callback(self._close.close)

    def find(self, leaf_hash: bytes, size: int) -> int | None:
        """Give the lowest index below `size` with this leaf hash; raises as `LeafIndex.find`."""
        with self._lock:
            if self._index is None:
                database = self._database()
                self._close.callback(database.close)
                self._index = LeafIndex(self._log, database, self._name)
        return self._index.find(leaf_hash, size)
