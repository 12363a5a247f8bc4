"""Minting a token beside a server, from the data folder alone."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from touchplate.errors import RefusedError, SettingsError
from touchplate.oidc.issuers import Authenticator
from touchplate.server.data import DataFolder
from touchplate.server.opening import open_deployment
from touchplate.server.operator import mint
from touchplate.server.settings import ServeSettings, StorageSettings, parse_origin
from touchplate.server.welcome import welcome

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ORIGIN = parse_origin("https://sign.example.org")
EMAIL = "maker@example.com"


def test_mint(tmp_path: Path) -> None:
    """The instance takes the token for whom it was minted, as long as it is valid."""
    with DataFolder.serve(tmp_path) as folder:
        deployment = open_deployment(
            folder, ORIGIN, follows=False, settings=ServeSettings(tmp_path), now=lambda: NOW
        )
        try:
            authenticator = Authenticator([deployment.issuer.as_issuer()])
            # While a server holds the folder.
            token = mint(tmp_path, EMAIL, now=NOW, lifetime=timedelta(minutes=5))
        finally:
            deployment.close()
    identity = authenticator.authenticate(token, NOW)
    assert (identity.issuer, identity.san.value) == ("https://sign.example.org/oidc", EMAIL)
    with pytest.raises(RefusedError):
        authenticator.authenticate(token, NOW + timedelta(minutes=6))


def test_no_instance(tmp_path: Path) -> None:
    """Without an instance there is nothing to mint with, and the error says how to make one."""
    with pytest.raises(SettingsError) as caught:
        mint(tmp_path, EMAIL, now=NOW)
    assert caught.value.hint is not None
    assert "touchplate serve --data" in caught.value.hint


def test_unsafe_folder(tmp_path: Path) -> None:
    """No token is minted with keys in a folder that others can write."""
    tmp_path.chmod(0o777)
    with pytest.raises(SettingsError) as caught:
        mint(tmp_path, EMAIL, now=NOW)
    assert caught.value.code == "DATA_FOLDER_UNSAFE"


def test_welcome(tmp_path: Path) -> None:
    """The first start explains what to do, later ones only where the service is."""
    path = tmp_path / "it's here"
    origin = parse_origin("http://sign.example.org")
    storage = StorageSettings("postgresql://me:hunter2@db/x", "s3://bucket/prefix")
    settings = ServeSettings(path, storage=storage)
    first = welcome(origin, "ab" * 32, settings, first=True)
    later = welcome(origin, "ab" * 32, settings, first=False)
    assert "database: postgresql://me:…@db/x" in later
    assert "objects: s3://bucket/prefix" in later
    assert first[: len(later)] == later
    assert later[0] == "touchplate serves at http://sign.example.org"
    assert any(line.startswith("warning: http://") for line in later)
    (minting,) = (line for line in first if "touchplate token" in line)
    # A folder's name is quoted for the shell.
    assert "'\"'\"'s here'" in minting
