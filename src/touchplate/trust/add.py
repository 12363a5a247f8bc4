"""Begin to trust an instance: fetch its root, hold it against the fingerprint, follow it once.

The instance is made in a scratch folder and gets its name when all of that held; an attempt that
fails leaves nothing. Loaded on use: it imports the TUF library.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Final

from touchplate.errors import MalformedError, RefusedError, SettingsError, VerificationError
from touchplate.storage.files import save_file, sync_folder
from touchplate.transport.http import Transport
from touchplate.trust.known import KNOWN
from touchplate.trust.refresh import MAX_ROOT_BYTES, PINNED_ROOT, check_fingerprint, refresh
from touchplate.trust.store import Instance, TrustStore, check_name, encode_instance, name_of

MAX_ROOT_VERSIONS: Final = 256
FINGERPRINT_HINT: Final = "ask its operator: the server prints it at each start"


def add_instance(
    store: TrustStore,
    transport: Transport,
    url: str,
    *,
    fingerprint: str | None,
    at: datetime,
    name: str | None = None,
) -> Instance:
    """Trust the instance at `url`, whose root has that SHA-256, and fetch what it publishes.

    `url` is the instance (its repository is at URL/tuf), a TUF repository, or a name in `KNOWN`,
    which needs no fingerprint. Adding the same again refreshes it. Raises TRUST_REFUSED, NOT_FOUND,
    DIGEST_MALFORMED, SETTINGS_INVALID (the name is taken) and what `refresh` raises.
    """
    bases: tuple[str, ...]
    known = KNOWN.get(url)
    if known is not None:
        url, name, bases = known.tuf_url, name or url, (known.tuf_url,)
        fingerprint = fingerprint or known.fingerprint
    else:
        url = url.rstrip("/")
        _check_url(url)
        name, bases = name or name_of(url), (url + "/tuf", url)
    if fingerprint is None:
        raise SettingsError(
            "USAGE",
            f"{url} is not known here: its root's fingerprint is needed",
            hint=FINGERPRINT_HINT,
        )
    wanted = parse_fingerprint(fingerprint)
    check_name(name)
    existing = store.find_name(name)
    if existing is not None:
        if (existing.url, existing.fingerprint) != (url, wanted):
            raise SettingsError(
                "SETTINGS_INVALID",
                f"the name {name!r} is taken by {existing.url}",
                hint=f"give another with --name, or touchplate trust remove {name}",
            )
        refresh(existing, transport, at)
        return existing
    tuf_url, root = _find_root(transport, bases, wanted)
    return _create(
        store, Instance(name, url, tuf_url, wanted, f"{store.folder}/{name}"), root, transport, at
    )


def remove_instance(store: TrustStore, name: str) -> None:
    """Forget the instance and all that was fetched from it (TRUST_UNKNOWN)."""
    instance = store.get(name)
    try:
        # Renamed first: from here on it is no instance, whatever of it is still there.
        doomed = tempfile.mkdtemp(dir=store.folder, prefix=".removed-")
        Path(instance.folder).rename(doomed)
        shutil.rmtree(doomed)
    except OSError as error:
        raise SettingsError("FILE_UNREADABLE", f"{instance.folder}: {error.strerror}") from error


def parse_fingerprint(text: str) -> str:
    """Read 64 hex digits, with or without "sha256:" and colons, as lower-case hex."""
    digits = text.strip().lower().removeprefix("sha256:").replace(":", "")
    if len(digits) != 64 or any(digit not in "0123456789abcdef" for digit in digits):
        raise MalformedError(
            "DIGEST_MALFORMED",
            f"{text[:200]!r} is not a SHA-256 fingerprint",
            expected="64 hexadecimal digits",
            found=f"{len(digits)} characters",
            hint=FINGERPRINT_HINT,
        )
    return digits


def _check_url(url: str) -> None:
    if not url.startswith(("https://", "http://")):
        raise SettingsError(
            "SETTINGS_INVALID",
            f"{url[:200]!r} is not the URL of an instance",
            expected=f"https://HOST, or a known name: {', '.join(KNOWN)}",
        )


def _find_root(transport: Transport, bases: tuple[str, ...], wanted: str) -> tuple[str, bytes]:
    """Look through BASE/1.root.json, BASE/2.root.json … for the one with the fingerprint."""
    seen: list[bytes] = []
    for base in bases:
        for version in range(1, MAX_ROOT_VERSIONS + 1):
            response = transport.request(
                "GET", f"{base}/{version}.root.json", max_bytes=MAX_ROOT_BYTES
            )
            if response.status != 200 or response.body in seen[-1:]:
                break
            if hashlib.sha256(response.body).hexdigest() == wanted:
                return base, response.body
            seen.append(response.body)
        if seen:
            break
    if not seen:
        raise RefusedError(
            "NOT_FOUND",
            f"there is no TUF repository at {' or '.join(bases)}",
            hint="give the URL of the instance, without a path of its parts",
        )
    raise VerificationError(
        "TRUST_REFUSED",
        f"no root of {bases[0]} has the fingerprint given",
        expected=f"sha256:{wanted}",
        found=f"sha256:{hashlib.sha256(seen[0]).hexdigest()} (1.root.json)",
        hint="do not trust this instance until its operator confirms the fingerprint",
    )


def _create(
    store: TrustStore, instance: Instance, root: bytes, transport: Transport, at: datetime
) -> Instance:
    check_fingerprint(root, instance.fingerprint)
    scratch = None
    try:
        parent = Path(store.folder)
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=store.folder, prefix=".adding-"))
        save_file(scratch / PINNED_ROOT, root, overwrite=False, mode=0o600)
        refresh(instance._replace(folder=str(scratch)), transport, at)
        save_file(scratch / "instance.json", encode_instance(instance), overwrite=False, mode=0o600)
        scratch.rename(instance.folder)
        sync_folder(parent)
    except OSError as error:
        raise SettingsError("FILE_UNREADABLE", f"{store.folder}: {error.strerror}") from error
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
    return instance
