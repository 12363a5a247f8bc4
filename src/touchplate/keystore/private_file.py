"""A file that only its owner can read, and that appears whole or not at all.

It is written under another name, made durable, and then linked to its own, which fails if something
is there already. The same steps are in `storage.files`: the two rooms stand side by side, and those
below them touch no file.
"""

import os
import stat
from pathlib import Path
from secrets import token_hex

from touchplate.errors import SettingsError


def read_private(path: Path, max_bytes: int, missing: str = "KEY_NOT_FOUND") -> bytes:
    """Read a file of at most `max_bytes` that nobody else can touch (DATA_FOLDER_UNSAFE).

    `missing` is the error code for one that is not there, is no file or is longer.
    """
    try:
        # Not blocking: a pipe in the file's place would wait for a writer, perhaps for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "this is no path"
        raise SettingsError(missing, f"{path}: {reason}") from error
    try:
        # Asked of the open file, not of its name: the name may point elsewhere a moment later.
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise SettingsError(missing, f"{path} is not a file")
        if status.st_mode & 0o077 or status.st_uid not in (os.geteuid(), 0):
            raise SettingsError(
                "DATA_FOLDER_UNSAFE",
                f"{path} is open to other users",
                expected="mode 0600, owned by the user of the service",
                found=f"{stat.S_IMODE(status.st_mode):04o}, owner {status.st_uid}",
                hint=f"chmod 600 {path}",
            )
        with os.fdopen(os.dup(descriptor), "rb") as file:
            data = file.read(max_bytes + 1)
    finally:
        os.close(descriptor)
    if len(data) > max_bytes:
        raise SettingsError(missing, f"{path} is longer than {max_bytes} bytes")
    return data


def make_private_folder(folder: Path) -> None:
    """Make the folder if it is not there; refuse one that others can enter (DATA_FOLDER_UNSAFE)."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.stat()
    if status.st_mode & 0o077 or status.st_uid not in (os.geteuid(), 0):
        raise SettingsError(
            "DATA_FOLDER_UNSAFE",
            f"{folder} is open to other users",
            expected="mode 0700, owned by the user of the service",
            found=f"{stat.S_IMODE(status.st_mode):04o}, owner {status.st_uid}",
            hint=f"chmod 700 {folder}",
        )


def write_new(path: Path, data: bytes) -> None:
    """Make `path` with `data` in it, durable; FileExistsError if it is there."""
    temporary = path.with_name(f".{path.name}.{token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        # A crash here leaves only the hidden file; the key was given to nobody yet.
        os.link(temporary, path)
    finally:
        temporary.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
