"""What opens a key that is locked: passphrases, PINs, credentials; who loads a key hands them in.

This room reads no environment and asks nobody: `server.secrets` does, for the instance's operator.
"""

from typing import Protocol

from touchplate.errors import SettingsError


class Secrets(Protocol):
    """Gives secrets by where they rest. Calls may come from any thread."""

    def fetch(self, source: str, what: str) -> str:
        """Give the secret at `source`: `file:/PATH`, `env:NAME` or `prompt`.

        `what` tells a person what it is for. Raises SettingsError, which never shows a secret.
        """

    def find(self, name: str) -> str | None:
        """Give an environment variable, such as a cloud's credentials."""


class NoSecrets:
    """Gives nothing: for keys that are not locked."""

    def fetch(self, source: str, what: str) -> str:
        """Refuse."""
        raise SettingsError("SETTINGS_INVALID", f"{what} is not given here: {source[:100]!r}")

    def find(self, name: str) -> str | None:
        """Give nothing."""


NO_SECRETS = NoSecrets()
