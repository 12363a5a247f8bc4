"""What clients must know of a deployment: the trusted root and the signing config.

Both follow from the keys, the chains and the URL alone, so each start makes the same bytes. The
trusted root is of media type 0.1, which every client reads; a log's id is SHA-256 of its key, for
both versions of the log's API.
"""

from datetime import datetime, timedelta
from typing import Final

from touchplate.formats.certificate import Certificate
from touchplate.formats.signing_config import Selector, Service, SigningConfig
from touchplate.formats.trusted_root import (
    CertificateAuthority,
    Subject,
    TransparencyLog,
    TrustedRoot,
)
from touchplate.keys.public import PublicKey
from touchplate.server.settings import Origin

# A client whose clock is behind ours by less than this can use a new instance at once.
BACKDATED: Final = timedelta(minutes=5)

ISSUER_PATH: Final = "/oidc"
CT_PATH: Final = "/ct"
TIMESTAMP_PATH: Final = "/api/v1/timestamp"


def issuer_url(url: str) -> str:
    """Give the URL of a deployment's own issuer."""
    return url + ISSUER_PATH


def ct_origin(origin: Origin) -> str:
    """Give the name of the CT log. Without a port, which may change (see `url_follows_listen`)."""
    return origin.host + CT_PATH


def make_trusted_root(
    origin: Origin,
    *,
    created_at: datetime,
    ca_chain: tuple[Certificate, ...],
    tsa_chain: tuple[Certificate, ...],
    tlog_key: PublicKey,
    ct_key: PublicKey,
) -> TrustedRoot:
    """Name the deployment's two logs and two authorities; chains are leaf first, anchor last."""
    start = created_at - BACKDATED
    return TrustedRoot(
        tlogs=(_log(origin, origin.url, tlog_key, start),),
        certificate_authorities=(_authority(origin, origin.url, ca_chain, start),),
        ctlogs=(_log(origin, origin.url + CT_PATH, ct_key, start),),
        timestamp_authorities=(_authority(origin, origin.url + TIMESTAMP_PATH, tsa_chain, start),),
    )


def make_signing_config(origin: Origin, created_at: datetime) -> SigningConfig:
    """Name the services to sign with; the log's second API first, for clients take the first."""
    start = created_at - BACKDATED

    def service(url: str, version: int = 1) -> Service:
        # One operator, so that clients use one of the log's two APIs and not both.
        return Service(url, version, start, operator=origin.host)

    return SigningConfig(
        ca_urls=(service(origin.url),),
        oidc_urls=(service(issuer_url(origin.url)),),
        rekor_tlog_urls=(service(origin.url, 2), service(origin.url, 1)),
        rekor_tlog_config=Selector("ANY"),
        tsa_urls=(service(origin.url + TIMESTAMP_PATH),),
        tsa_config=Selector("ANY"),
    )


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


def _authority(
    origin: Origin, uri: str, chain: tuple[Certificate, ...], start: datetime
) -> CertificateAuthority:
    return CertificateAuthority(
        uri=uri,
        subject=Subject(origin.host, "touchplate"),
        chain=chain,
        # Not before the chain itself, which an interrupted first start may have made later.
        valid_from=max(start, *(certificate.not_before for certificate in chain)),
        operator=origin.host,
    )
