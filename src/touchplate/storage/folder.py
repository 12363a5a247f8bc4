"""The object store in a folder of a local file system: one file for each object.

Folders are 0700 and files 0600. A crash may leave a file whose name begins with a dot; nothing
reads it, and it may be deleted.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from touchplate.errors import RefusedError, SettingsError, UnavailableError
from touchplate.storage.files import save_file, sync_folder
from touchplate.storage.objects import check_key, differs


class FolderObjects:
    """The object store below `folder`, which is made if it is not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._synced: set[Path] = {folder}  # folders whose way up to `folder` is durable
        with _translated(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_folder(folder.parent)

    def put(self, key: str, data: bytes) -> None:
        """Create the object durably, or find the same bytes there."""
        path = self._path(key)
        with _translated(path):
            self._make_parent(path)
            try:
                save_file(path, data, overwrite=False, mode=0o600)
            except RefusedError:
                if path.read_bytes() != data:
                    raise differs(key) from None
                # Who made it may have died before its name was durable.
                sync_folder(path.parent)
            self._sync_parents(path)

    def replace(self, key: str, data: bytes) -> None:
        """Create the object durably, or put other bytes in its place."""
        path = self._path(key)
        with _translated(path):
            self._make_parent(path)
            save_file(path, data, overwrite=True, mode=0o600)
            self._sync_parents(path)

    def get(self, key: str) -> bytes | None:
        """Give the object's bytes, or None."""
        path = self._path(key)
        with _translated(path):
            try:
                return path.read_bytes()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return None

    def _path(self, key: str) -> Path:
        check_key(key)
        return self._folder / key

    def _make_parent(self, path: Path) -> None:
        """Make the folders above a file, each 0700, which `mkdir(parents=True)` does not give."""
        missing = [folder for folder in path.parents if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=0o700, exist_ok=True)

    def _sync_parents(self, path: Path) -> None:
        """Make the names of the folders above `path` durable, once for each process."""
        ours = [folder for folder in path.parents if folder.is_relative_to(self._folder)]
        for folder in [each for each in reversed(ours) if each not in self._synced]:
            sync_folder(folder.parent)
            self._synced.add(folder)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SettingsError) as error:
        raise UnavailableError(
            "STORAGE_UNAVAILABLE", f"the object store failed at {path}: {error}"
        ) from error
