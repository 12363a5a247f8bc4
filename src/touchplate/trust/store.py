"""The instances trusted on this machine, as files: read here, written by `add` and `refresh`.

    FOLDER/instances/NAME/instance.json                 what a person decided: URL and fingerprint
                         /pinned.root.json              the root with that fingerprint
                         /metadata/                     what the TUF client keeps (its own layout)
                         /targets/trusted_root.json     verified, replaced atomically
                         /targets/signing_config.v0.2.json

A NAME is made from the URL that the user gave or is given by the user; no name that a server sends
becomes a path (CVE-2026-24137, CVE-2026-24686). Whoever can write here decides whom we trust, so
the folder is 0700; offline use trusts these files as they are.
"""

# `verify` loads this: pathlib would be a twentieth of its start.
# ruff: noqa: PTH118, PTH123, PTH208

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from touchplate.errors import MalformedError, SettingsError

if TYPE_CHECKING:
    from touchplate.formats.signing_config import SigningConfig
    from touchplate.formats.trusted_root import TrustedRoot

TRUSTED_ROOT: Final = "trusted_root.json"
SIGNING_CONFIG: Final = "signing_config.v0.2.json"
MAX_TARGET_BYTES: Final = 5_000_000
MAX_INSTANCES: Final = 1000

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]|\.(?!\.)){0,98}[a-z0-9]|[a-z0-9]")


class Instance(NamedTuple):
    """One instance that a person chose to trust; `fingerprint` is SHA-256 (hex) of a root of it."""

    name: str
    url: str
    tuf_url: str
    fingerprint: str
    folder: str

    def trusted_root_bytes(self) -> bytes:
        """Give trusted_root.json as last fetched; no network (TRUST_UNKNOWN when never fetched)."""
        return self._target(TRUSTED_ROOT)

    def trusted_root(self) -> TrustedRoot:
        """Give the trusted root as last fetched; no network."""
        from touchplate.formats.trusted_root import parse_trusted_root

        return parse_trusted_root(self._target(TRUSTED_ROOT))

    def signing_config_bytes(self) -> bytes:
        """Give signing_config.v0.2.json as last fetched; no network (TRUST_UNKNOWN as above)."""
        return self._target(SIGNING_CONFIG)

    def signing_config(self) -> SigningConfig:
        """Give the signing config as last fetched; no network."""
        from touchplate.formats.signing_config import parse_signing_config

        return parse_signing_config(self._target(SIGNING_CONFIG))

    def _target(self, name: str) -> bytes:
        try:
            return read_limited(os.path.join(self.folder, "targets", name), MAX_TARGET_BYTES)
        except FileNotFoundError as error:
            raise SettingsError(
                "TRUST_UNKNOWN",
                f"instance {self.name!r} has no {name} here",
                hint=f"touchplate trust refresh {self.name}",
            ) from error


class TrustStore:
    """The instances below one folder; reading needs no lock, since every file is replaced whole."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Look at `folder`, which need not exist."""
        self.folder: Final = os.path.join(folder, "instances")

    def instances(self) -> tuple[Instance, ...]:
        """Give all instances by name; a folder that is no instance is passed over."""
        try:
            names = sorted(os.listdir(self.folder))
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise SettingsError("FILE_UNREADABLE", f"{self.folder}: {error.strerror}") from error
        names = [name for name in names if _NAME.fullmatch(name)][:MAX_INSTANCES]
        found = map(self.find_name, names)
        return tuple(instance for instance in found if instance is not None)

    def get(self, wanted: str) -> Instance:
        """Give the instance of that name or URL, or raise TRUST_UNKNOWN."""
        if _NAME.fullmatch(wanted) and (instance := self.find_name(wanted)) is not None:
            return instance
        url = wanted.rstrip("/")
        for instance in self.instances():
            if url in (instance.url, instance.tuf_url):
                return instance
        raise SettingsError(
            "TRUST_UNKNOWN",
            f"this machine trusts no instance {wanted!r}",
            hint="touchplate trust list; touchplate trust add URL --fingerprint SHA256",
        )

    def only(self) -> Instance:
        """Give the one instance trusted here; with none or several, ask (TRUST_UNKNOWN)."""
        instances = self.instances()
        if len(instances) == 1:
            return instances[0]
        if not instances:
            raise SettingsError(
                "TRUST_UNKNOWN",
                "this machine trusts no instance yet",
                hint="touchplate trust add URL --fingerprint SHA256, or touchplate trust add "
                "sigstore.dev for the public one",
            )
        names = ", ".join(instance.name for instance in instances)
        raise SettingsError(
            "TRUST_UNKNOWN",
            f"this machine trusts several instances: {names}",
            hint="say which with --instance NAME",
        )

    def find_name(self, name: str) -> Instance | None:
        """Give the instance kept under exactly that name, if there is one."""
        check_name(name)
        folder = os.path.join(self.folder, name)
        try:
            data = read_limited(os.path.join(folder, "instance.json"), 10_000)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return parse_instance(data, name, folder)


def parse_instance(data: bytes, name: str, folder: str) -> Instance:
    """Read instance.json; anything but our own form is SETTINGS_INVALID."""
    try:
        fields = json.loads(data)
        url, tuf_url, fingerprint = fields["url"], fields["tuf_url"], fields["fingerprint"]
        if not all(isinstance(text, str) for text in (url, tuf_url, fingerprint)):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SettingsError(
            "SETTINGS_INVALID",
            f"{folder}/instance.json is damaged",
            hint=f"touchplate trust remove {name}, then touchplate trust add again",
        ) from error
    return Instance(name, url, tuf_url, fingerprint, folder)


def encode_instance(instance: Instance) -> bytes:
    """Write instance.json."""
    fields = {
        "url": instance.url,
        "tuf_url": instance.tuf_url,
        "fingerprint": instance.fingerprint,
    }
    return json.dumps(fields, indent=1).encode() + b"\n"


def check_name(name: str) -> None:
    """Hold `name` to be one safe path component: 100 of a-z 0-9 . _ -, no two dots together."""
    if not _NAME.fullmatch(name):
        raise SettingsError(
            "SETTINGS_INVALID",
            f"{name[:200]!r} cannot be the name of an instance",
            hint="use up to 100 of a-z, 0-9, dot, hyphen and underscore",
        )


def name_of(url: str) -> str:
    """Make the name of an instance from its URL: host, port and path, joined by hyphens."""
    rest = url.partition("://")[2].lower()
    name = re.sub(r"[^a-z0-9.]+", "-", rest)
    name = re.sub(r"\.{2,}", ".", name)[:100].strip("-.")
    check_name(name)
    return name


def read_limited(path: str, max_bytes: int) -> bytes:
    """Read a whole file of at most `max_bytes` (LIMIT_EXCEEDED); FileNotFoundError if missing."""
    try:
        with open(path, "rb") as file:
            data = file.read(max_bytes + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise SettingsError("FILE_UNREADABLE", f"{path}: {error.strerror}") from error
    if len(data) > max_bytes:
        raise MalformedError("LIMIT_EXCEEDED", f"{path} is larger than {max_bytes} bytes")
    return data
