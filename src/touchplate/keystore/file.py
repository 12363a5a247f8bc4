"""Private keys in files: PEM, PKCS#8, 0600 in a folder of 0700, encrypted or not.

    file:///data/keys/ca.pem
    file:///data/keys/ca.pem?passphrase=file:/run/secrets/ca     also env:NAME, prompt

Files encrypted the older way (RFC 1423) are read too. Cosign's boxes are not: their cipher is in
none of the libraries that we use.
"""

from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from touchplate.errors import RefusedError, SettingsError, TouchplateError
from touchplate.keys.signer import PrivateKeySigner, Signer, generate
from touchplate.keystore.private_file import make_private_folder, read_private, write_new
from touchplate.keystore.secrets import Secrets
from touchplate.keystore.uris import shown_key_uri

MAX_KEY_FILE: Final = 64 * 1024

_BOXES: Final = (
    b"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----",
    b"-----BEGIN ENCRYPTED COSIGN PRIVATE KEY-----",
)
_HOW: Final = "add ?passphrase=file:/PATH, ?passphrase=env:NAME or ?passphrase=prompt to its URI"


class FileKeys:
    """Keys under `file:///absolute/path.pem`."""

    def load(self, uri: str, secrets: Secrets) -> Signer:
        """Read a key that only its owner can read; another is refused (DATA_FOLDER_UNSAFE)."""
        path, source = parse_file_uri(uri)
        pem = read_private(path, MAX_KEY_FILE)
        if any(box in pem for box in _BOXES):
            raise SettingsError(
                "SETTINGS_INVALID",
                f"{path} is a key in cosign's own box (scrypt and nacl secretbox), which is not "
                "read here",
                expected="PKCS#8 PEM, encrypted or not",
                hint="write it as PKCS#8 where it was made, or make a new key",
            )
        password = read_passphrase(path, source, secrets)
        try:
            return PrivateKeySigner(_open(path, pem, password))
        except (ValueError, TypeError, UnsupportedAlgorithm, TouchplateError) as error:
            if isinstance(error, SettingsError):
                raise
            # The library's text may quote the file; the path is enough to act on.
            raise SettingsError(
                "KEY_NOT_FOUND",
                f"{path} holds no private key that can be used"
                + (" with this passphrase" if password else ""),
                hint="PKCS#8 PEM",
            ) from error

    def create(self, uri: str, kind: str, secrets: Secrets) -> Signer:
        """Make a key of `kind`; the folder is made too if it is not there."""
        path, source = parse_file_uri(uri)
        password = read_passphrase(path, source, secrets)
        lock: KeySerializationEncryption = NoEncryption()
        if password is not None:
            lock = BestAvailableEncryption(password)
        signer = generate(kind)
        pem = signer.crypto.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock)
        try:
            make_private_folder(path.parent)
            write_new(path, pem)
        except FileExistsError as error:
            raise RefusedError("FILE_EXISTS", f"{path} exists and is not replaced") from error
        except OSError as error:
            raise SettingsError("FILE_UNREADABLE", f"{path}: {error.strerror}") from error
        return signer


def _open(path: Path, pem: bytes, password: bytes | None) -> Any:  # noqa: ANN401 - any private key
    """Open the PEM; whether it is encrypted must be as its URI says."""
    try:
        return load_pem_private_key(pem, password=password)
    except TypeError as error:
        if password is None:
            raise SettingsError(
                "SETTINGS_INVALID", f"{path} is encrypted, and no passphrase is named", hint=_HOW
            ) from error
        # Who names a passphrase believes that the file is worth nothing without it.
        raise SettingsError(
            "SETTINGS_INVALID",
            f"{path} is not encrypted, though its URI names a passphrase",
            hint="encrypt it (openssl pkcs8 -topk8), or take the passphrase from the URI",
        ) from error


def read_passphrase(path: Path, source: str | None, secrets: Secrets) -> bytes | None:
    """Give the passphrase that the URI says the file has."""
    if source is None:
        return None
    passphrase = secrets.fetch(source, f"the passphrase of {path}").encode()
    if not passphrase:
        raise SettingsError("SETTINGS_INVALID", f"the passphrase of {path} is empty")
    return passphrase


def parse_file_uri(uri: str) -> tuple[Path, str | None]:
    """Give the path, and where the passphrase is."""
    parts = urlsplit(uri)
    path = Path(unquote(parts.path))
    name, equals, source = parts.query.partition("=")
    is_known = not parts.query or (name == "passphrase" and equals and source)
    if (
        parts.netloc not in ("", "localhost")
        or not path.is_absolute()
        or not is_known
        or parts.fragment
    ):
        raise SettingsError(
            "SETTINGS_INVALID",
            f"key URI {shown_key_uri(uri)!r}",
            expected="file:///absolute/path, and perhaps ?passphrase=…",
        )
    return path, unquote(source) or None
