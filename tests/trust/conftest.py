"""A whole TUF repository in memory, signed with real keys, behind the transport's seam."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer._crypto_signer import CryptoSigner
from tuf.api._payload import (
    MetaFile,
    Role,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.metadata import Metadata

from touchplate.errors import MalformedError, UnavailableError
from touchplate.transport.http import Response
from touchplate.trust.store import TrustStore

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ROLES = ("root", "timestamp", "snapshot", "targets")


@dataclass
class Repository:
    """Serves https://sigstore.example.test/tuf/… ; `files` may be changed to misbehave."""

    url: str = "https://sigstore.example.test"
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    away: bool = False
    version: int = 0
    root_version: int = 0
    key: CryptoSigner = field(default_factory=CryptoSigner.generate_ed25519)

    def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        timeout: timedelta = timedelta(seconds=1),
        max_bytes: int = 1_000_000,
    ) -> Response:
        """Answer as a web server of static files."""
        assert (method, body, headers) == ("GET", None, ())
        assert timeout
        self.asked.append(url)
        if self.away:
            raise UnavailableError("SERVICE_UNAVAILABLE", "away")
        found = self.files.get(url)
        if found is None:
            return Response(404, (), b"no such file")
        if len(found) > max_bytes:
            raise MalformedError("LIMIT_EXCEEDED", "too large")
        return Response(200, (), found)

    def publish_root(
        self, *, key: CryptoSigner | None = None, until: datetime | None = None
    ) -> None:
        """Publish the next root, signed by the old key and, if it changes, by the new one."""
        old, self.key = self.key, key or self.key
        self.root_version += 1
        root = Root(version=self.root_version, expires=until or NOW + timedelta(days=365))
        root.roles = {role: Role([], 1) for role in ROLES}
        for role in ROLES:
            root.add_key(self.key.public_key, role)
        metadata = Metadata(root)
        metadata.sign(old)
        if old is not self.key:
            metadata.sign(self.key, append=True)
        self.put(f"{self.root_version}.root.json", metadata.to_bytes())

    def publish(self, targets: dict[str, bytes], *, lasts: timedelta = timedelta(days=7)) -> None:
        """Publish these targets under the next version of everything but the root."""
        self.version += 1
        until = NOW + timedelta(days=365)
        entries = {}
        for name, data in targets.items():
            digest = hashlib.sha256(data).hexdigest()
            entries[name] = TargetFile(len(data), {"sha256": digest}, name)
            self.put(f"targets/{digest}.{name}", data)
        self._sign(Targets(version=self.version, expires=until, targets=entries))
        meta = {"targets.json": MetaFile(self.version)}
        self._sign(Snapshot(version=self.version, expires=until, meta=meta))
        self._sign(Timestamp(self.version, None, NOW + lasts, MetaFile(self.version)))

    def put(self, path: str, data: bytes) -> None:
        """Serve `data` below /tuf/."""
        self.files[f"{self.url}/tuf/{path}"] = data

    def _sign(self, signed: Targets | Snapshot | Timestamp) -> None:
        metadata: Metadata[Any] = Metadata(signed)
        metadata.sign(self.key)
        prefix = "" if isinstance(signed, Timestamp) else f"{self.version}."
        self.put(f"{prefix}{signed.type}.json", metadata.to_bytes())

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the first root."""
        return hashlib.sha256(self.files[f"{self.url}/tuf/1.root.json"]).hexdigest()


TARGETS = {"trusted_root.json": b'{"trusted": "root 1"}', "signing_config.v0.2.json": b"{}"}


@pytest.fixture
def repository() -> Repository:
    """Give a repository with one root and both targets."""
    made = Repository()
    made.publish_root()
    made.publish(TARGETS)
    return made


@pytest.fixture
def store(tmp_path: Path) -> TrustStore:
    """Give an empty store."""
    return TrustStore(tmp_path / "home")
