"""Which keys an instance has, of what kind, and where they rest; no key store is asked."""

from collections.abc import Mapping
from dataclasses import dataclass

from touchplate.errors import SettingsError
from touchplate.keystore import shown_key_uri
from touchplate.server.data import DataFolder
from touchplate.server.keys import KeyPlaces
from touchplate.server.settings import ServeSettings


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One key. Kind and id are empty for one that has not been opened yet."""

    name: str
    kind: str
    # SHA-256 of the public key's DER, hex.
    key_id: str
    # Without secrets.
    uri: str


def list_keys(settings: ServeSettings, environ: Mapping[str, str]) -> tuple[KeyRow, ...]:
    """List the keys of the instance, by name (SettingsError: there is none)."""
    places = KeyPlaces.of(settings.keys, environ)
    folder = DataFolder(settings.data, places)
    if folder.instance is None:
        raise SettingsError(
            "SETTINGS_INVALID",
            f"{settings.data} holds no instance",
            hint=f"start one first: touchplate serve --data {settings.data}",
        )
    names = {path.stem for path in (folder.path / "keys").glob("[a-z]*.p[eu][mb]")}
    rows = []
    for name in sorted(names | set(places.uris)):
        public = folder.find_public_key(name)
        rows.append(
            KeyRow(
                name,
                public.kind if public else "",
                public.key_id.hex() if public else "",
                shown_key_uri(places.uri(folder.path, name)),
            )
        )
    return tuple(rows)
