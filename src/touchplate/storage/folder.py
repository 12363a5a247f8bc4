"""The object store in a folder of a local file system: one file for each object.

A write goes to a temporary file that is synced and then linked or renamed into place, so a reader
never sees a part of an object, whatever crashes. Folders are 0700 and files 0600.
"""

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

from touchplate.errors import UnavailableError
from touchplate.storage.objects import check_key, differs


class FolderObjects:
    """The object store below `folder`, which is made if it is not there.

    A crash may leave a file in `.tmp`; nothing reads it, and it may be deleted.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._temporary = folder / ".tmp"
        self._counter = itertools.count()
        self._lock = Lock()
        self._synced: set[Path] = {folder}  # folders whose way up to `folder` is durable
        with _translated(folder):
            self._temporary.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sync_folder(folder.parent)

    def put(self, key: str, data: bytes) -> None:
        """Create the object durably, or find the same bytes there."""
        path = self._path(key)
        with _translated(path):
            if not path.exists():
                self._make_parent(path)
                with self._written(data) as temporary, suppress(FileExistsError):
                    # Unlike a rename, a link never takes the place of another process's object.
                    os.link(temporary, path)
            if path.read_bytes() != data:
                raise differs(key)
            # Also when it was there: who made it may have died before this line.
            self._sync(path.parent)

    def replace(self, key: str, data: bytes) -> None:
        """Create the object durably, or put other bytes in its place."""
        path = self._path(key)
        with _translated(path):
            self._make_parent(path)
            with self._written(data) as temporary:
                temporary.rename(path)
            self._sync(path.parent)

    def get(self, key: str) -> bytes | None:
        """Give the object's bytes, or None."""
        path = self._path(key)
        with _translated(path):
            try:
                return path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def _path(self, key: str) -> Path:
        check_key(key)
        return self._folder / key

    def _make_parent(self, path: Path) -> None:
        """Make the folders above a file, each 0700, which `mkdir(parents=True)` does not give."""
        missing = [folder for folder in path.parents if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=0o700, exist_ok=True)

    @contextmanager
    def _written(self, data: bytes) -> Iterator[Path]:
        """Write the data to a temporary file, durably; it is gone afterwards."""
        with self._lock:
            number = next(self._counter)
        path = self._temporary / f"{os.getpid()}-{id(self)}-{number}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 - Path cannot open a descriptor
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _sync(self, folder: Path) -> None:
        """Make the folder's names durable, and once for each process the way up to it."""
        _sync_folder(folder)
        while folder not in self._synced:
            self._synced.add(folder)
            folder = folder.parent
            _sync_folder(folder)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UnavailableError(
            "STORAGE_UNAVAILABLE", f"the object store failed at {path}: {error.strerror or error}"
        ) from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
