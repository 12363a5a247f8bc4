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
    scheme_of,
)
from touchplate.server import vault as names
from touchplate.server.reading import Kind, member
from touchplate.server.secrets import OperatorSecrets

# Trees of the log after its first rotation: `server.lineage` names them.
_LATER_TREE: Final = re.compile(r"tlog-[0-9]{1,9}(-ed25519)?")


def _read_key_uri(value: object) -> str:
    # Not shown as it is: there may be a PIN in it.
    if not isinstance(value, str) or not value:
        raise ValueError("this is no URI")
    check_key_uri(value)
    return value


def _read_trees(value: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict):
        raise ValueError("this is no table")  # noqa: TRY004  the reader's one error
    for name in value:
        if not _LATER_TREE.fullmatch(name):
            raise ValueError(f"{name[:40]!r} is no name of a tree's key")
    return tuple((name, _read_key_uri(uri)) for name, uri in sorted(value.items()))


KEY_URI: Final[Kind[str | None]] = Kind(
    "a key's URI: file:, pkcs11:, awskms:, gcpkms:, azurekms: or hashivault:", _read_key_uri
)
TREE_KEYS: Final = Kind('key URIs by name, such as { tlog-2 = "pkcs11:…" }', _read_trees)


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

    def uris(self) -> dict[str, str]:
        """Give the URI of each key that rests elsewhere, by the key's name."""
        found = dict(self.trees)
        for each in fields(self):
            uri = getattr(self, each.name)
            if each.name != "trees" and uri is not None:
                found[each.name.replace("_", "-")] = uri
        return found

    def hold_secret(self) -> bool:
        """Say whether there is a PIN in one of the URIs."""
        return any(map(has_secret, self.uris().values()))


# What a key's kind may be, if not the one in `vault.KINDS`: a chain says itself what signed it.
FREE_KINDS: Final = frozenset({names.CA_ROOT, names.CA, names.TSA_ROOT, names.TSA})


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

    def ask(self) -> None:
        """Ask a person for what they alone know, before anything starts."""
        for uri in self.uris.values():
            fetch_secrets(uri, self.secrets)
