"""Where private keys rest, picked by URI: `file:///data/keys/ca.pem`, `pkcs11:…`, `awskms:…`.

`SCHEMES` has one backend per scheme; a new one is a module and a line here, and must pass the
contract in tests/keystore/test_contract.py. Keys are opened once, at start: a `Signer` is what the
roles get, never key material. What opens them is handed in (`Secrets`). A backend's packages are
imported when a URI names it.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from threading import Lock
from typing import Final

from touchplate.errors import SettingsError
from touchplate.keys.signer import Signer
from touchplate.keystore.backend import Backend
from touchplate.keystore.check import Probe, probe_key, probe_signer
from touchplate.keystore.file import FileKeys, parse_file_uri, read_passphrase
from touchplate.keystore.memory import MemoryKeys
from touchplate.keystore.pkcs11_uri import parse_pkcs11_uri
from touchplate.keystore.private_file import read_private
from touchplate.keystore.remote import check_signer
from touchplate.keystore.secrets import NO_SECRETS, NoSecrets, Secrets
from touchplate.keystore.uris import has_secret, scheme_of, shown_key_uri

__all__ = [
    "NO_SECRETS",
    "SCHEMES",
    "Backend",
    "FileKeys",
    "MemoryKeys",
    "NoSecrets",
    "Probe",
    "Secrets",
    "check_key_uri",
    "check_signer",
    "create_signer",
    "fetch_secrets",
    "has_secret",
    "load_signer",
    "probe_signer",
    "probe_uri",
    "read_private",
    "scheme_of",
    "shown_key_uri",
]


class OnUse:
    """A backend that is made when it is first used, since it needs packages that may be missing."""

    def __init__(self, package: str, extra: str, make: Callable[[], Backend]) -> None:
        self._package = package
        self._extra = extra
        self._make = make
        self._lock = Lock()
        self._made: Backend | None = None

    def load(self, uri: str, secrets: Secrets) -> Signer:
        """Open the key."""
        return self._backend().load(uri, secrets)

    def create(self, uri: str, kind: str, secrets: Secrets) -> Signer:
        """Make the key."""
        return self._backend().create(uri, kind, secrets)

    def _backend(self) -> Backend:
        with self._lock:
            if self._made is None:
                try:
                    import_module(self._package)
                except ImportError as error:
                    raise SettingsError(
                        "SETTINGS_INVALID",
                        f"keys there need the package {self._package}",
                        hint=f"pip install 'touchplate[{self._extra}]'",
                    ) from error
                self._made = self._make()
            return self._made


def _pkcs11() -> Backend:
    from touchplate.keystore.pkcs11 import Pkcs11Keys

    return Pkcs11Keys()


def _aws() -> Backend:
    from touchplate.keystore.awskms import AwsKeys

    return AwsKeys()


def _library(scheme: str) -> Callable[[], Backend]:
    def make() -> Backend:
        from touchplate.keystore.library import SERVICES, LibraryKeys

        return LibraryKeys(SERVICES[scheme])

    return make


SCHEMES: Final[Mapping[str, Backend]] = {
    "file": FileKeys(),
    "pkcs11": OnUse("pkcs11", "pkcs11", _pkcs11),
    "awskms": OnUse("boto3", "aws", _aws),
    "gcpkms": OnUse("google.cloud.kms", "gcp", _library("gcpkms")),
    "azurekms": OnUse("azure.keyvault.keys", "azure", _library("azurekms")),
    "hashivault": OnUse("hvac", "vault", _library("hashivault")),
}


def load_signer(
    uri: str, *, secrets: Secrets = NO_SECRETS, schemes: Mapping[str, Backend] = SCHEMES
) -> Signer:
    """Open the key at `uri`.

    Raises SettingsError (KEY_NOT_FOUND, DATA_FOLDER_UNSAFE, SETTINGS_INVALID), RefusedError
    SERVICE_REFUSED, UnavailableError SERVICE_UNAVAILABLE; none of them shows a secret.
    """
    return _backend(uri, schemes).load(uri, secrets)


def create_signer(
    uri: str,
    kind: str = "ecdsa-p256",
    *,
    secrets: Secrets = NO_SECRETS,
    schemes: Mapping[str, Backend] = SCHEMES,
) -> Signer:
    """Make a key of `kind` at `uri`, durable before this returns.

    One that is there is never replaced. Raises RefusedError FILE_EXISTS, and as `load_signer`.
    """
    return _backend(uri, schemes).create(uri, kind, secrets)


def probe_uri(
    uri: str, *, secrets: Secrets = NO_SECRETS, schemes: Mapping[str, Backend] = SCHEMES
) -> Probe:
    """Try the key at `uri`; SETTINGS_INVALID for a URI that names no backend."""
    return probe_key(_backend(uri, schemes), uri, secrets)


def fetch_secrets(uri: str, secrets: Secrets) -> None:
    """Fetch what opens the key at `uri`, so that a person is asked now and not later."""
    if scheme_of(uri) == "file":
        read_passphrase(*parse_file_uri(uri), secrets)
    elif scheme_of(uri) == "pkcs11":
        parsed = parse_pkcs11_uri(uri)
        if parsed.pin_source is not None:
            secrets.fetch(parsed.pin_source, parsed.pin_name)


def check_key_uri(uri: str) -> None:
    """Refuse a URI that names no backend (SETTINGS_INVALID)."""
    _backend(uri, SCHEMES)


def _backend(uri: str, schemes: Mapping[str, Backend]) -> Backend:
    scheme = scheme_of(uri)
    if scheme not in schemes:
        known = ", ".join(sorted(schemes))
        raise SettingsError(
            "SETTINGS_INVALID",
            f"key URI {shown_key_uri(uri)[:100]!r}",
            expected=f"a scheme of: {known}",
        )
    return schemes[scheme]
