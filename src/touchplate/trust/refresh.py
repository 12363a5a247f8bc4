"""Follow an instance's TUF repository from its pinned root to today's trusted root (trust-root §4).

The update itself is python-tuf's client; ours are the transport, the clock, the pin, the lock and
the two files that come out. Loaded on use: it imports the TUF library.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from tuf.api.exceptions import DownloadError, DownloadHTTPError, RepositoryError
from tuf.ngclient.fetcher import FetcherInterface
from tuf.ngclient.updater import Updater

from touchplate.errors import (
    SettingsError,
    TouchplateError,
    UnavailableError,
    VerificationError,
)
from touchplate.storage.files import save_file
from touchplate.transport.http import Transport
from touchplate.trust.store import (
    MAX_TARGET_BYTES,
    SIGNING_CONFIG,
    TRUSTED_ROOT,
    Instance,
    read_limited,
)

PINNED_ROOT: Final = "pinned.root.json"
MAX_ROOT_BYTES: Final = 512_000
MAX_FETCH_BYTES: Final = 5_000_000


def refresh(instance: Instance, transport: Transport, at: datetime) -> None:
    """Bring the instance's trusted root and signing config up to what its repository says `at`.

    Raises TRUST_REFUSED (not signed as the pinned root demands, expired, or older than what we
    have), SERVICE_UNAVAILABLE, FILE_UNREADABLE. On failure both files are as they were: the caller
    decides whether what is cached will do, this function never does.
    """
    folder = Path(instance.folder)
    with _only_one(folder), _errors_translated(instance):
        updater = _updater(instance, transport, at)
        updater.refresh()
        _check_distinct_keys(updater)
        # The trusted root first: a signing config never names a service that it does not yet know.
        _fetch_target(updater, folder, TRUSTED_ROOT, required=True)
        _fetch_target(updater, folder, SIGNING_CONFIG, required=False)


def check_fingerprint(root: bytes, fingerprint: str) -> None:
    """Hold the bytes of a root to be those that were pinned (TRUST_REFUSED)."""
    found = hashlib.sha256(root).hexdigest()
    if found != fingerprint:
        raise VerificationError(
            "TRUST_REFUSED",
            "the root is not the one that was pinned",
            expected=f"sha256:{fingerprint}",
            found=f"sha256:{found}",
            hint="ask the operator of the instance for the fingerprint again, by another way",
        )


def _updater(instance: Instance, transport: Transport, at: datetime) -> Updater:
    folder = Path(instance.folder)
    pinned = read_limited(str(folder / PINNED_ROOT), MAX_ROOT_BYTES)
    check_fingerprint(pinned, instance.fingerprint)
    metadata = folder / "metadata"
    metadata.mkdir(mode=0o700, exist_ok=True)
    updater = Updater(
        metadata_dir=str(metadata),
        metadata_base_url=instance.tuf_url,
        target_base_url=instance.tuf_url + "/targets",
        fetcher=_Fetcher(transport),
        bootstrap=pinned,
    )
    # The client has no parameter for its reference time, and takes it once, when it is made.
    updater._trusted_set.reference_time = at  # noqa: SLF001
    return updater


def _check_distinct_keys(updater: Updater) -> None:
    """Refuse a root in which one key counts twice towards a threshold (GHSA-3633-5h82-39pq)."""
    root = updater._trusted_set.root  # noqa: SLF001
    for name, role in root.roles.items():
        public = [_key_bytes(str(root.keys[id_].keyval.get("public"))) for id_ in role.keyids]
        if len(set(public)) != len(public):
            raise VerificationError(
                "TRUST_REFUSED", f"the root lists a key of its role {name} under two names"
            )


def _key_bytes(public: str) -> bytes:
    """Give the key itself: PEM can be spelled in many ways, hex in two."""
    try:
        key = load_pem_public_key(public.encode())
    except (ValueError, UnsupportedAlgorithm):
        return public.strip().lower().encode()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _fetch_target(updater: Updater, folder: Path, name: str, *, required: bool) -> None:
    info = updater.get_targetinfo(name)
    path = folder / "targets" / name
    if info is None:
        if required:
            raise VerificationError("TRUST_REFUSED", f"the repository publishes no {name}")
        path.unlink(missing_ok=True)
        return
    if info.length > MAX_TARGET_BYTES:
        raise VerificationError(
            "TRUST_REFUSED", f"{name} has {info.length} bytes, the limit is {MAX_TARGET_BYTES}"
        )
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if updater.find_cached_target(info, str(path)) is not None:
        return
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        # The client writes in place; ours is replaced only by a complete and verified file.
        fetched = Path(updater.download_target(info, str(Path(scratch, "target"))))
        save_file(path, fetched.read_bytes(), overwrite=True, mode=0o600)


class _Fetcher(FetcherInterface):
    """The TUF client's way out: our transport, with its limits and its rule on redirects."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def _fetch(self, url: str) -> Iterator[bytes]:
        return iter((self._get(url, MAX_FETCH_BYTES),))

    @contextmanager
    def download_file(self, url: str, max_length: int) -> Iterator[IO[bytes]]:
        """Give the file's bytes, at most `max_length` of them."""
        try:
            yield io.BytesIO(self._get(url, min(max_length, MAX_FETCH_BYTES)))
        except TouchplateError as error:
            raise DownloadError(str(error)) from error

    def _get(self, url: str, max_bytes: int) -> bytes:
        response = self._transport.request("GET", url, max_bytes=max_bytes)
        if response.status != 200:
            raise DownloadHTTPError(f"{url}: status {response.status}", response.status)
        return response.body


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Let one process at a time change the instance; the lock ends with the process."""
    try:
        with (folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise SettingsError(
            "FILE_UNREADABLE", f"{error.filename or folder}: {error.strerror or error}"
        ) from error


@contextmanager
def _errors_translated(instance: Instance) -> Iterator[None]:
    try:
        yield
    except DownloadHTTPError as error:
        raise UnavailableError(
            "SERVICE_UNAVAILABLE", f"{instance.tuf_url} answers {error.status_code}: {error}"
        ) from error
    except DownloadError as error:
        if isinstance(error.__cause__, TouchplateError):
            raise error.__cause__ from error
        raise UnavailableError("SERVICE_UNAVAILABLE", f"{instance.tuf_url}: {error}") from error
    except RepositoryError as error:
        raise VerificationError(
            "TRUST_REFUSED",
            f"the TUF repository of {instance.name!r} does not verify: {error}",
            hint="what was fetched before is untouched; if this lasts, tell the operator",
        ) from error
