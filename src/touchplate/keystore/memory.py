"""Private keys that live as long as this object, for a deployment in memory: `memory:NAME`."""

from threading import Lock

from touchplate.errors import RefusedError, SettingsError
from touchplate.keys.signer import Signer, generate
from touchplate.keystore.secrets import NO_SECRETS, Secrets


class MemoryKeys:
    """Keys in a dict; nothing is written anywhere."""

    def __init__(self) -> None:
        self._keys: dict[str, Signer] = {}
        self._lock = Lock()

    def load(self, uri: str, secrets: Secrets = NO_SECRETS) -> Signer:  # noqa: ARG002  nothing is locked
        """Give the key made under `uri` before."""
        try:
            return self._keys[uri]
        except KeyError as error:
            raise SettingsError("KEY_NOT_FOUND", f"no key {uri!r}") from error

    def create(self, uri: str, kind: str, secrets: Secrets = NO_SECRETS) -> Signer:  # noqa: ARG002  the same
        """Make a key of `kind`; one that is there stays."""
        signer = generate(kind)
        with self._lock:
            if self._keys.setdefault(uri, signer) is not signer:
                raise RefusedError("FILE_EXISTS", f"there is a key {uri!r} already")
        return signer
