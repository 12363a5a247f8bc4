"""A disk below SQLite and the object folder that fails when told to, and that can lose power.

It sits under the real code: SQLite writes through a VFS of ours, and `os.open`, `os.fsync` and
`os.link` of the process go through this. What was not synced is not promised: `PowerCut.restore`
makes the folder as it might be found afterwards, where of the bytes and names since the last sync
some are there, some are not, and one write is torn.
"""

import os
import random
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import NamedTuple

import apsw
import pytest

_SECTOR = 512  # bytes that a disk writes whole or not at all


class Write(NamedTuple):
    """A change of a database file; without data it is a truncation at the offset."""

    offset: int
    data: bytes | None


class PowerCut(NamedTuple):
    """What was on the disk at one moment, by path below its folder."""

    synced: dict[str, bytes]  # database files: their bytes when they were synced last
    pending: dict[str, tuple[Write, ...]]  # and what was written since
    files: dict[str, bytes]  # other files, by the names that were there
    whole: frozenset[str]  # those whose bytes were synced, whatever becomes of the name
    durable: dict[str, bytes | None]  # those whose name is durable, with the bytes that are
    answered: int  # how many receipts had been given

    def restore(self, folder: Path, chance: random.Random) -> None:
        """Make the folder as it may be found."""
        for name, data in self.synced.items():
            pending = list(self.pending[name])
            # A prefix, then some of the rest in another order, the last of them torn.
            kept = pending[: chance.randint(0, len(pending))]
            rest = pending[len(kept) :]
            kept += chance.sample(rest, chance.randint(0, len(rest)))
            content = bytearray(data)
            for place, write in enumerate(kept):
                _apply(content, write, chance if place + 1 == len(kept) else None)
            _put(folder / name, bytes(content))
        for name, data in self.files.items():
            torn = data[: chance.randint(0, len(data))]
            newest = data if name in self.whole else torn
            # A name that is not durable yet may be gone, or still be that of the file before.
            before = self.durable.get(name)
            must = name in self.durable and before is None
            found = newest if must or chance.random() < 0.5 else before
            if found is not None:
                _put(folder / name, found)


class Disk:
    """One disk; use it as a context, in a test's own process."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.fails: Callable[[str, str], bool] = lambda _operation, _path: False
        self.syncs = 0
        self.at_sync: Callable[[int], None] = lambda _count: None
        self._patch = patch
        self._lock = RLock()
        self._synced: dict[str, bytes] = {}
        self._pending: dict[str, list[Write]] = {}
        self._bytes: dict[int, bytes] = {}  # by inode, of files that were synced
        self._names: dict[str, bytes | None] = {}  # that are durable, with the bytes that are
        self._real = (os.open, os.fsync, os.link)

    @contextmanager
    def mounted(self) -> Iterator[None]:
        """Have all of this process write through the disk."""
        vfs = _VFS(self)
        before = apsw.vfs_names()[0]
        apsw.set_default_vfs(vfs.name)
        with self._patch.context() as patch:
            patch.setattr(os, "open", self._open)
            patch.setattr(os, "fsync", self._fsync)
            patch.setattr(os, "link", self._link)
            try:
                yield
            finally:
                apsw.set_default_vfs(before)
                vfs.unregister()

    def cut(self, answered: int) -> PowerCut:
        """Give what is on the disk now."""
        with self._lock:
            files = {}
            whole = set()
            for path in self.folder.rglob("*"):
                name = str(path.relative_to(self.folder))
                if path.is_file() and not path.name.startswith((".", "log.db-", "log.db")):
                    with path.open("rb") as file:  # which may be replaced meanwhile
                        files[name], inode = file.read(), os.fstat(file.fileno()).st_ino
                    # Compared, for the inode of a file that is gone may be another's now.
                    if self._bytes.get(inode) == files[name]:
                        whole.add(name)
            pending = {name: tuple(writes) for name, writes in self._pending.items()}
            return PowerCut(
                dict(self._synced), pending, files, frozenset(whole), dict(self._names), answered
            )

    def wrote(self, path: str, write: Write) -> None:
        """Take note of a write to a database file."""
        with self._lock:
            name = self._name(path)
            self._synced.setdefault(name, b"")
            self._pending.setdefault(name, []).append(write)

    def deleted(self, path: str) -> None:
        """Forget a database file."""
        with self._lock:
            self._synced.pop(self._name(path), None)
            self._pending.pop(self._name(path), None)

    def sync(self, path: str) -> None:
        """Make a database file durable."""
        self._count()
        with self._lock:
            name = self._name(path)
            content = bytearray(self._synced.get(name, b""))
            for write in self._pending.get(name, ()):
                _apply(content, write, None)
            self._synced[name], self._pending[name] = bytes(content), []

    def check(self, operation: str, path: str) -> None:
        """Fail if it is time to."""
        if self.fails(operation, path):
            raise OSError(28, "No space left on device")

    def _count(self) -> None:
        with self._lock:
            self.syncs += 1
            count = self.syncs
        self.at_sync(count)

    def _name(self, path: str) -> str:
        return os.path.relpath(path, self.folder)

    def _open(
        self, path: str | Path, flags: int, mode: int = 0o777, *, dir_fd: int | None = None
    ) -> int:
        if flags & os.O_CREAT:
            self.check("open", str(path))
        return self._real[0](path, flags, mode, dir_fd=dir_fd)

    def _link(self, source: str | Path, target: str | Path) -> None:
        self.check("link", str(target))
        self._real[2](source, target)

    def _fsync(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        self.check("fsync", str(path))
        self._count()
        self._real[1](descriptor)
        if not path.is_relative_to(self.folder):
            return
        with self._lock:
            status = os.fstat(descriptor)
            if stat.S_ISDIR(status.st_mode):
                below = f"{self._name(str(path))}/"
                for name in [each for each in self._names if f"{Path(each).parent}/" == below]:
                    del self._names[name]
                for each in path.iterdir():
                    if each.is_file() and not each.name.startswith((".", "log.db")):
                        self._names[self._name(str(each))] = self._bytes.get(each.stat().st_ino)
            else:
                data = Path(f"/proc/self/fd/{descriptor}").read_bytes()
                self._bytes[status.st_ino] = data
                if self._name(str(path)) in self._names:
                    self._names[self._name(str(path))] = data


class _VFS(apsw.VFS):
    def __init__(self, disk: Disk) -> None:
        self.name = f"faulty-{id(disk)}"
        self._disk = disk
        super().__init__(self.name, base="unix")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's name
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        return _File(self._disk, path or "", name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 - SQLite's
        super().xDelete(filename, syncdir)
        self._disk.deleted(filename)


class _File(apsw.VFSFile):
    def __init__(
        self, disk: Disk, path: str, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> None:
        self._disk = disk
        self._path = path
        super().__init__("unix", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        if self._disk.fails("write", self._path):
            raise apsw.FullError
        super().xWrite(data, offset)
        self._disk.wrote(self._path, Write(offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - SQLite's name
        super().xTruncate(newsize)
        self._disk.wrote(self._path, Write(newsize, None))

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        if self._disk.fails("sync", self._path):
            raise apsw.IOError
        super().xSync(flags)
        self._disk.sync(self._path)


def _apply(content: bytearray, write: Write, chance: random.Random | None) -> None:
    """Write, all of it, or with a chance only some sectors from its beginning."""
    if write.data is None:
        del content[write.offset :]
        return
    data = write.data
    if chance is not None:
        data = data[: chance.randint(0, len(data) // _SECTOR) * _SECTOR]
    if len(content) < write.offset:
        content.extend(bytes(write.offset - len(content)))
    content[write.offset : write.offset + len(data)] = data


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
