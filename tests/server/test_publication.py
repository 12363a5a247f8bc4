"""What clients are told, read back by our own formats and by sigstore-python."""

from datetime import UTC, datetime, timedelta

import pytest
from sigstore.models import ClientTrustConfig as OracleTrustConfig

from touchplate.ca import create_chain
from touchplate.formats.certificate import Certificate, parse_certificate
from touchplate.formats.signing_config import (
    ClientTrustConfig,
    encode_client_trust_config,
    parse_client_trust_config,
    select_services,
)
from touchplate.formats.trusted_root import TrustedRoot
from touchplate.keys.signer import generate
from touchplate.server.publication import (
    BACKDATED,
    Held,
    HeldLog,
    Signers,
    Tree,
    ct_url,
    make_signing_config,
    make_trusted_root,
)
from touchplate.server.settings import Origin, parse_origin

CREATED_AT = datetime(2026, 1, 1, tzinfo=UTC)
START = CREATED_AT - BACKDATED
ORIGINS = [
    parse_origin("http://127.0.0.1:7878"),
    parse_origin("https://sign.example.org"),
    parse_origin("http://[::1]:7878"),
]


def chain() -> tuple[Certificate, ...]:
    """Make a chain of two."""
    made = create_chain(
        generate("ecdsa-p384"),
        generate("ecdsa-p256"),
        organization="example.org",
        common_name="touchplate",
        now=CREATED_AT,
    )
    return tuple(parse_certificate(der) for der in made)


def trees(origin: Origin) -> tuple[Tree, ...]:
    """Give the first tree of a log, with a new key."""
    return (Tree(origin, generate("ecdsa-p256").public_key, CREATED_AT),)


def trusted_root(origin: Origin) -> TrustedRoot:
    """Make a trusted root with new keys."""
    return make_trusted_root(
        origin,
        signers=Signers(
            (Held(chain(), START),),
            (Held(chain(), START),),
            (HeldLog(ct_url(origin), generate("ecdsa-p256").public_key, START),),
        ),
        trees=trees(origin),
    )


@pytest.mark.parametrize("origin", ORIGINS)
def test_reads_back(origin: Origin) -> None:
    """What a client reads of the logs and authorities is what the server knows of them."""
    root = trusted_root(origin)
    config = ClientTrustConfig(root, make_signing_config(origin, CREATED_AT, trees(origin)))
    found = parse_client_trust_config(encode_client_trust_config(config))

    assert found.signing_config == config.signing_config
    for before, after in zip(
        (*root.tlogs, *root.ctlogs),
        (*found.trusted_root.tlogs, *found.trusted_root.ctlogs),
        strict=True,
    ):
        assert (after.log_id, after.key, after.name, after.checkpoint_key_id) == (
            before.log_id,
            before.key,
            origin.host,
            before.key.key_id[:4],
        )
    assert found.trusted_root.certificate_authorities[0].chain == (
        root.certificate_authorities[0].chain
    )


@pytest.mark.parametrize("origin", ORIGINS)
def test_sigstore_python_reads_it(origin: Origin) -> None:
    """sigstore-python takes the documents, and chooses the second version of the log's API."""
    signing_config = make_signing_config(origin, CREATED_AT, trees(origin))
    config = ClientTrustConfig(trusted_root(origin), signing_config)
    oracle = OracleTrustConfig.from_json(encode_client_trust_config(config).decode())

    (log,) = oracle.signing_config.get_tlogs()
    assert type(log).__name__ == "RekorV2Client"
    assert len(oracle.signing_config.get_tsas()) == 1
    assert oracle.signing_config.get_oidc_url() == origin.url + "/oidc"
    assert len(oracle.trusted_root.get_fulcio_certs()) == 2
    oracle.force_tlog_version = 1
    (log,) = oracle.signing_config.get_tlogs()
    assert type(log).__name__ == "RekorClient"


def test_our_choice() -> None:
    """Our own client chooses the second version too, and the first if it knows no other."""
    config = make_signing_config(ORIGINS[0], CREATED_AT, trees(ORIGINS[0]))
    services, selector = config.rekor_tlog_urls, config.rekor_tlog_config
    for supported, expected in (({1, 2}, 2), ({1}, 1)):
        (chosen,) = select_services(services, selector, supported, CREATED_AT)
        assert chosen.major_api_version == expected


def test_clock_behind() -> None:
    """A client whose clock is some minutes behind can use a new instance."""
    early = CREATED_AT - timedelta(minutes=4)
    root = trusted_root(ORIGINS[0])
    assert root.tlogs[0].covers(early)
    assert root.certificate_authorities[0].covers(early)
