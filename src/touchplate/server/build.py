"""The composition root: keys, storage and a clock become one deployment of all roles.

The only place where a role is given to another: the CA gets the CT log's submit function and the
issuer's keys, TUF gets what clients must know. `server.opening` calls it with a data folder,
`testing.World` with memory; nothing here knows which.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
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
from touchplate.keys.signer import Signer
from touchplate.oidc.issuer import OwnIssuer
from touchplate.oidc.issuers import Authenticator
from touchplate.oidc.routes import routes as oidc_routes
from touchplate.server import vault as names
from touchplate.server.health import Health, Metrics
from touchplate.server.health import routes as health_routes
from touchplate.server.publication import (
    CT_PATH,
    ct_origin,
    issuer_url,
    make_signing_config,
    make_trusted_root,
)
from touchplate.server.settings import Origin
from touchplate.server.vault import Vault, open_chain
from touchplate.storage.database import LogDatabase
from touchplate.storage.objects import ObjectStore
from touchplate.tilelog.log import TileLog
from touchplate.tlog.routes import routes as tlog_routes
from touchplate.transport.asgi import Request, Response, Route
from touchplate.tsa.routes import routes as tsa_routes
from touchplate.tuf import Repository, RoleKeys
from touchplate.tuf.routes import routes as tuf_routes

# RFC 5280, appendix A.1: a name in a certificate has at most 64 characters.
MAX_NAME: Final = 64
COMMON_NAME: Final = "touchplate"

TRUSTED_ROOT: Final = "trusted_root.json"
SIGNING_CONFIG: Final = "signing_config.v0.2.json"
# Beside the trust repository: both documents in one, for clients that take a file.
TRUST_CONFIG_PATH: Final = "/trust_config.json"


@dataclass(frozen=True, slots=True)
class Stores:
    """Where the deployment's state rests. `database` opens the one of a log, by its name."""

    objects: ObjectStore
    database: Callable[[str], LogDatabase]


@dataclass(frozen=True, slots=True)
class Deployment:
    """All roles of one instance, running. Close it to end its logs."""

    origin: Origin
    routes: tuple[Route, ...]
    trusted_root: TrustedRoot
    signing_config: SigningConfig
    repository: Repository
    issuer: OwnIssuer
    tlog: TileLog
    ct: TileLog
    health: Health
    databases: tuple[LogDatabase, ...]

    def refresh(self) -> bool:
        """Renew what the trust repository has to renew; call it at least daily."""
        return self.repository.refresh()

    def close(self) -> None:
        """Commit what waits in the logs and release what is below them."""
        for log in (self.tlog, self.ct):
            log.close()
        for database in self.databases:
            database.close()


def build(
    vault: Vault,
    stores: Stores,
    origin: Origin,
    *,
    created_at: datetime,
    ca_key: str,
    now: Callable[[], datetime],
) -> Deployment:
    """Put a deployment together, making keys and chains that are not there if the vault allows.

    Everything it makes is durable when this returns, the trust root last. Raises SettingsError for
    keys, chains or stores that do not belong together, UnavailableError if a store fails.
    """
    kinds = {**names.KINDS, names.CA: ca_key}
    signers = {name: vault.key(name, kind) for name, kind in kinds.items()}
    organization = origin.host[:MAX_NAME]
    ca_chain = open_chain(
        vault,
        names.CA,
        lambda: ca.create_chain(
            signers[names.CA_ROOT],
            signers[names.CA],
            organization=organization,
            common_name=COMMON_NAME,
            now=now(),
        ),
    )
    tsa_chain = open_chain(
        vault,
        names.TSA,
        lambda: tsa.create_chain(
            signers[names.TSA_ROOT],
            signers[names.TSA],
            organization=organization,
            common_name=f"{COMMON_NAME}-tsa",
            now=now(),
        ),
    )
    authority = ca.Authority.load(signers[names.CA], ca_chain, now())
    stamping = tsa.Stamping.load(signers[names.TSA], tsa_chain, now)

    log_key = tlog.log_key(origin.host, signers[names.TLOG])

    def now_ms() -> int:
        return int(now().timestamp() * 1000)

    tlog_database, ct_database = stores.database("tlog"), stores.database("ct")
    tlog_tiles = TileLog(tlog.tile_log_settings(log_key, now_ms), tlog_database, stores.objects)
    ct_tiles = TileLog(
        ctlog.tile_log_settings(signers[names.CT], ct_origin(origin), now_ms),
        ct_database,
        stores.objects,
    )
    log = tlog.TransparencyLog(log_key, tlog_tiles)
    certificate_log = ctlog.CertificateLog(
        ct_tiles,
        signers[names.CT],
        origin=ct_origin(origin),
        roots=ca_chain[-1:],
        objects=stores.objects,
    )

    issuer = OwnIssuer(issuer_url(origin.url), signers[names.ISSUER])
    authenticator = Authenticator([issuer.as_issuer()])
    issuance = ca.Issuance(
        authenticate=authenticator.authenticate,
        authority=lambda: authority,
        submit=certificate_log.submit_own,
        now=now,
    )

    trusted_root = make_trusted_root(
        origin,
        created_at=created_at,
        ca_chain=authority.chain,
        tsa_chain=stamping.chain,
        tlog_key=signers[names.TLOG].public_key,
        ct_key=signers[names.CT].public_key,
    )
    signing_config = make_signing_config(origin, created_at)
    repository = Repository(stores.objects, _tuf_keys(signers), now)
    repository.publish(
        {
            TRUSTED_ROOT: encode_trusted_root(trusted_root),
            SIGNING_CONFIG: encode_signing_config(signing_config),
        }
    )
    health = _health(repository, tlog_tiles, ct_tiles, authority, stamping, now)
    return Deployment(
        origin=origin,
        routes=(
            *ca_routes(issuance, authenticator.issuers),
            *ctlog_routes(certificate_log, CT_PATH),
            *tlog_routes(log),
            *tsa_routes(stamping),
            *oidc_routes(issuer),
            *tuf_routes(repository),
            _trust_config_route(ClientTrustConfig(trusted_root, signing_config)),
            *health_routes(health),
        ),
        trusted_root=trusted_root,
        signing_config=signing_config,
        repository=repository,
        issuer=issuer,
        tlog=tlog_tiles,
        ct=ct_tiles,
        health=health,
        databases=(tlog_database, ct_database),
    )


def _tuf_keys(signers: dict[str, Signer]) -> RoleKeys:
    return RoleKeys(
        root=signers[names.TUF_ROOT],
        targets=signers[names.TUF_TARGETS],
        snapshot=signers[names.TUF_SNAPSHOT],
        timestamp=signers[names.TUF_TIMESTAMP],
    )


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
    now: Callable[[], datetime],
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
        checks={
            "tlog": lambda: _read(tlog_tiles),
            "ct": lambda: _read(ct_tiles),
            "expiry": check_expiries,
        },
        sizes=lambda: {
            "tlog": tlog_tiles.checkpoint().size,
            "ct": ct_tiles.checkpoint().size,
        },
        expiries=expiries,
        metrics=Metrics(),
    )


def _read(log: TileLog) -> None:
    log.checkpoint()
