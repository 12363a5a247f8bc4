"""The composition root: keys, storage and a clock become one deployment of all roles.

The only place where a role is given to another: the CA gets the CT log's submit function and the
issuer's keys, TUF gets what clients must know. `server.opening` calls it with a data folder,
`testing.World` with memory; nothing here knows which.

Whatever is handed to a role is handed here, in the order in which it is opened, so that what
depends on what is read in one place. What opens logs and keys is in `logs` and `holders`.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Final

from touchplate import ca, tlog
from touchplate.ca.desk import Desk
from touchplate.ca.routes import routes as ca_routes
from touchplate.ctlog.routes import routes as ctlog_routes
from touchplate.errors import UnavailableError
from touchplate.formats.signing_config import (
    SigningConfig,
    encode_client_trust_config,
)
from touchplate.formats.trusted_root import TrustedRoot
from touchplate.index import Index
from touchplate.index.routes import routes as index_routes
from touchplate.keystore import check_signer
from touchplate.oidc.issuer import OwnIssuer
from touchplate.oidc.routes import routes as oidc_routes
from touchplate.server import openapi
from touchplate.server import vault as names
from touchplate.server.authorities import (
    Authorities,
)
from touchplate.server.certifying import (
    Certifying,
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
from touchplate.server.holders import Holders
from touchplate.server.identities import limited_entries, limited_tokens
from touchplate.server.issuers import Issuers
from touchplate.server.limits import Limits
from touchplate.server.lineage import Lineage
from touchplate.server.logs import Logs, Stores, Trees, in_ms
from touchplate.server.publication import (
    CT_PATH,
    ISSUER_PATH,
    LATER_CT_PATH,
    Publication,
    issuer_url,
    make_signing_config,
    make_trusted_root,
)
from touchplate.server.searching import follow_tree, index_details, index_figures, open_index
from touchplate.server.settings import Origin, ServeSettings
from touchplate.server.succession import ROLES, Succession
from touchplate.server.timekeeping import open_timekeeping, tell_time
from touchplate.server.upstream_metrics import upstream_gauges
from touchplate.server.vault import Keys, Vault
from touchplate.server.witnessing import vkeys_route
from touchplate.tilelog.log import TileLog
from touchplate.tlog.log import COUNTERS
from touchplate.tlog.routes import routes as tlog_routes
from touchplate.transport.asgi import Request, Response, Route
from touchplate.tsa.routes import routes as tsa_routes
from touchplate.tuf import Repository, RoleKeys
from touchplate.tuf.routes import routes as tuf_routes

# Beside the trust repository: both documents in one, for clients that take a file.
TRUST_CONFIG_PATH: Final = "/trust_config.json"


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
        logs = Logs(opened, stores, settings.log)
        holders = Holders(vault, keys, origin, now, settings, logs, clock, others)
        authorities = Authorities(
            Succession(stores.objects, created_at),
            origin,
            open_ca=holders.ca,
            open_tsa=holders.tsa,
            open_ct=holders.ct,
            first_chain=holders.first_chain,
            first_ct_key=holders.first_ct_key,
            now=now,
        )
        holders.accept(authorities.chains())
        authorities.adopted = holders.accept
        metrics = Metrics(counts)
        for name in COUNTERS:
            metrics.counts.add(name, 0)  # so that it is there before it first goes up
        trees = Trees(logs, vault, origin, settings, now, metrics.counts.add)
        trees.limit = limited_entries(limits, authorities.issuing)
        lineage = Lineage(stores.objects, created_at, trees.open, now)
        shards = lineage.shards
        index = None
        if settings.index.enabled:
            index = open_index(opened, stores.index(), shards, in_ms(now))
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
    """Open what is needed from the beginning; `Holders` opens what can be exchanged."""
    kinds = {name: kind for name, kind in names.KINDS.items() if name not in ROLES}
    if settings.ca.chain is not None:
        del kinds[names.CA_ROOT]  # the operator has one elsewhere
    return {name: vault.key(name, kind) for name, kind in kinds.items()}


def _attestations(stores: Stores, shards: tlog.Shards) -> tlog.Attestations | None:
    settings = shards.active.settings
    if not settings.attestations:
        return None
    return tlog.Attestations(stores.objects, settings.max_attestation_bytes)


def _open_repository(stores: Stores, keys: Keys, now: Callable[[], datetime]) -> Repository:
    role_keys = RoleKeys(
        root=keys[names.TUF_ROOT],
        targets=keys[names.TUF_TARGETS],
        snapshot=keys[names.TUF_SNAPSHOT],
        timestamp=keys[names.TUF_TIMESTAMP],
    )
    return Repository(stores.objects, role_keys, now)


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
