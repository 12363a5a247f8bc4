"""What the operator of an instance does beside a running server: mint an identity token."""

from datetime import datetime, timedelta
from pathlib import Path

from touchplate.errors import SettingsError
from touchplate.oidc.issuer import DEFAULT_LIFETIME, mint_token
from touchplate.server.data import DataFolder
from touchplate.server.keys import KeyPlaces
from touchplate.server.publication import issuer_url
from touchplate.server.vault import ISSUER


def mint(
    data: Path,
    email: str,
    *,
    now: datetime,
    lifetime: timedelta = DEFAULT_LIFETIME,
    places: KeyPlaces | None = None,
) -> str:
    """Sign a token of the instance's own issuer for `email`, whom the operator vouches for.

    Needs no running server, only the data folder and what opens the issuer's key. Raises
    SettingsError (no instance there, KEY_NOT_FOUND, DATA_FOLDER_UNSAFE, a malformed address), and
    UnavailableError for a key store that does not answer.
    """
    folder = DataFolder(data, places)
    instance = folder.instance
    if instance is None or not instance.complete:
        raise SettingsError(
            "SETTINGS_INVALID",
            f"{data} holds no instance",
            hint=f"start one first: touchplate serve --data {data}",
        )
    signer = folder.load_key(ISSUER)
    return mint_token(signer, issuer_url(instance.url), email, now=now, lifetime=lifetime)
