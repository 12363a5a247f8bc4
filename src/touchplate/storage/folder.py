"""The object store in a folder of a local file system: one file for each object.

Folders are 0700 and files 0600, but for a store that is public. A crash may leave a file whose name
begins with a dot; nothing reads it, and it may be deleted.
"""

import errno
import os
import secrets
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from touchplate.errors import SettingsError, UnavailableError
from touchplate.storage.files import save_file, sync_folder
from touchplate.storage.objects import check_key, differs

_MANY: Final = 24  # files, from which on threads pay
_AT_ONCE: Final = 16


class FolderObjects:
    """The object store below `folder`, which is made if it is not there."""

    def __init__(self, folder: Path, *, public: bool = False) -> None:
        """Make the folder; with `public` the umask says who may read what is put there."""
        self._folder = folder
        self._file_mode, self._folder_mode = (0o666, 0o777) if public else (0o600, 0o700)
        self._synced: set[Path] = {folder}  # folders whose way up to `folder` is durable
        with _translated(folder):
            folder.mkdir(mode=self._folder_mode, parents=True, exist_ok=True)
            sync_folder(folder.parent)

    def put(self, key: str, data: bytes) -> None:
        """Create the object durably, or find the same bytes there."""
        self.put_all({key: data})

    def put_all(self, objects: Mapping[str, bytes]) -> None:
        """Create the objects durably, or find the same bytes there.

        All are written before the first is synced, and many are synced at once: the file system
        then writes its journal once for several of them.
        """
        paths = [self._path(key) for key in objects]
        folders = {path.parent for path in paths}
        with _translated(self._folder), ExitStack() as temporary:
            for folder in folders:
                self._make(folder)
            written = []
            for path, data in zip(paths, objects.values(), strict=True):
                beside = path.parent / f".{path.name}.{secrets.token_hex(8)}.tmp"
                descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, self._file_mode)
                temporary.callback(beside.unlink)
                file = temporary.enter_context(os.fdopen(descriptor, "wb", buffering=0))
                if file.write(data) != len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                written.append((beside, path, data, descriptor))
            self._sync([descriptor for _, _, _, descriptor in written])
            for beside, path, data, _ in written:
                try:
                    # Unlike a rename, a link never takes the place of another process's object.
                    os.link(beside, path)
                except FileExistsError:
                    if path.read_bytes() != data:
                        raise differs(str(path.relative_to(self._folder))) from None
            # Also of what was there: who made it may have died before its name was durable.
            for folder in folders:
                sync_folder(folder)
                self._sync_parents(folder)

    def replace(self, key: str, data: bytes) -> None:
        """Create the object durably, or put other bytes in its place."""
        path = self._path(key)
        with _translated(path):
            self._make(path.parent)
            save_file(path, data, overwrite=True, mode=self._file_mode)
            self._sync_parents(path.parent)

    def get(self, key: str) -> bytes | None:
        """Give the object's bytes, or None."""
        path = self._path(key)
        with _translated(path):
            try:
                return path.read_bytes()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return None

    def _sync(self, descriptors: Sequence[int]) -> None:
        """Make the bytes of the files durable."""
        if len(descriptors) < _MANY:
            for descriptor in descriptors:
                os.fsync(descriptor)
        else:
            with ThreadPoolExecutor(_AT_ONCE, "sync") as pool:
                # Also waits for all when one fails: the files are closed after this.
                deque(pool.map(os.fsync, descriptors), maxlen=0)

    def _path(self, key: str) -> Path:
        check_key(key)
        return self._folder / key

    def _make(self, folder: Path) -> None:
        """Make a folder and those above it, each with the mode: `mkdir` gives it to the last."""
        if folder in self._synced:
            return
        for each in reversed((folder, *folder.parents)):
            if each.is_relative_to(self._folder):
                each.mkdir(mode=self._folder_mode, exist_ok=True)

    def _sync_parents(self, folder: Path) -> None:
        """Make the folder's name, and the names above it, durable, once for each process."""
        if folder in self._synced:
            return
        for each in reversed((folder, *folder.parents)):
            if each.is_relative_to(self._folder) and each not in self._synced:
                sync_folder(each.parent)
                self._synced.add(each)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SettingsError) as error:
        raise UnavailableError(
            "STORAGE_UNAVAILABLE", f"the object store failed at {path}: {error}"
        ) from error
