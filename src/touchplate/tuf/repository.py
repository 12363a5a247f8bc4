"""A TUF repository in an object store: made once, renewed by itself, never rewritten.

TUF specification 1.0 §4 and §6. Every file but `timestamp.json` has its version or its hash in its
name and is written once. The timestamp is written last, so a crash before it leaves files that no
metadata names: the next publication takes the next free version. A new `N.root.json` is in force as
soon as it exists, because clients look for it by counting up.

Of several processes that renew at once one creates `N.timestamp.json`, and with it publishes what
that names; the others go on from there. Timestamps are served by counting up as well, so no client
is ever shown an older one. `timestamp.json` is a copy of the newest, for who serves only files.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from threading import Lock
from typing import Any, Final, Protocol

from touchplate.errors import RefusedError, SettingsError, TouchplateError, UnavailableError
from touchplate.keys.signer import Signer
from touchplate.tuf.metadata import (
    ROLES,
    Metadata,
    Role,
    TargetFile,
    decode,
    describe,
    encode,
    key_entry,
    key_id,
)
from touchplate.tuf.settings import Term, TufSettings

PREFIX: Final = "tuf/"
# The newest root is found by counting up, as clients do; they stop after 256 updates.
MAX_ROOTS: Final = 512
# How often another process may be quicker before a renewal is left to the next time.
MAX_RACES: Final = 10


class Files(Protocol):
    """Where the repository rests: the object store of the deployment."""

    def get(self, key: str) -> bytes | None:
        """Read a file, None if there is none."""

    def put(self, key: str, data: bytes) -> None:
        """Write a new file durably; writing the same bytes again does nothing."""

    def replace(self, key: str, data: bytes) -> None:
        """Write a file durably in place of the one before, in one step."""


@dataclass(frozen=True, slots=True)
class RoleKeys:
    """One key for each role, threshold one."""

    root: Signer
    targets: Signer
    snapshot: Signer
    timestamp: Signer

    def of(self, role: Role) -> Signer:
        """Give the key of a role."""
        return {
            "root": self.root,
            "targets": self.targets,
            "snapshot": self.snapshot,
            "timestamp": self.timestamp,
        }[role]


@dataclass(frozen=True, slots=True)
class _State:
    """What `timestamp.json` names."""

    targets: Metadata
    snapshot: Metadata
    timestamp: Metadata


class Repository:
    """The repository of one deployment. Safe to call from several threads and processes.

    Each renewal begins with what the files say now. Files with a version are written once, so of
    two processes that renew at the same time one is refused and looks again.

    Opening it makes `1.root.json` if there is no root yet; `publish` makes the rest. Raises
    SettingsError KEY_NOT_FOUND if the stored root names other keys than those given.
    """

    def __init__(
        self,
        files: Files,
        keys: RoleKeys,
        now: Callable[[], datetime],
        settings: TufSettings | None = None,
    ) -> None:
        self._files = files
        self._keys = keys
        self._now = now
        self._settings = settings or TufSettings()
        self._lock = Lock()
        self._state: _State | None = None
        self._race(lambda: False)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of `1.root.json` in lower-case hex: what a client pins."""
        return sha256(self._get("1.root.json")).hexdigest()

    def publish(self, targets: Mapping[str, bytes]) -> bool:
        """Make `targets` (name to content) what clients get; False if they are so already.

        Durable when it returns. Names are single path segments.
        """
        return self.publish_after(lambda _: targets)

    def publish_after(
        self, make: Callable[[Mapping[str, bytes]], Mapping[str, bytes] | None]
    ) -> bool:
        """Publish what `make` makes of what clients get now; None: that stays.

        If another process publishes meanwhile, `make` is called again with that.
        """

        def write() -> bool:
            state = self._state
            targets = make(self._contents(state))
            if targets is None:
                return self._renew(None)
            wanted = {name: describe(data) for name, data in targets.items()}
            if state is not None and _files_of(state.targets) == wanted:
                return self._renew(None)
            for name, target in wanted.items():
                self._files.put(f"{PREFIX}targets/{target.sha256}.{name}", targets[name])
            return self._renew(wanted)

        with self._lock:
            return self._race(write)

    def published(self) -> dict[str, bytes]:
        """Give what clients get now, name to content, whoever has published it."""
        return self._contents(self._load_state())

    def refresh(self) -> bool:
        """Renew what is within its margin of expiry; False if nothing was.

        What other processes have renewed is read, so each of them must call this now and then.
        """
        with self._lock:
            return self._race(lambda: self._renew(None))

    def read(self, name: str) -> bytes | None:
        """Give a file by its name below the repository's URL; the name must have been checked."""
        if name == "root.json":
            name = f"{self._root.version}.root.json"
        if name == "timestamp.json":
            state = self._state
            return self._newest_timestamp(state.timestamp.version if state else 0)
        return self._files.get(PREFIX + name)

    def expiries(self) -> dict[Role, datetime]:
        """Give for each role when its metadata expires."""
        state = self._state
        all_of = [self._root]
        if state is not None:
            all_of += [state.targets, state.snapshot, state.timestamp]
        return {each.role: each.expires_at for each in all_of}

    def _race(self, write: Callable[[], bool]) -> bool:
        """Write upon what is there now; look again if another process wrote the same version."""
        for _ in range(MAX_RACES):
            try:
                self._root = self._open_root()
                self._state = self._load_state()
                return write()
            except RefusedError as error:
                if error.code != "FILE_EXISTS":
                    raise
        raise UnavailableError("STORAGE_UNAVAILABLE", "other processes renew the trust root")

    def _renew(self, wanted: dict[str, TargetFile] | None) -> bool:
        """Write each role that is due, targets first, timestamp last; `wanted` are new targets."""
        root_renewed = self._renew_root()
        state = self._state
        if state is None:
            if wanted is None:
                return root_renewed
            targets = self._write("targets", 1, _targets_content(wanted))
            snapshot = self._write("snapshot", 1, _meta("targets.json", targets.version))
            timestamp_version = 1
        else:
            targets, snapshot = state.targets, state.snapshot
            if wanted is not None:
                content: Mapping[str, Any] = _targets_content(wanted)
                targets = self._write("targets", targets.version + 1, content)
            elif self._is_due(targets):
                targets = self._write("targets", targets.version + 1, targets.content)
            if targets is not state.targets or self._is_due(snapshot):
                content = _meta("targets.json", targets.version)
                snapshot = self._write("snapshot", snapshot.version + 1, content)
            if snapshot is state.snapshot and not self._is_due(state.timestamp):
                # Whoever wrote that one may not have come to copy it.
                self._copy_timestamp(state.timestamp.version)
                return root_renewed
            timestamp_version = state.timestamp.version + 1
        timestamp = Metadata(
            "timestamp",
            timestamp_version,
            self._expiry("timestamp"),
            _meta("snapshot.json", snapshot.version),
        )
        # If we crash before this line, nothing names the files above and all is as it was. If
        # another process has created this version, it is refused: that one has published.
        data = encode(timestamp, self._keys.timestamp)
        self._files.put(f"{PREFIX}{timestamp_version}.timestamp.json", data)
        self._state = _State(targets, snapshot, timestamp)
        self._copy_timestamp(timestamp_version)
        return True

    def _newest_timestamp(self, known: int) -> bytes | None:
        """Give the newest one, from a version on that is known to be published, or 0."""
        newest = self._files.get(f"{PREFIX}{known}.timestamp.json") if known else None
        if newest is None:  # the first one, or of before they had numbers
            newest = self._files.get(f"{PREFIX}timestamp.json")
            if newest is not None:
                known = self._decode(newest, "timestamp", "timestamp.json").version
        while (data := self._files.get(f"{PREFIX}{known + 1}.timestamp.json")) is not None:
            newest, known = data, known + 1
        return newest

    def _copy_timestamp(self, version: int) -> None:
        """Make `timestamp.json` the newest, also when others write newer ones meanwhile."""
        name = f"{PREFIX}timestamp.json"
        while (newest := self._newest_timestamp(version)) not in (None, self._files.get(name)):
            self._files.replace(name, newest)

    def _renew_root(self) -> bool:
        if not self._is_due(self._root):
            return False
        version = self._root.version + 1
        root = replace(self._root, version=version, expires_at=self._expiry("root"))
        # Signed by the keys of version N and of N+1, which are the same (TUF §5.3.4).
        self._files.put(f"{PREFIX}{version}.root.json", encode(root, self._keys.root))
        self._root = root
        return True

    def _write(self, role: Role, version: int, content: Mapping[str, Any]) -> Metadata:
        """Sign and write under this version, or the next that no crash has used up."""
        while self._files.get(f"{PREFIX}{version}.{role}.json") is not None:
            version += 1
        metadata = Metadata(role, version, self._expiry(role), content)
        self._files.put(f"{PREFIX}{version}.{role}.json", encode(metadata, self._keys.of(role)))
        return metadata

    def _term(self, role: Role) -> Term:
        settings = self._settings
        return {
            "root": settings.root,
            "targets": settings.targets,
            "snapshot": settings.snapshot,
            "timestamp": settings.timestamp,
        }[role]

    def _expiry(self, role: Role) -> datetime:
        return self._now().replace(microsecond=0) + self._term(role).lifetime

    def _is_due(self, metadata: Metadata) -> bool:
        return metadata.expires_at - self._now() < self._term(metadata.role).margin

    def _open_root(self) -> Metadata:
        """Find the newest root by counting up as clients do, or make the first."""
        expected = _root_content(self._keys)
        newest = None
        for version in range(1, MAX_ROOTS + 1):
            data = self._files.get(f"{PREFIX}{version}.root.json")
            if data is None:
                break
            newest = self._decode(data, "root", f"{version}.root.json")
        if newest is None:
            newest = Metadata("root", 1, self._expiry("root"), expected)
            self._files.put(f"{PREFIX}1.root.json", encode(newest, self._keys.root))
        elif newest.content["roles"] != expected["roles"]:
            raise SettingsError(
                "KEY_NOT_FOUND", "a TUF key is not the one that the root metadata names"
            )
        return newest

    def _load_state(self) -> _State | None:
        data = self._newest_timestamp(self._state.timestamp.version if self._state else 0)
        if data is None:
            return None
        timestamp = self._decode(data, "timestamp", "timestamp.json")
        snapshot = self._load("snapshot", _version(timestamp, "snapshot.json"))
        targets = self._load("targets", _version(snapshot, "targets.json"))
        return _State(targets, snapshot, timestamp)

    def _contents(self, state: _State | None) -> dict[str, bytes]:
        files = _files_of(state.targets) if state else {}
        return {name: self._get(f"targets/{each.sha256}.{name}") for name, each in files.items()}

    def _load(self, role: Role, version: int) -> Metadata:
        name = f"{version}.{role}.json"
        return self._decode(self._get(name), role, name)

    def _get(self, name: str) -> bytes:
        data = self._files.get(PREFIX + name)
        if data is None:
            raise UnavailableError("STORAGE_UNAVAILABLE", f"tuf/{name} is not there any more")
        return data

    def _decode(self, data: bytes, role: Role, name: str) -> Metadata:
        try:
            return decode(data, role, self._keys.of(role).public_key)
        except TouchplateError as error:
            raise SettingsError(
                "KEY_NOT_FOUND",
                f"tuf/{name} was not written by this deployment: {error}",
                hint="the keys and the stored files of two deployments may have been mixed",
            ) from error


def _root_content(keys: RoleKeys) -> dict[str, Any]:
    signers = {role: keys.of(role).public_key for role in ROLES}
    return {
        "consistent_snapshot": True,
        "keys": {key_id(key): key_entry(key) for key in signers.values()},
        "roles": {role: {"keyids": [key_id(key)], "threshold": 1} for role, key in signers.items()},
    }


def _targets_content(files: Mapping[str, TargetFile]) -> dict[str, Any]:
    return {
        "targets": {
            name: {"length": file.length, "hashes": {"sha256": file.sha256}}
            for name, file in files.items()
        }
    }


def _files_of(targets: Metadata) -> dict[str, TargetFile]:
    return {
        name: TargetFile(each["length"], each["hashes"]["sha256"])
        for name, each in targets.content["targets"].items()
    }


def _meta(name: str, version: int) -> dict[str, Any]:
    return {"meta": {name: {"version": version}}}


def _version(metadata: Metadata, name: str) -> int:
    version = metadata.content["meta"][name]["version"]
    assert isinstance(version, int)  # noqa: S101  we signed it
    return version
