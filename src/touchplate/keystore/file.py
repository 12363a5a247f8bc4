"""Private keys in files: PKCS#8 PEM without passphrase, 0600 in a folder of 0700.

The file appears whole or not at all: it is written under another name, made durable, and then
linked to its own, which fails if something is there already.
"""

import os
import stat
from pathlib import Path
from secrets import token_hex
from typing import Final
from urllib.parse import unquote, urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from touchplate.errors import RefusedError, SettingsError, TouchplateError
from touchplate.keys.signer import PrivateKeySigner, Signer, generate

MAX_KEY_FILE: Final = 64 * 1024


class FileKeys:
    """Keys under `file:///absolute/path.pem`."""

    def load(self, uri: str) -> Signer:
        """Read a key that only its owner can read; another is refused (DATA_FOLDER_UNSAFE)."""
        path = _path(uri)
        pem = _read_private(path)
        try:
            return PrivateKeySigner(load_pem_private_key(pem, password=None))
        except (ValueError, TypeError, UnsupportedAlgorithm, TouchplateError) as error:
            # The library's text may quote the file; the path is enough to act on.
            raise SettingsError(
                "KEY_NOT_FOUND", f"{path} holds no private key that can be used", hint="PKCS#8 PEM"
            ) from error

    def create(self, uri: str, kind: str) -> Signer:
        """Make a key of `kind`; the folder is made too if it is not there."""
        path = _path(uri)
        signer = generate(kind)
        pem = signer.crypto.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        try:
            _make_folder(path.parent)
            _write_new(path, pem)
        except FileExistsError as error:
            raise RefusedError("FILE_EXISTS", f"{path} exists and is not replaced") from error
        except OSError as error:
            raise SettingsError("FILE_UNREADABLE", f"{path}: {error.strerror}") from error
        return signer


def _path(uri: str) -> Path:
    parts = urlsplit(uri)
    path = Path(unquote(parts.path))
    if parts.netloc not in ("", "localhost") or not path.is_absolute() or parts.query:
        raise SettingsError(
            "SETTINGS_INVALID", f"key URI {uri!r}", expected="file:///absolute/path"
        )
    return path


def _make_folder(folder: Path) -> None:
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


def _read_private(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise SettingsError("KEY_NOT_FOUND", f"{path}: {error.strerror}") from error
    try:
        # Asked of the open file, not of its name: the name may point elsewhere a moment later.
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise SettingsError("KEY_NOT_FOUND", f"{path} is not a file")
        if status.st_mode & 0o077 or status.st_uid not in (os.geteuid(), 0):
            raise SettingsError(
                "DATA_FOLDER_UNSAFE",
                f"{path} is open to other users",
                expected="mode 0600, owned by the user of the service",
                found=f"{stat.S_IMODE(status.st_mode):04o}, owner {status.st_uid}",
                hint=f"chmod 600 {path}",
            )
        return os.read(descriptor, MAX_KEY_FILE)
    finally:
        os.close(descriptor)


def _write_new(path: Path, data: bytes) -> None:
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
