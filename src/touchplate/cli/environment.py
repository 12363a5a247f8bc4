"""What the command takes from the machine: the clock, the folder with our trust, input files."""

# `verify` loads this: pathlib would be a twentieth of its start.
# ruff: noqa: PTH111, PTH118, PTH123

import os
import sys
from datetime import UTC, datetime

from touchplate.errors import MalformedError, SettingsError


def now() -> datetime:
    """Give the time, in UTC."""
    return datetime.now(UTC)


def home() -> str:
    """Give the folder of our trust: TOUCHPLATE_HOME, else below XDG_DATA_HOME, else HOME."""
    if chosen := os.environ.get("TOUCHPLATE_HOME"):
        return chosen
    data = os.environ.get("XDG_DATA_HOME", "")
    # The XDG specification: a relative path there is to be ignored.
    if data.startswith("/"):
        return os.path.join(data, "touchplate")
    return os.path.expanduser("~/.local/share/touchplate")


def read_file(path: str, max_bytes: int, what: str) -> bytes:
    """Read a whole file of at most `max_bytes` (LIMIT_EXCEEDED, FILE_UNREADABLE)."""
    try:
        with open(path, "rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise unreadable(path, error, what) from error
    if len(data) > max_bytes:
        raise MalformedError("LIMIT_EXCEEDED", f"{what} {path} has more than {max_bytes} bytes")
    return data


def read_standard_input(max_bytes: int) -> bytes:
    """Read standard input to its end, at most `max_bytes` (LIMIT_EXCEEDED)."""
    data = sys.stdin.buffer.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise MalformedError("LIMIT_EXCEEDED", f"standard input has more than {max_bytes} bytes")
    return data


def unreadable(path: str, error: OSError, what: str) -> SettingsError:
    """Say that a file of the user's cannot be read, and why."""
    return SettingsError(
        "FILE_UNREADABLE",
        f"{what} {path}: {error.strerror or error}",
        hint="name the files in it" if isinstance(error, IsADirectoryError) else None,
    )
