"""What every test may ask for: the real bundles of the conformance suite, and real servers."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.servers.fixtures import (
    hsm_socket,
    new_postgres,
    new_s3,
    new_token,
    own_hsm,
    own_kms,
    own_postgres,
    own_s3,
    shared_kms,
    shared_servers,
    softhsm_folder,
)

__all__ = [
    "hsm_socket",
    "new_postgres",
    "new_s3",
    "new_token",
    "own_hsm",
    "own_kms",
    "own_postgres",
    "own_s3",
    "shared_kms",
    "shared_servers",
    "softhsm_folder",
]

REPOSITORY = Path(__file__).resolve().parent.parent

settings.register_profile("touchplate", deadline=None, print_blob=True)
settings.register_profile("fast", parent=settings.get_profile("touchplate"), max_examples=25)
settings.load_profile("touchplate")


@pytest.fixture(scope="session")
def conformance() -> Path:
    """Give the folder of the sigstore-conformance assets, or skip: they are not ours to copy."""
    named = os.environ.get("TOUCHPLATE_CONFORMANCE")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "conformance"
    if named and not folder.is_dir():
        pytest.fail(f"TOUCHPLATE_CONFORMANCE names {folder}, which is no folder", pytrace=False)
    if not folder.is_dir():
        pytest.skip(f"no conformance assets at {folder} (set TOUCHPLATE_CONFORMANCE)")
    return folder
