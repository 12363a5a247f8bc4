"""The locks of a data folder. The kernel lets each go when its process ends, however it ends."""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from touchplate.errors import SettingsError


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Be the only server on the folder (SETTINGS_INVALID)."""

    def refuse(descriptor: int) -> SettingsError:
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
        return SettingsError(
            "SETTINGS_INVALID",
            f"another server runs on {path} (process {holder})",
            hint="stop it first, or give another folder",
        )

    with _held(path / "lock", refuse) as descriptor:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield


@contextlib.contextmanager
def upkeep(path: Path, what: str) -> Iterator[None]:
    """Be the only one that rotates keys or the log, or makes a backup (SETTINGS_INVALID)."""

    def refuse(_: int) -> SettingsError:
        return SettingsError(
            "SETTINGS_INVALID",
            f"{what}: a rotation or a backup of {path} is under way",
            hint="wait for it to end",
        )

    with _held(path / "upkeep.lock", refuse):
        yield


@contextlib.contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Hold the lock under which `instance.json` is written; wait for it."""
    with _held(path / "instance.lock"):
        yield


@contextlib.contextmanager
def _held(path: Path, refuse: Callable[[int], SettingsError] | None = None) -> Iterator[int]:
    """Hold the lock of a file, and give it open; wait for it unless `refuse` says what to raise.

    Raises FILE_UNREADABLE for a file that cannot be opened or made.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SettingsError("FILE_UNREADABLE", f"{path}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (fcntl.LOCK_NB if refuse else 0))
        except OSError as error:
            if refuse is None:
                raise
            raise refuse(descriptor) from error
        yield descriptor
    finally:
        os.close(descriptor)
