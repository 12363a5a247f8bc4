"""The operator's secrets: passphrases and PINs from files, the environment, or a person.

What a person typed is kept for as long as the process and its children live: workers that are
started again must not wait for somebody at a terminal.
"""

import getpass
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote

from touchplate.errors import SettingsError
from touchplate.keystore import read_private

MAX_SECRET: Final = 4096
_FORMS: Final = "file:/PATH, env:NAME or prompt"


def ask_person(what: str) -> str:
    """Ask at the terminal, without showing what is typed (SETTINGS_INVALID: there is none)."""
    try:
        return getpass.getpass(f"{what}: ")
    except (EOFError, OSError) as error:
        raise SettingsError(
            "SETTINGS_INVALID",
            f"nobody is there to be asked for {what}",
            hint="name a file or a variable in place of the prompt",
        ) from error


class OperatorSecrets:
    """Gives what the sources name; a person is asked once for each key."""

    def __init__(
        self,
        environ: Mapping[str, str] = MappingProxyType({}),
        ask: Callable[[str], str] = ask_person,
    ) -> None:
        self._environ = environ
        self._ask = ask
        self._lock = Lock()
        self._said: dict[str, str] = {}

    def __repr__(self) -> str:
        """Show nothing."""
        return "OperatorSecrets()"

    def fetch(self, source: str, what: str) -> str:
        """Give a secret; a line break at the end of a file is not part of it."""
        kind, _, rest = source.partition(":")
        if source == "prompt":
            with self._lock:
                if what not in self._said:
                    self._said[what] = self._ask(what)
                return self._said[what]
        if kind == "env" and rest:
            if not (found := self._environ.get(rest)):
                raise SettingsError(
                    "SETTINGS_INVALID", f"{what}: the variable {rest[:100]} is not set"
                )
            return found
        if kind == "file" or source.startswith("/"):
            return _read(unquote(rest).removeprefix("//") if kind == "file" else source, what)
        raise SettingsError("SETTINGS_INVALID", f"{what}: unknown source", expected=_FORMS)

    def find(self, name: str) -> str | None:
        """Give an environment variable."""
        return self._environ.get(name) or None


def _read(text: str, what: str) -> str:
    path = Path(text)
    if not path.is_absolute():
        raise SettingsError("SETTINGS_INVALID", f"{what}: file:{text} is no absolute path")
    data = read_private(path, MAX_SECRET, missing="FILE_UNREADABLE")
    try:
        secret = data.decode()
    except UnicodeDecodeError as error:
        raise SettingsError("SETTINGS_INVALID", f"{what}: {path} is no UTF-8 text") from error
    secret = secret.removesuffix("\n").removesuffix("\r")
    if not secret:
        raise SettingsError("SETTINGS_INVALID", f"{what}: {path} is empty")
    return secret
