"""Where private keys rest, picked by URI: `file:///data/keys/ca.pem`.

`SCHEMES` has one backend per scheme; a new one is a module and a line here, and must pass the
contract in tests/keystore/test_contract.py. Keys are loaded once, at start: a `Signer` is what the
roles get, never key material.
"""

from collections.abc import Mapping
from typing import Final

from touchplate.errors import SettingsError
from touchplate.keys.signer import Signer
from touchplate.keystore.backend import Backend
from touchplate.keystore.file import FileKeys
from touchplate.keystore.memory import MemoryKeys

__all__ = ["SCHEMES", "Backend", "FileKeys", "MemoryKeys", "create_signer", "load_signer"]

SCHEMES: Final[Mapping[str, Backend]] = {"file": FileKeys()}


def load_signer(uri: str, schemes: Mapping[str, Backend] = SCHEMES) -> Signer:
    """Open the key at `uri`. Raises SettingsError: KEY_NOT_FOUND, DATA_FOLDER_UNSAFE."""
    return _backend(uri, schemes).load(uri)


def create_signer(
    uri: str, kind: str = "ecdsa-p256", schemes: Mapping[str, Backend] = SCHEMES
) -> Signer:
    """Make a key of `kind` at `uri`, durable before this returns.

    One that is there is never replaced. Raises RefusedError FILE_EXISTS, SettingsError
    DATA_FOLDER_UNSAFE.
    """
    return _backend(uri, schemes).create(uri, kind)


def _backend(uri: str, schemes: Mapping[str, Backend]) -> Backend:
    scheme, colon, _ = uri.partition(":")
    if not colon or scheme not in schemes:
        known = ", ".join(sorted(schemes))
        raise SettingsError(
            "SETTINGS_INVALID", f"key URI {uri!r}", expected=f"a scheme of: {known}"
        )
    return schemes[scheme]
