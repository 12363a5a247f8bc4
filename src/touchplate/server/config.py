"""The settings file: DATA/touchplate.toml, or the one that `--config` names.

It may hold the passwords of a database, and whoever can change it can point the service elsewhere:
so it is as private as the data folder.
"""

import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from touchplate.errors import SettingsError
from touchplate.server.reading import Source, read_table
from touchplate.server.settings import ServeSettings, data_folder
from touchplate.server.uris import is_secret

FILE_NAME: Final = "touchplate.toml"
MAX_FILE: Final = 1024 * 1024


def load_settings(
    environ: Mapping[str, str], *, data: str | None = None, config: str | None = None
) -> ServeSettings:
    """Read the settings of an instance from its file; all defaults if there is none.

    `settings.make_settings` puts environment and command line over them. Raises FILE_UNREADABLE (a
    file that was named is not there), DATA_FOLDER_UNSAFE (others can write it, or read a password
    in it), SETTINGS_INVALID.
    """
    folder = data_folder(environ, data)
    named = config or environ.get("TOUCHPLATE_CONFIG")
    path = Path(named).absolute() if named else folder / FILE_NAME
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            content = file.read(MAX_FILE + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        if named:
            raise SettingsError("FILE_UNREADABLE", f"there is no file {path}") from error
        return ServeSettings(folder)
    except OSError as error:
        raise SettingsError("FILE_UNREADABLE", f"{path}: {error.strerror}") from error
    check_owner(path, status)
    settings = parse_settings(content, path, folder)
    storage = settings.storage
    is_private = any(map(is_secret, (storage.database, storage.objects)))
    if status.st_mode & 0o044 and (is_private or settings.keys.hold_secret()):
        raise SettingsError(
            "DATA_FOLDER_UNSAFE",
            f"other users can read {path}, and there is a password in it",
            expected="mode 0600",
            found=f"{stat.S_IMODE(status.st_mode):04o}",
            hint=f"chmod 600 {path}, and change the password: others may know it",
        )
    return settings


def parse_settings(content: bytes, path: Path, data: Path) -> ServeSettings:
    """Read the text of a settings file (SETTINGS_INVALID)."""
    if len(content) > MAX_FILE:
        raise SettingsError("SETTINGS_INVALID", f"{path} is longer than {MAX_FILE} bytes")
    try:
        text = content.decode()
        values = tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError("SETTINGS_INVALID", f"{path} is no TOML: {error}") from error
    return read_table(ServeSettings, values, Source(path, text), data=data)


def check_owner(path: Path, status: os.stat_result) -> None:
    """Refuse a file that somebody else can change, or could exchange for another."""
    try:
        parent = path.resolve(strict=True).parent.stat()
    except OSError as error:
        raise SettingsError("FILE_UNREADABLE", f"{path}: {error.strerror}") from error
    if status.st_mode & 0o022 or status.st_uid not in (os.geteuid(), 0):
        raise SettingsError(
            "DATA_FOLDER_UNSAFE",
            f"other users can write to {path}",
            expected="mode 0600, owned by the user of the service",
            found=f"{stat.S_IMODE(status.st_mode):04o}, owner {status.st_uid}",
            hint=f"chmod 600 {path}, after you made sure that nothing in it was changed",
        )
    if parent.st_mode & 0o022 and not parent.st_mode & stat.S_ISVTX:
        raise SettingsError(
            "DATA_FOLDER_UNSAFE",
            f"other users can exchange {path}: they can write to its folder",
            hint=f"chmod go-w {path.resolve().parent}",
        )
