"""What a key backend does; see the contract test for what must hold of each."""

from typing import Protocol

from touchplate.keys.signer import Signer
from touchplate.keystore.secrets import Secrets


class Backend(Protocol):
    """Keeps private keys under URIs of one scheme. Calls may come from any thread."""

    def load(self, uri: str, secrets: Secrets) -> Signer:
        """Open the key.

        Raises SettingsError (KEY_NOT_FOUND: there is none, or none that can be used),
        RefusedError SERVICE_REFUSED (we may not), UnavailableError (not now).
        """

    def create(self, uri: str, kind: str, secrets: Secrets) -> Signer:
        """Make a key, durable before this returns; RefusedError FILE_EXISTS if there is one.

        A backend that makes no keys raises SettingsError, and says how one is made there.
        """
