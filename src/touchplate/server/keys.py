"""Where each key of an instance rests: the settings' table `[keys]`, else a file of the folder."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Final

from touchplate.errors import SettingsError
from touchplate.keystore import (
    NO_SECRETS,
    Secrets,
    check_key_uri,
    fetch_secrets,
    has_secret,
    read_private,
    scheme_of,
)
from touchplate.server import vault as names
from touchplate.server.reading import Kind, member
from touchplate.server.secrets import OperatorSecrets

# Trees of the log after its first rotation: `server.lineage` names them.
_LATER_TREE: Final = re.compile(r"tlog-[0-9]{1,9}(-ed25519)?")
# Keys of the authorities and of the certificate log after their first: `server.succession`.
_LATER_KEY: Final = re.compile(r"(ca|ca-root|tsa|tsa-root|ct)-[0-9]{1,9}")
MAX_URI: Final = 4096


def _read_key_uri(value: object) -> str:
    # Not shown as it is: there may be a PIN in it.
    if not isinstance(value, str) or not value:
        raise ValueError("this is no URI")
    check_key_uri(value)
    return value


def _read_named(value: object, names_: re.Pattern[str], what: str) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict):
        raise ValueError("this is no table")  # noqa: TRY004  the reader's one error
    for name in value:
        if not names_.fullmatch(name):
            raise ValueError(f"{name[:40]!r} is no name of {what}")
    return tuple((name, _read_key_uri(uri)) for name, uri in sorted(value.items()))


def _read_trees(value: object) -> tuple[tuple[str, str], ...]:
    return _read_named(value, _LATER_TREE, "a tree's key")


def _read_later(value: object) -> tuple[tuple[str, str], ...]:
    return _read_named(value, _LATER_KEY, "a later key")


KEY_URI: Final[Kind[str | None]] = Kind(
    "a key's URI: file:, pkcs11:, awskms:, gcpkms:, azurekms: or hashivault:", _read_key_uri
)
TREE_KEYS: Final = Kind('key URIs by name, such as { tlog-2 = "pkcs11:…" }', _read_trees)
LATER_KEYS: Final = Kind('key URIs by name, such as { tsa-2 = "pkcs11:…" }', _read_later)


@dataclass(frozen=True, slots=True)
class KeySettings:
    """Where keys rest; None: in the data folder, as `keys/NAME.pem`."""

    ca_root: str | None = member(KEY_URI, None)
    ca: str | None = member(KEY_URI, None)
    tsa_root: str | None = member(KEY_URI, None)
    tsa: str | None = member(KEY_URI, None)
    tlog: str | None = member(KEY_URI, None)
    tlog_ed25519: str | None = member(KEY_URI, None)
    ct: str | None = member(KEY_URI, None)
    issuer: str | None = member(KEY_URI, None)
    tuf_root: str | None = member(KEY_URI, None)
    tuf_targets: str | None = member(KEY_URI, None)
    tuf_snapshot: str | None = member(KEY_URI, None)
    tuf_timestamp: str | None = member(KEY_URI, None)
    # Of the log's trees after the first.
    trees: tuple[tuple[str, str], ...] = member(TREE_KEYS, ())
    # Of the authorities and the certificate log after their first rotation.
    later: tuple[tuple[str, str], ...] = member(LATER_KEYS, ())

    def uris(self) -> dict[str, str]:
        """Give the URI of each key that rests elsewhere, by the key's name."""
        found = {**dict(self.trees), **dict(self.later)}
        for each in fields(self):
            uri = getattr(self, each.name)
            if each.name not in ("trees", "later") and uri is not None:
                found[each.name.replace("_", "-")] = uri
        return found

    def hold_secret(self) -> bool:
        """Say whether there is a PIN in one of the URIs."""
        return any(map(has_secret, self.uris().values()))


# What a key's kind may be, if not the one in `vault.KINDS`: a chain says itself what signed it.
_FREE: Final = frozenset({names.CA_ROOT, names.CA, names.TSA_ROOT, names.TSA})


def is_free(name: str) -> bool:
    """Say whether the key may be of another kind than the one it would be made of."""
    base = name.rpartition("-")[0] if _LATER_KEY.fullmatch(name) else name
    return base in _FREE


@dataclass(frozen=True, slots=True)
class KeyPlaces:
    """Where the keys of one instance rest, and what opens them."""

    uris: Mapping[str, str] = field(default_factory=dict)
    secrets: Secrets = NO_SECRETS

    @classmethod
    def of(cls, settings: KeySettings, environ: Mapping[str, str]) -> "KeyPlaces":
        """Give what the settings say; secrets are in files, the environment, or asked for."""
        return cls(settings.uris(), OperatorSecrets(environ))

    def uri(self, folder: Path, name: str) -> str:
        """Give the URI of the key `name` of the instance in `folder` (SETTINGS_INVALID)."""
        if name in self.uris:
            return self.uris[name]
        if (noted := read_noted(folder, name)) is not None:
            return noted
        if _LATER_KEY.fullmatch(name):
            first = name.rpartition("-")[0]
            if scheme_of(self.uris.get(first, "file:")) != "file":
                raise SettingsError(
                    "SETTINGS_INVALID",
                    f"nothing says where the key {name} is to rest, and the first one is not in a "
                    "file",
                    hint=f"name it with --key URI, or in the settings: [keys] later = {{ {name} = "
                    '"…" }',
                )
        if found := _LATER_TREE.fullmatch(name):
            first = names.TLOG + (found[1] or "")
            # Whoever keeps the log's key in an HSM does not mean the next one to be in a file.
            if scheme_of(self.uris.get(first, "file:")) != "file":
                raise SettingsError(
                    "SETTINGS_INVALID",
                    f"nothing says where the key {name} is to rest, and that of the first tree is "
                    "not in a file",
                    hint=f'add it to the settings: [keys] trees = {{ {name} = "…" }}',
                )
        return (folder / "keys" / f"{name}.pem").as_uri()

    def ask(self, folder: Path) -> None:
        """Ask a person for what they alone know, before anything starts."""
        found = (read_noted(folder, path.stem) for path in sorted((folder / "keys").glob("*.uri")))
        for uri in (*self.uris.values(), *filter(None, found)):
            fetch_secrets(uri, self.secrets)


def noted_path(folder: Path, name: str) -> Path:
    """Give the file that says where a key rests which was given to a rotation."""
    return folder / "keys" / f"{name}.uri"


def read_noted(folder: Path, name: str) -> str | None:
    """Read where a key rests that was given to a rotation (SETTINGS_INVALID, FILE_UNREADABLE)."""
    path = noted_path(folder, name)
    if not path.exists():
        return None
    uri = read_private(path, MAX_URI, missing="FILE_UNREADABLE").decode("utf-8", "replace").strip()
    check_key_uri(uri)
    return uri
