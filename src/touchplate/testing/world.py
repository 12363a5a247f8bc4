"""`World`: CA, both logs, timestamp authority, issuer and TUF repository, in memory, at any time.

    with World() as world:
        bundle = world.sign(b"artifact")
        world.clock.advance(timedelta(days=400))
        verify(bundle, Artifact.from_bytes(b"artifact"), policy, world.trusted_root)
        world.check()

It is what `touchplate serve` runs, from the same `server.build`, over memory storage.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Final, Self

from touchplate.errors import VerificationError
from touchplate.formats.bundle import Bundle
from touchplate.formats.signing_config import SigningConfig
from touchplate.formats.trusted_root import TrustedRoot
from touchplate.index import Index
from touchplate.merkle.proof import check_consistency
from touchplate.merkle.tree import RootHash
from touchplate.server.app import App
from touchplate.server.appointment import appoint, make_chain
from touchplate.server.build import Deployment, build
from touchplate.server.limits import Limits
from touchplate.server.logs import Stores
from touchplate.server.ownership import read_ct_checkpoint, read_tlog_checkpoint
from touchplate.server.publication import ct_origin
from touchplate.server.rotation import rotate
from touchplate.server.settings import ServeSettings, parse_origin
from touchplate.server.vault import CA, CT, KINDS, MemoryVault
from touchplate.sign import Signer, connect
from touchplate.storage.index_memory import MemoryIndex
from touchplate.storage.memory import MemoryLog
from touchplate.storage.objects import MemoryObjects
from touchplate.testing.in_process import InProcessTransport
from touchplate.tilelog.log import TileLog
from touchplate.verify import Artifact

URL: Final = "https://touchplate.test"
EMAIL: Final = "maker@example.com"
START: Final = datetime(2030, 1, 1, tzinfo=UTC)
THREADS: Final = 4


class Clock:
    """A clock that stands still until it is moved. Call it for the time."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        """Tell the time."""
        return self.now

    def advance(self, by: timedelta) -> None:
        """Move forward, or back with a negative duration."""
        self.now += by


class World:
    """A deployment at `url` that begins at `now`. Close it, or use it with `with`."""

    def __init__(
        self,
        now: datetime = START,
        *,
        url: str = URL,
        ca_key: str = "ecdsa-p256",
        settings: ServeSettings | None = None,
    ) -> None:
        self.clock = Clock(now)
        self._created_at = now
        self._origin = parse_origin(url)
        self._settings = replace(settings or ServeSettings(), ca_key=ca_key)
        self._limits = Limits.of(
            self._settings.limits,
            lambda: int(self.clock().timestamp() * 1_000_000) * 1000,
            [rule.rate for rule in self._settings.issuers.rules],
        )
        self._vault = MemoryVault()
        self._objects = MemoryObjects()
        self._databases: dict[str, MemoryLog] = {}
        self._index = MemoryIndex()
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="world")
        # Size and root of each log when it was checked last.
        self._seen: dict[str, tuple[int, RootHash]] = {}
        self.deployment = self._build()
        self.app = self._make_app()
        self.transport = InProcessTransport({self.url: self.app})

    @property
    def url(self) -> str:
        """The deployment's base URL."""
        return self._origin.url

    @property
    def issuer(self) -> str:
        """The URL of its own issuer, which certificates name."""
        return self.deployment.issuer.url

    @property
    def trusted_root(self) -> TrustedRoot:
        """What verifiers must trust."""
        return self.deployment.trusted_root

    @property
    def index(self) -> Index:
        """The search index. It follows the log when told to: `catch_up`."""
        if self.deployment.index is None:
            raise AssertionError("a world has an index")
        return self.deployment.index

    @property
    def signing_config(self) -> SigningConfig:
        """The services to sign with."""
        return self.deployment.signing_config

    def token(self, email: str = EMAIL, lifetime: timedelta = timedelta(minutes=10)) -> str:
        """Mint an identity token of its own issuer."""
        return self.deployment.issuer.mint(email, self.clock(), lifetime)

    def signer(self, email: str = EMAIL, *, tlog_version: int | None = None) -> Signer:
        """Give a signer with a token for `email`; `tlog_version` chooses the log's API."""
        services = connect(
            self.signing_config,
            self.trusted_root,
            self.transport,
            self.clock(),
            tlog_version=tlog_version,
        )
        return Signer(services, self.token(email), self.clock)

    def sign(
        self, artifact: bytes, email: str = EMAIL, *, tlog_version: int | None = None
    ) -> Bundle:
        """Sign an artifact as `email` through the whole flow."""
        signer = self.signer(email, tlog_version=tlog_version)
        return signer.sign(Artifact.from_bytes(artifact)).bundle

    def sign_statement(
        self, payload: bytes, email: str = EMAIL, *, tlog_version: int | None = None
    ) -> Bundle:
        """Sign an in-toto statement as `email` in a DSSE envelope."""
        return self.signer(email, tlog_version=tlog_version).sign_statement(payload).bundle

    def rotate(self, url: str | None = None) -> None:
        """Freeze the log's active tree and go on with a new one, which may have its own URL."""
        rotate(self.deployment, self._vault, parse_origin(url) if url else None)
        if url:
            self.transport.add(url, self.app)

    def rotate_key(
        self, role: str, overlap: timedelta = timedelta(0), *, new_root: bool = False
    ) -> None:
        """Decide on the next key of `ca`, `tsa` or `ct`, which signs after `overlap`."""
        name = self.deployment.authorities.lines[role].next_name
        kind = self._settings.ca_key if role == CA else KINDS[role]
        signer = self._vault.later_key(name, kind)
        chain = make_chain(
            *(self.deployment, role, signer),
            lambda root: self._vault.key(root, ""),
            self._vault.later_key,
            new_root=new_root,
        )
        appoint(self.deployment, role, signer, chain, overlap)
        self.deployment.follow()

    def restart(self) -> None:
        """End the deployment and start it again over the same keys and storage."""
        self.deployment.close()
        self.transport.close()
        self.deployment = self._build()
        self.app = self._make_app()
        self.transport = InProcessTransport({self.url: self.app})

    def check(self) -> None:
        """Prove both logs from their entries and tiles, and that neither went back since last time.

        Raises VerificationError TLOG_INVALID, or what is wrong with a checkpoint.
        """
        for shard, log in self.deployment.lineage.trees:
            key = log.key
            read = partial(read_tlog_checkpoint, key.origin, key.signer.public_key)
            self._check(shard.name, log.tiles, read)
        authorities = self.deployment.authorities
        for tenure in authorities.lines[CT].tenures:
            if (ct := authorities.find_ct(tenure.number)) is not None:
                origin = ct_origin(self._origin, tenure.number)
                open_ct = partial(read_ct_checkpoint, origin, authorities.ct_key(tenure))
                self._check(tenure.name, ct.log, open_ct)

    def close(self) -> None:
        """End everything; nothing of it remains."""
        self.transport.close()
        self.deployment.close()
        self._executor.shutdown()

    def __enter__(self) -> Self:
        """Give the world."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def _build(self) -> Deployment:
        stores = Stores(
            objects=self._objects,
            database=lambda name: self._databases.setdefault(name, MemoryLog()),
            index=lambda: self._index,
        )
        return build(
            self._vault,
            stores,
            self._origin,
            created_at=self._created_at,
            limits=self._limits,
            now=self.clock,
            settings=self._settings,
        )

    def _make_app(self) -> App:
        return App(
            self.deployment.routes,
            self._executor,
            self.deployment.health.metrics.observe,
            self._limits,
        )

    def _check(self, name: str, log: TileLog, read: Callable[[str], tuple[int, RootHash]]) -> None:
        stated = log.check()
        size, root = read(stated.envelope)
        if (size, root) != (stated.size, stated.root):
            raise VerificationError(
                "TLOG_INVALID", f"{name}: the signed checkpoint is not that of the tree"
            )
        old_size, old_root = self._seen.get(name, (0, root))
        if old_size:
            check_consistency(old_size, size, log.consistency(old_size, size), old_root, root)
        self._seen[name] = (size, root)
