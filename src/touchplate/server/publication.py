"""What clients must know of a deployment: the trusted root and the signing config.

Both follow from the keys, the chains, the URL, the log's trees and what was decided about keys, so
each process makes the same bytes. The trusted root is of media type 0.1, which every client reads;
a log's id is SHA-256 of its key, for both versions of the log's API.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, Protocol

from touchplate.formats.certificate import Certificate
from touchplate.formats.signing_config import (
    ClientTrustConfig,
    Selector,
    Service,
    SigningConfig,
    encode_signing_config,
    parse_signing_config,
)
from touchplate.formats.trusted_root import (
    CertificateAuthority,
    Subject,
    TransparencyLog,
    TrustedRoot,
    encode_trusted_root,
    parse_trusted_root,
)
from touchplate.keys.public import PublicKey
from touchplate.server.lineage import Lineage
from touchplate.server.settings import Origin
from touchplate.tuf import Repository

# A client whose clock is behind ours by less than this can use a new instance at once.
BACKDATED: Final = timedelta(minutes=5)

TRUSTED_ROOT: Final = "trusted_root.json"
SIGNING_CONFIG: Final = "signing_config.v0.2.json"

ISSUER_PATH: Final = "/oidc"
CT_PATH: Final = "/ct"
# Of certificate logs after the first: this, their number, and the same.
LATER_CT_PATH: Final = "/ct-logs"
TIMESTAMP_PATH: Final = "/api/v1/timestamp"


def issuer_url(url: str) -> str:
    """Give the URL of a deployment's own issuer."""
    return url + ISSUER_PATH


def ct_path(number: int) -> str:
    """Give the path of the certificate log with this number, from 1."""
    return CT_PATH if number == 1 else f"{LATER_CT_PATH}/{number}{CT_PATH}"


def ct_url(origin: Origin, number: int = 1) -> str:
    """Give the URL of the certificate log with this number."""
    return origin.url + ct_path(number)


def ct_origin(origin: Origin, number: int = 1) -> str:
    """Give the name of a CT log. Without a port, which may change (see `url_follows_listen`)."""
    return origin.host + ct_path(number)


class Held(NamedTuple):
    """An authority and its window, as clients know them."""

    # Leaf or issuing certificate first, anchor last.
    chain: tuple[Certificate, ...]
    valid_from: datetime
    # None: it signs until another one is decided on.
    valid_until: datetime | None = None


class HeldLog(NamedTuple):
    """A certificate log and its window, as clients know them."""

    url: str
    key: PublicKey
    valid_from: datetime
    valid_until: datetime | None = None


class Signers(NamedTuple):
    """All that sign beside the transparency log, oldest first: those of today, before and later."""

    authorities: tuple[Held, ...]
    stampers: tuple[Held, ...]
    ct_logs: tuple[HeldLog, ...]


class Tree(NamedTuple):
    """A tree of the transparency log, as clients know it."""

    origin: Origin
    key: PublicKey
    created_at: datetime
    # When it took its last entry, or later; None: it takes entries.
    frozen_at: datetime | None = None

    @property
    def valid_until(self) -> datetime | None:
        """Give the end of its window: no entry, nor its timestamp by a clock ahead, is later."""
        if self.frozen_at is None:
            return None
        # Whole seconds, the next one: older clients read no fractions.
        return self.frozen_at.replace(microsecond=0) + timedelta(seconds=1) + BACKDATED


class MakeRoot(Protocol):
    """Makes the trusted root of a deployment."""

    def __call__(self, *, trees: Sequence[Tree]) -> TrustedRoot:
        """Name these trees of the transparency log, oldest first, beside all else."""


def make_trusted_root(
    origin: Origin,
    *,
    signers: Signers,
    trees: Sequence[Tree],
    other_chains: Sequence[tuple[Certificate, ...]] = (),
) -> TrustedRoot:
    """Name the deployment's logs and authorities, all that ever signed, oldest first.

    Bundles of each are to be verified for ever. `other_chains` are of authorities that are not this
    deployment's, believed while they are valid.
    """
    own = {each.chain for each in signers.authorities}
    return TrustedRoot(
        tlogs=tuple(
            _log(tree.origin, tree.origin.url, tree.key, tree.created_at - BACKDATED)._replace(
                valid_until=tree.valid_until, operator=origin.host
            )
            for tree in trees
        ),
        certificate_authorities=(
            *(_authority(origin, origin.url, each) for each in signers.authorities),
            *(_other_authority(origin, chain) for chain in other_chains if chain not in own),
        ),
        ctlogs=tuple(
            _log(origin, each.url, each.key, each.valid_from)._replace(valid_until=each.valid_until)
            for each in signers.ct_logs
        ),
        timestamp_authorities=tuple(
            _authority(origin, origin.url + TIMESTAMP_PATH, each) for each in signers.stampers
        ),
    )


def make_signing_config(
    origin: Origin, created_at: datetime, trees: Sequence[Tree]
) -> SigningConfig:
    """Name the services to sign with; the log's second API first, for clients take the first.

    A tree that has a URL of its own is a service of its own, the newest first.
    """
    start = created_at - BACKDATED

    def service(url: str, version: int = 1) -> Service:
        # One operator, so that clients use one of the log's two APIs and not both, and one tree.
        return Service(url, version, start, operator=origin.host)

    windows: dict[str, tuple[datetime, datetime | None]] = {}
    for tree in reversed(trees):
        since, until = tree.created_at - BACKDATED, tree.valid_until
        later = windows.get(tree.origin.url)
        windows[tree.origin.url] = (since, until) if later is None else (since, later[1])
    logs = [
        replace(service(url, version), valid_from=since, valid_until=until)
        for url, (since, until) in windows.items()
        for version in (2, 1)
    ]

    return SigningConfig(
        ca_urls=(service(origin.url),),
        oidc_urls=(service(issuer_url(origin.url)),),
        rekor_tlog_urls=tuple(logs),
        rekor_tlog_config=Selector("ANY"),
        tsa_urls=(service(origin.url + TIMESTAMP_PATH),),
        tsa_config=Selector("ANY"),
    )


class Publication:
    """Keeps the trust repository as the log's trees are. Any thread may call the methods.

    Processes take up a rotation at times of their own, and each may publish: whoever knows less
    than what is published leaves that. So a tree that was named once is named for ever, and clients
    know it before any process signs with it.
    """

    def __init__(
        self,
        repository: Repository,
        lineage: Lineage,
        origin: Origin,
        make_root: MakeRoot,
        make_config: Callable[[Sequence[Tree]], SigningConfig],
    ) -> None:
        self._repository = repository
        self._lineage = lineage
        self._origin = origin
        self._make_root = make_root
        self._make_config = make_config

    def documents(self, *announced: Tree) -> ClientTrustConfig:
        """Give what clients must know; `announced` are trees that do not take entries yet."""
        trees = (*self._trees(), *announced)
        current = trees[: len(trees) - len(announced)]
        return ClientTrustConfig(self._make_root(trees=trees), self._make_config(current))

    def publish(self, *announced: Tree) -> None:
        """Make it what clients get, durably, if it is not so already."""

        def make(published: Mapping[str, bytes]) -> Mapping[str, bytes] | None:
            # It was decided after it was published: then what is published has this tree too.
            if self._lineage.is_behind:
                return None
            found = self.documents(*announced)
            return {
                TRUSTED_ROOT: encode_trusted_root(
                    _with_announced(found.trusted_root, published.get(TRUSTED_ROOT))
                ),
                SIGNING_CONFIG: encode_signing_config(found.signing_config),
            }

        self._repository.publish_after(make)

    def names_all(self) -> bool:
        """Say whether what clients get names every authority and certificate log decided on."""
        wanted = self._make_root(trees=())
        return _signers_of(wanted) <= _signers_of(self.published().trusted_root)

    def published(self) -> ClientTrustConfig:
        """Give what clients get now, of which this process may not know all yet."""
        found = self._repository.published()
        return ClientTrustConfig(
            parse_trusted_root(found[TRUSTED_ROOT]), parse_signing_config(found[SIGNING_CONFIG])
        )

    def _trees(self) -> list[Tree]:
        described = self._lineage.trees
        trees = []
        for shard, log in described:
            frozen_at = None
            # The last one stays open for clients, also if nothing comes after it.
            if log is not described[-1][1] and log.tiles.is_frozen:
                frozen_at = datetime.fromtimestamp(log.tiles.committed().time_ms / 1000, UTC)
            origin = shard.origin(self._origin)
            key = log.key.signer.public_key
            trees.append(Tree(origin, key, shard.created_at, frozen_at))
        return trees


def _signers_of(root: TrustedRoot) -> set[tuple[object, ...]]:
    """Give keys and windows. Hosts may have been told different URLs, which is another fault."""
    return {
        *((log.log_id, log.valid_from, log.valid_until) for log in root.ctlogs),
        *(
            (each.chain, each.valid_from, each.valid_until)
            for each in (*root.certificate_authorities, *root.timestamp_authorities)
        ),
    }


def _with_announced(root: TrustedRoot, published: bytes | None) -> TrustedRoot:
    """Keep the trees that another process has announced, and may decide on at any time."""
    if published is None:
        return root
    known = {log.log_id for log in root.tlogs}
    others = [log for log in parse_trusted_root(published).tlogs if log.log_id not in known]
    return root._replace(tlogs=(*root.tlogs, *others))


def _log(origin: Origin, url: str, key: PublicKey, start: datetime) -> TransparencyLog:
    return TransparencyLog(
        base_url=url,
        key=key,
        algorithm=key.algorithms[0],
        log_id=key.key_id,
        checkpoint_key_id=key.key_id[:4],
        valid_from=start,
        operator=origin.host,
        name=origin.host,
    )


def _other_authority(origin: Origin, chain: tuple[Certificate, ...]) -> CertificateAuthority:
    begins = max(certificate.not_before for certificate in chain)
    ends = min(certificate.not_after for certificate in chain)
    return _authority(origin, origin.url, Held(chain, begins, ends))


def _authority(origin: Origin, uri: str, held: Held) -> CertificateAuthority:
    return CertificateAuthority(
        uri=uri,
        subject=Subject(origin.host, "touchplate"),
        chain=held.chain,
        # Not before the chain itself, which an interrupted first start may have made later.
        valid_from=max(held.valid_from, *(each.not_before for each in held.chain)),
        valid_until=held.valid_until,
        operator=origin.host,
    )
