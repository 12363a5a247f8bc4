"""The composition root: keys, storage and a clock become one deployment of all roles.

The only place where a role is given to another: the CA gets the CT log's submit function and the
issuer's keys, TUF gets what clients must know. `server.opening` calls it with a data folder,
`testing.World` with memory; nothing here knows which.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Final

from touchplate import ca, ctlog, tlog, tsa
from touchplate.ca.routes import routes as ca_routes
from touchplate.ctlog.routes import routes as ctlog_routes
from touchplate.errors import UnavailableError
from touchplate.formats.signing_config import (
    ClientTrustConfig,
    SigningConfig,
    encode_client_trust_config,
    encode_signing_config,
)
from touchplate.formats.trusted_root import TrustedRoot, encode_trusted_root
from touchplate.index import Index
from touchplate.index.routes import routes as index_routes
from touchplate.keys.signer import Signer
from touchplate.oidc.issuer import OwnIssuer
from touchplate.oidc.issuers import Authenticator
from touchplate.oidc.routes import routes as oidc_routes
from touchplate.server import openapi
from touchplate.server import vault as names
from touchplate.server.counts import Counts
from touchplate.server.health import Check, Health, Metrics, check_log, check_objects
from touchplate.server.health import routes as health_routes
from touchplate.server.identities import limited_entries, limited_tokens
from touchplate.server.limits import Limits
from touchplate.server.ownership import (
    Reader,
    check_database,
    read_ct_checkpoint,
    read_tlog_checkpoint,
)
from touchplate.server.publication import (
    CT_PATH,
    ISSUER_PATH,
    ct_origin,
    issuer_url,
    make_signing_config,
    make_trusted_root,
)
from touchplate.server.searching import index_details, index_figures, open_index
from touchplate.server.settings import LogSettings, Origin, ServeSettings
from touchplate.server.vault import Vault, open_chain
from touchplate.server.witnessing import Keeper, Witnessing, open_witnessing, vkeys_route
from touchplate.storage.database import LogDatabase
from touchplate.storage.index import IndexDatabase
from touchplate.storage.objects import ObjectStore
from touchplate.tilelog.log import TileLog
from touchplate.tilelog.settings import TileLogSettings
from touchplate.tlog.log import COUNTERS
from touchplate.tlog.routes import routes as tlog_routes
from touchplate.transport.asgi import Request, Response, Route
from touchplate.tsa.routes import routes as tsa_routes
from touchplate.tuf import Repository, RoleKeys
from touchplate.tuf.routes import routes as tuf_routes

# RFC 5280, appendix A.1: a name in a certificate has at most 64 characters.
MAX_NAME: Final = 64
COMMON_NAME: Final = "touchplate"

Keys = Mapping[str, Signer]

TRUSTED_ROOT: Final = "trusted_root.json"
SIGNING_CONFIG: Final = "signing_config.v0.2.json"
# Beside the trust repository: both documents in one, for clients that take a file.
TRUST_CONFIG_PATH: Final = "/trust_config.json"


@dataclass(frozen=True, slots=True)
class Stores:
    """Where the deployment's state rests. `database` opens the one of a log, by its name."""

    objects: ObjectStore
    database: Callable[[str], LogDatabase]
    # Opens the search index's.
    index: Callable[[], IndexDatabase]


@dataclass(frozen=True, slots=True)
class Deployment:
    """All roles of one instance, running. Close it to end its logs."""

    origin: Origin
    routes: tuple[Route, ...]
    trusted_root: TrustedRoot
    signing_config: SigningConfig
    repository: Repository
    issuer: OwnIssuer
    shards: tlog.Shards
    tlog: TileLog
    ct: TileLog
    # None: there is no search. It follows the log only once it is started.
    index: Index | None
    health: Health
    _open: ExitStack

    def refresh(self) -> bool:
        """Renew what the trust repository has to renew; call it at least daily."""
        return self.repository.refresh()

    def close(self) -> None:
        """Commit what waits in the logs and release what is below them."""
        self._open.close()


def build(
    vault: Vault,
    stores: Stores,
    origin: Origin,
    *,
    created_at: datetime,
    now: Callable[[], datetime],
    settings: ServeSettings | None = None,
    counts: Counts | None = None,
    limits: Limits | None = None,
) -> Deployment:
    """Put a deployment together, making keys and chains that are not there if the vault allows.

    Everything it makes is durable when this returns, the trust root last. Raises SettingsError for
    keys, chains or stores that do not belong together, UnavailableError if a store fails. `counts`
    are this process's part of those that several have in common, `limits` are those on clients.
    """
    settings = settings or ServeSettings()
    limits = limits or Limits()
    with ExitStack() as opened:
        keys = _open_keys(vault, settings.ca_key)
        authority = _open_authority(vault, keys, origin, now)
        stamping = _open_stamping(vault, keys, origin, now)
        logs = _Logs(opened, stores, settings.log)
        witnessing = open_witnessing(opened, settings.witness, now)
        if witnessing is not None:
            kind = names.LATER_KINDS[names.TLOG_ED25519]
            keys = {**keys, names.TLOG_ED25519: vault.later_key(names.TLOG_ED25519, kind)}
        log = _open_tlog(logs, keys, origin, now, witnessing)
        log.limit = limited_entries(limits, authority.issuing)
        shards = tlog.Shards(log)
        index = None
        if settings.index.enabled:
            index = open_index(opened, stores.index(), shards, _in_ms(now))
        certificates = _open_ct(logs, keys, origin, now, authority)
        issuer = OwnIssuer(issuer_url(origin.url), keys[names.ISSUER])
        authenticator = Authenticator([issuer.as_issuer()])
        issuance = ca.Issuance(
            authenticate=limited_tokens(authenticator.authenticate, limits),
            authority=lambda: authority,
            submit=certificates.submit_own,
            now=now,
        )
        published = ClientTrustConfig(
            make_trusted_root(
                origin,
                created_at=created_at,
                ca_chain=authority.chain,
                tsa_chain=stamping.chain,
                tlog_key=keys[names.TLOG].public_key,
                ct_key=keys[names.CT].public_key,
            ),
            make_signing_config(origin, created_at),
        )
        repository = _open_repository(stores, keys, published, now)
        metrics = Metrics(counts)
        for name in COUNTERS:
            metrics.counts.add(name, 0)  # so that it is there before it first goes up
        log.count = metrics.counts.add
        if witnessing is not None:
            witnessing.count = metrics.counts.add
        health = _health(
            *(repository, log.tiles, certificates.log, authority, stamping),
            now=now,
            metrics=metrics,
            checks={**logs.checks, "objects": partial(check_objects, stores.objects)},
        )
        if index is not None:
            health = replace(
                health,
                figures=partial(index_figures, index),
                details=partial(index_details, index),
            )
        return Deployment(
            origin=origin,
            routes=(
                *ca_routes(issuance, lambda: authenticator.issuers),
                *tlog_routes(shards, index.find_v1 if index else None, _attestations(stores, log)),
                *(index_routes(index) if index else ()),
                *tsa_routes(stamping),
                *ctlog_routes(certificates, CT_PATH),
                *oidc_routes(issuer, ISSUER_PATH),
                *tuf_routes(repository),
                _trust_config_route(published),
                vkeys_route(log.key),
                *health_routes(health),
                *openapi.routes(),
            ),
            trusted_root=published.trusted_root,
            signing_config=published.signing_config,
            repository=repository,
            issuer=issuer,
            shards=shards,
            tlog=log.tiles,
            ct=certificates.log,
            index=index,
            health=health,
            # From here on it is the caller who closes.
            _open=opened.pop_all(),
        )


def _open_keys(vault: Vault, ca_key: str) -> Keys:
    kinds = {**names.KINDS, names.CA: ca_key}
    return {name: vault.key(name, kind) for name, kind in kinds.items()}


def _open_authority(
    vault: Vault, keys: Keys, origin: Origin, now: Callable[[], datetime]
) -> ca.Authority:
    def make() -> tuple[bytes, ...]:
        return ca.create_chain(
            keys[names.CA_ROOT],
            keys[names.CA],
            organization=origin.host[:MAX_NAME],
            common_name=COMMON_NAME,
            now=now(),
        )

    return ca.Authority.load(keys[names.CA], open_chain(vault, names.CA, make), now())


def _open_stamping(
    vault: Vault, keys: Keys, origin: Origin, now: Callable[[], datetime]
) -> tsa.Stamping:
    def make() -> tuple[bytes, ...]:
        return tsa.create_chain(
            keys[names.TSA_ROOT],
            keys[names.TSA],
            organization=origin.host[:MAX_NAME],
            common_name=f"{COMMON_NAME}-tsa",
            now=now(),
        )

    return tsa.Stamping.load(keys[names.TSA], open_chain(vault, names.TSA, make), now)


@dataclass(frozen=True, slots=True)
class _Logs:
    """Opens tile logs over the deployment's stores; they end with `opened`."""

    opened: ExitStack
    stores: Stores
    settings: LogSettings
    # Whether each log that was opened can work.
    checks: dict[str, Check] = field(default_factory=dict)

    def open(
        self, settings: TileLogSettings, read: Reader, witnessing: Witnessing | None = None
    ) -> TileLog:
        """Open the log; `read` opens a checkpoint that our key signed."""
        database = self.stores.database(settings.name)
        self.opened.callback(database.close)
        check_database(database, settings.name, read)
        settings = replace(settings, max_waiting=self.settings.max_waiting)
        if witnessing is not None:
            settings = replace(settings, cosign=witnessing.of(database))
        log = TileLog(settings, database, self.stores.objects)
        self.opened.callback(log.close)
        self.checks[settings.name] = partial(check_log, log)
        if witnessing is not None:
            keeper = Keeper(partial(witnessing.publish_if_due, log, database))
            self.opened.callback(keeper.close)
        return log


def _open_tlog(
    logs: _Logs,
    keys: Keys,
    origin: Origin,
    now: Callable[[], datetime],
    witnessing: Witnessing | None,
) -> tlog.TransparencyLog:
    key = tlog.log_key(origin.host, keys[names.TLOG], for_witnesses=keys.get(names.TLOG_ED25519))
    read = partial(read_tlog_checkpoint, key.origin, key.signer.public_key)
    tiles = logs.open(tlog.tile_log_settings(key, _in_ms(now)), read, witnessing)
    given = logs.settings
    settings = tlog.TlogSettings(
        algorithms=given.algorithms,
        duplicate_is_conflict=given.duplicates == "conflict",
        accept_dsse_v002=given.dsse_v002,
        kinds=given.kinds,
        endpoints=given.endpoints,
        attestations=given.attestations,
        max_attestation_bytes=given.max_attestation_bytes,
    )
    return tlog.TransparencyLog(key, tiles, settings)


def _attestations(stores: Stores, log: tlog.TransparencyLog) -> tlog.Attestations | None:
    if not log.settings.attestations:
        return None
    return tlog.Attestations(stores.objects, log.settings.max_attestation_bytes)


def _open_ct(
    logs: _Logs,
    keys: Keys,
    origin: Origin,
    now: Callable[[], datetime],
    authority: ca.Authority,
) -> ctlog.CertificateLog:
    signer, name = keys[names.CT], ct_origin(origin)
    read = partial(read_ct_checkpoint, name, signer.public_key)
    return ctlog.CertificateLog(
        logs.open(ctlog.tile_log_settings(signer, name, _in_ms(now)), read),
        signer,
        origin=name,
        roots=[authority.chain[-1].der],
        objects=logs.stores.objects,
    )


def _open_repository(
    stores: Stores, keys: Keys, published: ClientTrustConfig, now: Callable[[], datetime]
) -> Repository:
    role_keys = RoleKeys(
        root=keys[names.TUF_ROOT],
        targets=keys[names.TUF_TARGETS],
        snapshot=keys[names.TUF_SNAPSHOT],
        timestamp=keys[names.TUF_TIMESTAMP],
    )
    repository = Repository(stores.objects, role_keys, now)
    repository.publish(
        {
            TRUSTED_ROOT: encode_trusted_root(published.trusted_root),
            SIGNING_CONFIG: encode_signing_config(published.signing_config),
        }
    )
    return repository


def _in_ms(now: Callable[[], datetime]) -> Callable[[], int]:
    return lambda: int(now().timestamp() * 1000)


def _trust_config_route(config: ClientTrustConfig) -> Route:
    response = Response(
        200, encode_client_trust_config(config), headers=(("cache-control", "no-cache"),)
    )

    async def get_trust_config(_: Request) -> Response:
        return response

    return Route("GET", TRUST_CONFIG_PATH, get_trust_config, 0)


def _health(
    repository: Repository,
    tlog_tiles: TileLog,
    ct_tiles: TileLog,
    authority: ca.Authority,
    stamping: tsa.Stamping,
    *,
    now: Callable[[], datetime],
    metrics: Metrics,
    checks: Mapping[str, Check],
) -> Health:
    def expiries() -> dict[str, datetime]:
        return {
            **{f"tuf-{role}": at for role, at in repository.expiries().items()},
            "ca": authority.issuing.not_after,
            "tsa": stamping.chain[0].not_after,
        }

    def check_expiries() -> None:
        for name, at in expiries().items():
            if at <= now():
                raise UnavailableError("SERVICE_UNAVAILABLE", f"{name} expired at {at}")

    return Health(
        checks={**checks, "expiry": check_expiries},
        sizes=lambda: {
            "tlog": tlog_tiles.checkpoint().size,
            "ct": ct_tiles.checkpoint().size,
        },
        expiries=expiries,
        metrics=metrics,
    )
