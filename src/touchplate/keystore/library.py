"""Private keys in other clouds' key services and in HashiCorp Vault, through securesystemslib.

    gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/V
    azurekms://VAULT/KEY            the newest version; /VERSION must be that one
    hashivault://KEY                Ed25519 keys of the transit engine

None of these services is met by our tests (docs/reference/keys.md): what is tested is what stands
between the library and us. The makers' clients find credentials in their own ways, and log in with
them; what they raise has no common base.
"""

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from cryptography.hazmat.primitives.asymmetric import ed25519

from touchplate.errors import SettingsError, TouchplateError, UnavailableError, VerificationError
from touchplate.keys.public import PublicKey, from_crypto, load_public_key_pem
from touchplate.keys.signer import Signer
from touchplate.keystore.calls import RETRY_AFTER, SECONDS, Calls
from touchplate.keystore.remote import RemoteSigner
from touchplate.keystore.secrets import Secrets
from touchplate.keystore.uris import scheme_of, shown_key_uri

if TYPE_CHECKING:
    from securesystemslib.signer import Signer as LibrarySigner  # type: ignore[attr-defined]  # it is

T = TypeVar("T")

THREADS: Final = 32

# The library's signature schemes that are ours too.
_SCHEMES: Final = frozenset(
    {
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "rsa-pkcs1v15-sha256",
        "ed25519",
    }
)


class Service(NamedTuple):
    """One service: how it is called, the form of its URIs, and how a key of it is opened."""

    name: str
    # What follows the scheme, less slashes.
    form: re.Pattern[str]
    shown: str
    open: Callable[[re.Match[str]], "LibrarySigner"]
    # How a key is made there.
    how: str


def _open_gcp(found: re.Match[str]) -> "LibrarySigner":
    from securesystemslib.signer import GCPSigner  # type: ignore[attr-defined]  # it exports them

    # Upstream also writes `versions`; the service does not.
    name = f"{found['key']}/cryptoKeyVersions/{found['version']}"
    uri, public = GCPSigner.import_(name)
    return GCPSigner.from_priv_key_uri(uri, public)


def _open_azure(found: re.Match[str]) -> "LibrarySigner":
    from securesystemslib.signer import AzureSigner  # type: ignore[attr-defined]  # it exports them

    vault = found["vault"].removesuffix(".vault.azure.net")
    uri, public = AzureSigner.import_(vault, found["key"])
    if found["version"] and not uri.endswith(f"/{found['version']}"):
        raise SettingsError(
            "SETTINGS_INVALID",
            f"Azure key {found['key']!r}: only its newest version can be used",
            expected=found["version"],
            found=uri.rpartition("/")[2],
        )
    return AzureSigner.from_priv_key_uri(uri, public)


def _open_vault(found: re.Match[str]) -> "LibrarySigner":
    from securesystemslib.signer import VaultSigner  # type: ignore[attr-defined]  # it exports them

    uri, public = VaultSigner.import_(found["key"])
    return VaultSigner.from_priv_key_uri(uri, public)


_NAME: Final = "[A-Za-z0-9_.:-]{1,200}"

SERVICES: Final[Mapping[str, Service]] = {
    "gcpkms": Service(
        "Google Cloud KMS",
        re.compile(
            rf"(?P<key>projects/{_NAME}/locations/{_NAME}/keyRings/{_NAME}/cryptoKeys/{_NAME})"
            rf"/(?:cryptoKeyVersions|versions)/(?P<version>[0-9]{{1,18}})"
        ),
        "gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/V",
        _open_gcp,
        "gcloud kms keys create … --purpose asymmetric-signing",
    ),
    "azurekms": Service(
        "Azure Key Vault",
        re.compile(rf"(?P<vault>{_NAME})/(?P<key>{_NAME})(?:/(?P<version>{_NAME}))?"),
        "azurekms://VAULT/KEY",
        _open_azure,
        "az keyvault key create … --kty EC --curve P-256",
    ),
    "hashivault": Service(
        "HashiCorp Vault",
        re.compile(rf"(?P<key>{_NAME})"),
        "hashivault://KEY",
        _open_vault,
        "vault write transit/keys/NAME type=ed25519",
    ),
}


class LibraryKeys:
    """Keys of one of `SERVICES`; they are made elsewhere."""

    def __init__(self, service: Service, seconds: float = SECONDS) -> None:
        self._service = service
        self._calls = Calls(service.name, threads=THREADS, seconds=seconds)

    def load(self, uri: str, secrets: Secrets) -> Signer:  # noqa: ARG002  see the module's text
        """Fetch the public key, and open what signs."""
        found = self._service.form.fullmatch(uri.partition(":")[2].lstrip("/"))
        if found is None:
            raise SettingsError(
                "SETTINGS_INVALID",
                f"key URI {shown_key_uri(uri)[:200]!r}",
                expected=self._service.shown,
            )
        place = f"{self._service.name} key {found['key']!r}"
        opened = self._ask(place, lambda: self._service.open(found))
        public = read_public_key(opened, place)

        def sign(message: bytes) -> bytes:
            made = self._ask(place, lambda: opened.sign(message))
            return bytes.fromhex(made.signature)

        return RemoteSigner(place, public, sign, hashes_there=True)

    def create(self, uri: str, kind: str, secrets: Secrets) -> Signer:  # noqa: ARG002  none is made
        """Refuse, and say how."""
        raise SettingsError(
            "SETTINGS_INVALID",
            f"{shown_key_uri(uri)[:200]}: keys in {scheme_of(uri)} are made there, not from here",
            hint=self._service.how,
        )

    def _ask(self, place: str, call: Callable[[], T]) -> T:
        """Make a call of the library. Its errors' texts may hold tokens, and are not repeated."""

        def translated() -> T:
            from securesystemslib.exceptions import UnsupportedLibraryError

            try:
                return call()
            except TouchplateError:
                raise
            except (ImportError, UnsupportedLibraryError) as error:
                raise SettingsError(
                    "SETTINGS_INVALID", f"{place}: a package is missing ({type(error).__name__})"
                ) from error
            except Exception as error:  # three clients, and no common base of their errors
                raise UnavailableError(
                    "SERVICE_UNAVAILABLE",
                    f"{place}: the service fails ({type(error).__name__})",
                    retry_after=RETRY_AFTER,
                ) from error

        return self._calls.run(translated)


def read_public_key(signer: "LibrarySigner", place: str) -> PublicKey:
    """Give the public key of the library's signer; KEY_NOT_FOUND for one that is none of ours."""
    key = signer.public_key
    text = key.keyval.get("public", "")
    try:
        if key.scheme not in _SCHEMES:
            raise VerificationError("KEY_UNREADABLE", f"scheme {key.scheme!r} is not supported")
        if key.scheme == "ed25519":
            raw = bytes.fromhex(text)
            return from_crypto(ed25519.Ed25519PublicKey.from_public_bytes(raw))
        return load_public_key_pem(text)
    except (VerificationError, ValueError) as error:
        raise SettingsError("KEY_NOT_FOUND", f"{place} cannot be used: {error}") from error
