"""The composition root: keys, storage and a clock become one deployment of all roles.

The only place where a role is given to another: the CA gets the CT log's submit function and the
issuer's keys, TUF gets what clients must know. `server.opening` calls it with a data folder,
`testing.World` with memory; nothing here knows which.

The module is long: whatever is handed to a role is handed here, in the order in which it is opened,
so that what depends on what is read in one place.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Final

from touchplate import ca, ctlog, tlog, tsa
from touchplate.ca.desk import Desk
from touchplate.ca.routes import routes as ca_routes
from touchplate.ctlog.routes import routes as ctlog_routes
from touchplate.errors import SettingsError, UnavailableError
from touchplate.formats.certificate import Certificate
from touchplate.formats.signing_config import (
    SigningConfig,
    encode_client_trust_config,
)
from touchplate.formats.trusted_root import TrustedRoot
from touchplate.index import Index
from touchplate.index.routes import routes as index_routes
from touchplate.keys.public import PublicKey
from touchplate.keys.signer import Signer
from touchplate.keystore import check_signer
from touchplate.oidc.issuer import OwnIssuer
from touchplate.oidc.routes import routes as oidc_routes
from touchplate.server import openapi
from touchplate.server import vault as names
from touchplate.server.authorities import (
    Authorities,
    RetiredSigner,
    check_key,
    freeze_ct,
    parse_chain,
)
from touchplate.server.certificate_log import LazyLeafIndex, accepted_roots
from touchplate.server.certifying import (
    COMMON_NAME,
    MAX_NAME,
    Certifying,
    first_ca_chain,
    read_others,
    submit_in_loop,
    submit_to,
)
from touchplate.server.counts import Counts
from touchplate.server.front import front_route
from touchplate.server.health import (
    Check,
    Health,
    Metrics,
    check_log,
    check_objects,
    check_trees,
    tree_details,
    tree_figures,
)
from touchplate.server.health import routes as health_routes
from touchplate.server.identities import limited_entries, limited_tokens
from touchplate.server.issuers import Issuers
from touchplate.server.limits import Limits
from touchplate.server.lineage import Lineage, Shard
from touchplate.server.ownership import (
    Reader,
    check_database,
    read_ct_checkpoint,
    read_tlog_checkpoint,
)
from touchplate.server.publication import (
    CT_PATH,
    ISSUER_PATH,
    LATER_CT_PATH,
    Publication,
    ct_origin,
    issuer_url,
    make_signing_config,
    make_trusted_root,
)
from touchplate.server.searching import follow_tree, index_details, index_figures, open_index
from touchplate.server.settings import LogSettings, Origin, ServeSettings
from touchplate.server.succession import ROLES, Succession, Tenure
from touchplate.server.timekeeping import open_timekeeping, tell_time
from touchplate.server.upstream_metrics import upstream_gauges
from touchplate.server.vault import Vault, open_chain
from touchplate.server.witnessing import Keeper, Witnessing, open_witnessing, vkeys_route
from touchplate.storage.database import LogDatabase
from touchplate.storage.index import IndexDatabase
from touchplate.storage.objects import ObjectStore
from touchplate.tilelog.imports import check_imported
from touchplate.tilelog.log import TileLog
from touchplate.tilelog.settings import TileLogSettings
from touchplate.tlog.log import COUNTERS
from touchplate.tlog.routes import routes as tlog_routes
from touchplate.transport.asgi import Request, Response, Route
from touchplate.tsa.routes import routes as tsa_routes
from touchplate.tuf import Repository, RoleKeys
from touchplate.tuf.routes import routes as tuf_routes

Keys = Mapping[str, Signer]

# Beside the trust repository: both documents in one, for clients that take a file.
TRUST_CONFIG_PATH: Final = "/trust_config.json"


@dataclass(frozen=True, slots=True)
class Stores:
    """Where the deployment's state rests. `database` opens the one of a log, by its name."""

    objects: ObjectStore
    database: Callable[[str], LogDatabase]
    # Opens the search index's.
    index: Callable[[], IndexDatabase]


@dataclass(slots=True)
class Deployment:
    """All roles of one instance, running. Close it to end its logs."""

    origin: Origin
    routes: tuple[Route, ...]
    repository: Repository
    issuer: OwnIssuer
    # Who is believed; its file may be read again.
    issuers: Issuers
    certifying: Certifying
    lineage: Lineage
    publication: Publication
    authorities: Authorities
    now: Callable[[], datetime]
    # Whether checkpoints wait for witnesses.
    witnessed: bool
    # None: there is no search. It follows the log only once it is started.
    index: Index | None
    health: Health
    _open: ExitStack
    # Has the data folder remember the trees; set by who has one.
    remember: Callable[[], None] = lambda: None
    # Of how many trees and decisions clients and the data folder were told.
    _told: tuple[int, int] = (0, 0)

    @property
    def trusted_root(self) -> TrustedRoot:
        """Give what clients must trust now."""
        return self.publication.documents().trusted_root

    @property
    def signing_config(self) -> SigningConfig:
        """Give the services that clients sign with now."""
        return self.publication.documents().signing_config

    @property
    def shards(self) -> tlog.Shards:
        """Give the trees of the transparency log."""
        return self.lineage.shards

    @property
    def tlog(self) -> TileLog:
        """Give the tree of the transparency log that takes entries."""
        return self.shards.active.tiles

    @property
    def ct(self) -> TileLog:
        """Give the tree of the certificate log that takes entries."""
        return self.authorities.ct.holder().log

    def follow(self) -> bool:
        """Take up what another process has rotated to; say whether there was anything."""
        try:
            followed = self.shards.follow()
            trees = len(self.lineage.trees)
            # An entry that found its tree frozen may have taken it up; or the store was away then.
            if trees != self._told[0]:
                self.publication.publish()
        finally:
            # Also where the log's next tree cannot be opened: keys at their end sign no more.
            has_new_keys = self.authorities.follow()
        told = (trees, len(self.authorities.succession.decided))
        if told != self._told:
            self.remember()
            self._told = told
        return followed or has_new_keys

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
        keys = _open_keys(vault, settings)
        others = read_others(settings.ca)
        clock = open_timekeeping(opened, settings.tsa, now)
        logs = _Logs(opened, stores, settings.log)
        opening = _Opening(vault, keys, origin, now, settings, logs, clock, others)
        authorities = Authorities(
            Succession(stores.objects, created_at),
            origin,
            open_ca=opening.ca,
            open_tsa=opening.tsa,
            open_ct=opening.ct,
            first_chain=opening.first_chain,
            first_ct_key=opening.first_ct_key,
            now=now,
        )
        opening.accept(authorities.chains())
        authorities.adopted = opening.accept
        metrics = Metrics(counts)
        for name in COUNTERS:
            metrics.counts.add(name, 0)  # so that it is there before it first goes up
        trees = _Trees(logs, vault, origin, settings, now, metrics.counts.add)
        trees.limit = limited_entries(limits, authorities.issuing)
        lineage = Lineage(stores.objects, created_at, trees.open, now)
        shards = lineage.shards
        index = None
        if settings.index.enabled:
            index = open_index(opened, stores.index(), shards, _in_ms(now))
            lineage.adopted = partial(follow_tree, index)
        issuer = OwnIssuer(issuer_url(origin.url), keys[names.ISSUER])
        issuers = Issuers(issuer.as_issuer(), settings.issuers, limits)
        issuance = ca.Issuance(
            authenticate=limited_tokens(issuers.authenticate, limits),
            prepare=issuers.prepare,
            authority=authorities.ca.holder,
            submit=submit_to(authorities, settings.ca),
            now=now,
            settings=settings.ca.issuing,
        )
        certifying = Certifying(
            issuance,
            Desk(issuance, submit_in_loop(authorities, settings.ca)),
            issuers.rows,
            lambda: [
                tuple(each.der for each in chain) for chain in (*authorities.chains(), *others)
            ],
        )
        repository = _open_repository(stores, keys, now)
        publication = Publication(
            repository,
            lineage,
            origin,
            lambda trees: make_trusted_root(
                origin, signers=authorities.signers(), trees=trees, other_chains=others
            ),
            partial(make_signing_config, origin, created_at),
        )
        publication.publish()

        def publish() -> bool:
            publication.publish()
            return publication.names_all()

        authorities.publish = publish
        health = _health(
            *(repository, lineage, authorities),
            now=now,
            metrics=metrics,
            checks={
                "tlog": partial(check_trees, shards),
                "ct": lambda: check_log(authorities.ct.holder().log),
                "ca": authorities.ca.check,
                "tsa": authorities.tsa.check,
                "ca key": lambda: check_signer(authorities.ca.holder().signer),
                "tsa key": lambda: check_signer(authorities.tsa.holder().signer),
                "ct key": lambda: check_signer(authorities.ct.holder().signer),
                "tlog key": lambda: check_signer(shards.active.key.signer),
                "objects": partial(check_objects, stores.objects),
            },
        )
        if index is not None:
            of_trees = health.figures
            health = replace(
                health,
                figures=lambda: {**of_trees(), **index_figures(index)},
                details=lambda: {**tree_details(lineage), **index_details(index)},
            )
        health = tell_time(health, clock, now)
        return Deployment(
            origin=origin,
            routes=(
                *ca_routes(
                    issuance,
                    certifying.issuers,
                    certifying.others,
                    certifying.desk,
                ),
                *tlog_routes(
                    shards, index.find_v1 if index else None, _attestations(stores, shards)
                ),
                *(index_routes(index) if index else ()),
                *tsa_routes(authorities.tsa.holder),
                *ctlog_routes(authorities.find_ct, CT_PATH, LATER_CT_PATH, settings.ct.ctlog),
                *oidc_routes(issuer, ISSUER_PATH),
                *tuf_routes(repository),
                _trust_config_route(publication),
                vkeys_route(shards),
                front_route(origin),
                *health_routes(health),
                *openapi.routes(),
            ),
            repository=repository,
            issuer=issuer,
            issuers=issuers,
            certifying=certifying,
            lineage=lineage,
            publication=publication,
            authorities=authorities,
            now=now,
            witnessed=settings.witness.policy is not None,
            index=index,
            health=health,
            _told=(len(lineage.trees), len(authorities.succession.decided)),
            # From here on it is the caller who closes.
            _open=opened.pop_all(),
        )


def _open_keys(vault: Vault, settings: ServeSettings) -> Keys:
    """Open what is needed from the beginning; `_Opening` opens what can be exchanged."""
    kinds = {name: kind for name, kind in names.KINDS.items() if name not in ROLES}
    if settings.ca.chain is not None:
        del kinds[names.CA_ROOT]  # the operator has one elsewhere
    return {name: vault.key(name, kind) for name, kind in kinds.items()}


@dataclass(frozen=True, slots=True)
class _Logs:
    """Opens tile logs over the deployment's stores; they end with `opened`."""

    opened: ExitStack
    stores: Stores
    settings: LogSettings

    def open(
        self, settings: TileLogSettings, read: Reader, witnessing: Witnessing | None = None
    ) -> TileLog:
        """Open the log; `read` opens a checkpoint that our key signed."""
        database = self.stores.database(settings.name)
        self.opened.callback(database.close)
        check_imported(self.stores.objects, settings.name)
        check_database(database, settings.name, read)
        settings = replace(settings, max_waiting=self.settings.max_waiting)
        if witnessing is not None:
            settings = replace(settings, cosign=witnessing.of(database))
        log = TileLog(settings, database, self.stores.objects)
        self.opened.callback(log.close)
        if witnessing is not None:
            keeper = Keeper(partial(witnessing.publish_if_due, log, database))
            self.opened.callback(keeper.close)
        return log


class _Trees:
    """Opens trees of the transparency log, each with its own keys."""

    def __init__(
        self,
        logs: _Logs,
        vault: Vault,
        origin: Origin,
        settings: ServeSettings,
        now: Callable[[], datetime],
        count: Callable[[str], None],
    ) -> None:
        self._logs = logs
        self._vault = vault
        self._origin = origin
        self._witness = settings.witness
        self._now = now
        self._count = count
        self.limit: Callable[[bytes], None] | None = None
        given = logs.settings
        self._settings = tlog.TlogSettings(
            algorithms=given.algorithms,
            duplicate_is_conflict=given.duplicates == "conflict",
            accept_dsse_v002=given.dsse_v002,
            kinds=given.kinds,
            endpoints=given.endpoints,
            attestations=given.attestations,
            max_attestation_bytes=given.max_attestation_bytes,
        )

    def open(self, shard: Shard) -> tlog.TransparencyLog:
        """Open a tree. Raises KEY_NOT_FOUND if its key is not on this host."""
        signer = self._vault.key(shard.name, names.KINDS[names.TLOG])
        witnessing = open_witnessing(self._logs.opened, self._witness, self._now)
        for_witnesses = None
        if witnessing is not None:
            witnessing.count = self._count
            kind = names.LATER_KINDS[names.TLOG_ED25519]
            for_witnesses = self._vault.later_key(names.for_witnesses(shard.name), kind)
        key = tlog.log_key(shard.origin(self._origin).host, signer, for_witnesses=for_witnesses)
        read = partial(read_tlog_checkpoint, key.origin, key.signer.public_key)
        settings = tlog.tile_log_settings(key, _in_ms(self._now), shard.name)
        log = tlog.TransparencyLog(key, self._logs.open(settings, read, witnessing), self._settings)
        log.limit, log.count = self.limit, self._count
        return log


def _attestations(stores: Stores, shards: tlog.Shards) -> tlog.Attestations | None:
    settings = shards.active.settings
    if not settings.attestations:
        return None
    return tlog.Attestations(stores.objects, settings.max_attestation_bytes)


class _Opening:
    """Opens the keys of the authorities and of the certificate log, the first and later ones."""

    def __init__(
        self,
        vault: Vault,
        keys: Keys,
        origin: Origin,
        now: Callable[[], datetime],
        settings: ServeSettings,
        logs: _Logs,
        clock: tsa.Drift | None,
        others: Sequence[tuple[Certificate, ...]],
    ) -> None:
        self._vault = vault
        self._keys = keys
        self._origin = origin
        self._now = now
        self._settings = settings
        self._logs = logs
        self._clock = clock
        self._others = others
        self._roots: list[bytes] = []
        self._ct_logs: list[ctlog.CertificateLog] = []

    def first_chain(self, role: str) -> tuple[Certificate, ...]:
        """Give the chain that the instance begins with, made if this is its first start."""
        if role == names.CA:
            return parse_chain(
                first_ca_chain(self._vault, self._keys, self._origin, self._now, self._settings)
            )

        def make() -> tuple[bytes, ...]:
            return tsa.create_chain(
                self._keys[names.TSA_ROOT],
                self._vault.key(names.TSA, names.KINDS[names.TSA]),
                organization=self._origin.host[:MAX_NAME],
                common_name=f"{COMMON_NAME}-tsa",
                now=self._now(),
            )

        return parse_chain(open_chain(self._vault, role, make))

    def first_ct_key(self) -> PublicKey:
        """Give the key of the first certificate log."""
        known = self._vault.find_public_key(names.CT)
        return known or self._vault.key(names.CT, names.KINDS[names.CT]).public_key

    def ca(self, tenure: Tenure) -> ca.Authority:
        """Open an authority's key. Raises SettingsError, UnavailableError."""
        kind = self._settings.ca_key
        signer = check_key(tenure, self._vault.key(tenure.name, kind))
        return ca.Authority.load(signer, self._chain(tenure), self._now())

    def tsa(self, tenure: Tenure) -> tsa.Stamping:
        """Open a timestamp authority's key. Raises as `ca`."""
        signer = check_key(tenure, self._vault.key(tenure.name, names.KINDS[names.TSA]))
        return tsa.Stamping.load(
            signer,
            self._chain(tenure),
            self._now,
            self._settings.tsa.stamping,
            check_time=self._clock.check if self._clock else None,
        )

    def ct(self, tenure: Tenure, takes_entries: bool) -> ctlog.CertificateLog:  # noqa: FBT001  as `OpenCt` says
        """Open a certificate log. Raises as `ca`; one that took entries before needs no key."""
        signer = self._ct_signer(tenure, takes_entries=takes_entries)
        name = ct_origin(self._origin, tenure.number)
        read = partial(read_ct_checkpoint, name, signer.public_key)
        tiles = self._logs.open(
            ctlog.tile_log_settings(signer, name, _in_ms(self._now), tenure.name), read
        )
        log = ctlog.CertificateLog(
            tiles,
            signer,
            origin=name,
            roots=self._roots,
            objects=self._logs.stores.objects,
            name=tenure.name,
            settings=self._settings.ct.ctlog,
            find=LazyLeafIndex(self._logs.opened, self._logs.stores.index, tiles, tenure.name).find,
        )
        self._ct_logs.append(log)
        if not takes_entries and not isinstance(signer, RetiredSigner):
            freeze_ct(log, tenure.name)
        return log

    def accept(self, chains: Iterable[tuple[Certificate, ...]]) -> None:
        """Have the certificate logs take what these authorities issue, beside others."""
        own = [chain[-1].der for chain in (*chains, *self._others)]
        roots = accepted_roots(own, self._settings.ct.roots)
        if roots != self._roots:
            self._roots = roots
            for log in self._ct_logs:
                log.accept(roots)

    def _chain(self, tenure: Tenure) -> tuple[bytes, ...]:
        chain = tenure.certificates or self.first_chain(tenure.role)
        return tuple(each.der for each in chain)

    def _ct_signer(self, tenure: Tenure, *, takes_entries: bool) -> Signer:
        try:
            return check_key(tenure, self._vault.key(tenure.name, names.KINDS[names.CT]))
        except SettingsError as error:
            known = tenure.public_key or self._vault.find_public_key(tenure.name)
            if takes_entries or known is None or error.code != "KEY_NOT_FOUND":
                raise
            return RetiredSigner(known)


def _open_repository(stores: Stores, keys: Keys, now: Callable[[], datetime]) -> Repository:
    role_keys = RoleKeys(
        root=keys[names.TUF_ROOT],
        targets=keys[names.TUF_TARGETS],
        snapshot=keys[names.TUF_SNAPSHOT],
        timestamp=keys[names.TUF_TIMESTAMP],
    )
    return Repository(stores.objects, role_keys, now)


def _in_ms(now: Callable[[], datetime]) -> Callable[[], int]:
    return lambda: int(now().timestamp() * 1000)


def _trust_config_route(publication: Publication) -> Route:
    async def get_trust_config(request: Request) -> Response:
        # Not only what this process knows: it may not have taken up a rotation yet.
        config = await request.run(publication.published)
        body = encode_client_trust_config(config)
        return Response(200, body, headers=(("cache-control", "no-cache"),))

    return Route("GET", TRUST_CONFIG_PATH, get_trust_config, 0)


def _health(
    repository: Repository,
    lineage: Lineage,
    authorities: Authorities,
    *,
    now: Callable[[], datetime],
    metrics: Metrics,
    checks: Mapping[str, Check],
) -> Health:
    def expiries() -> dict[str, datetime]:
        return {
            **{f"tuf-{role}": at for role, at in repository.expiries().items()},
            **authorities.expiries(),
        }

    def check_expiries() -> None:
        for name, at in expiries().items():
            if at <= now():
                raise UnavailableError("SERVICE_UNAVAILABLE", f"{name} expired at {at}")

    return Health(
        checks={**checks, "expiry": check_expiries},
        sizes=lambda: {
            **{shard.name: log.tiles.checkpoint().size for shard, log in lineage.trees},
            **{name: log.log.checkpoint().size for name, log in authorities.ct_logs().items()},
        },
        expiries=expiries,
        metrics=metrics,
        figures=lambda: {**tree_figures(lineage), **upstream_gauges(expiries(), now())},
        details=partial(tree_details, lineage),
    )
