"""What a key backend does; see the contract test for what must hold of each."""

from typing import Protocol

from touchplate.keys.signer import Signer


class Backend(Protocol):
    """Keeps private keys under URIs of one scheme. Calls may come from any thread."""

    def load(self, uri: str) -> Signer:
        """Open the key; SettingsError KEY_NOT_FOUND if it is missing or unreadable."""

    def create(self, uri: str, kind: str) -> Signer:
        """Make a key, durable before this returns; RefusedError FILE_EXISTS if there is one."""
