"""One file, whole or not at all: what stands under a name is always a complete version of it."""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path

from touchplate.errors import RefusedError, SettingsError


def save_file(path: Path, data: bytes, *, overwrite: bool, mode: int = 0o666) -> None:
    """Put `data` at `path` durably; on any failure `path` is as it was and nothing else is left.

    Written beside it under a name of our own, fsynced, then renamed, then the folder is fsynced.
    `mode` is before the umask. Raises FILE_EXISTS (and not `overwrite`), FILE_UNREADABLE.
    """
    beside = path.parent / f".{path.name[:100]}.{secrets.token_hex(8)}.tmp"
    try:
        try:
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            if overwrite:
                beside.replace(path)
            else:
                _rename_new(beside, path)
        finally:
            beside.unlink(missing_ok=True)
        sync_folder(path.parent)
    except FileExistsError as error:
        raise refuse_existing(path) from error
    except OSError as error:
        raise SettingsError("FILE_UNREADABLE", f"{path}: {error.strerror}") from error


def refuse_existing(path: Path) -> RefusedError:
    """Say that the file is there already."""
    return RefusedError(
        "FILE_EXISTS", f"{path} exists", hint="remove it, or say --overwrite to replace it"
    )


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable, as fsync does for the bytes of a file."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _rename_new(beside: Path, path: Path) -> None:
    """Give the file its name unless that is taken, in one step where the file system has links."""
    try:
        os.link(beside, path)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS):
            raise
        # No hard links here: between these two lines another process may create the file.
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from error
        beside.rename(path)
