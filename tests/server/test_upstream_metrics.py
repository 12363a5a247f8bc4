"""Counts under upstream's names are ours, added up in their sense."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from touchplate.server.health import Metrics
from touchplate.server.upstream_metrics import DAYS_LEFT, name_grpc, upstream_counters
from touchplate.testing import World


def counted(*requests: tuple[str, str, int]) -> dict[str, int]:
    """Give upstream's counters after these answers."""
    metrics = Metrics()
    for each in requests:
        metrics.observe(*each, 0.1)
    return upstream_counters(metrics.counts.total())


def test_first_api() -> None:
    """Requests to the first API are counted by path, as upstream's description writes it."""
    found = counted(
        ("GET", "/api/v1/log", 200),
        ("GET", "/api/v1/log/entries/{uuid}", 404),
        ("POST", "/api/v1/log/entries/retrieve", 200),
        ("POST", "/api/v1/log/entries/retrieve/", 200),
        ("POST", "/api/v1/index/retrieve", 501),
    )

    assert found == {
        "fulcio_new_certs": 0,
        'rekor_qps_by_api{path="/api/v1/log",method="GET",code="200"}': 1,
        'rekor_qps_by_api{path="/api/v1/log/entries/{entryUUID}",method="GET",code="404"}': 1,
        'rekor_qps_by_api{path="/api/v1/log/entries/retrieve",method="POST",code="200"}': 2,
        'rekor_qps_by_api{path="/api/v1/index/retrieve",method="POST",code="501"}': 1,
    }


def test_second_api() -> None:
    """Requests to the second API are counted over its paths, with the method in lower case."""
    found = counted(
        ("POST", "/api/v2/log/entries", 201),
        ("POST", "/api/v2/log/entries", 201),
        ("GET", "/api/v2/checkpoint", 200),
        ("GET", "/checkpoint", 200),
        ("GET", "/api/v2/tile/{path...}", 200),
        ("GET", "/tile/{path...}", 404),
    )

    assert found == {
        "fulcio_new_certs": 0,
        'rekor_v2_http_requests_total{code="201",method="post"}': 2,
        'rekor_v2_http_requests_total{code="200",method="get"}': 3,
        'rekor_v2_http_requests_total{code="404",method="get"}': 1,
    }


def test_timestamps() -> None:
    """Requests to the timestamp authority are counted by path."""
    assert counted(
        ("POST", "/api/v1/timestamp", 200), ("GET", "/api/v1/timestamp/certchain", 200)
    ) == {
        "fulcio_new_certs": 0,
        'timestamp_authority_http_requests_total{code="200",path="/api/v1/timestamp",'
        'method="POST"}': 1,
        'timestamp_authority_http_requests_total{code="200",path="/api/v1/timestamp/certchain",'
        'method="GET"}': 1,
    }


def test_certificates() -> None:
    """A certificate counts however it was asked for; what was refused does not."""
    metrics = Metrics()
    for status in (200, 201, 400, 500):
        metrics.observe("POST", "/api/v2/signingCert", status, 0.1)
        metrics.observe("POST", "/api/v1/signingCert", status, 0.1)
    for code in ("OK", "OK", "InvalidArgument"):
        for service in ("dev.sigstore.fulcio.v2.CA", "dev.sigstore.fulcio.v1beta.CA"):
            metrics.observe_grpc(service, "CreateSigningCertificate", code)
    metrics.observe_grpc("dev.sigstore.fulcio.v2.CA", "GetTrustBundle", "OK")

    assert upstream_counters(metrics.counts.total()) == {"fulcio_new_certs": 8}


def test_others_have_none() -> None:
    """What upstream has no name for gets none: other routes, unknown paths, other counters."""
    metrics = Metrics()
    for pattern in ("", "/healthz", "/tuf/{name...}", "/api/v1/rootCert", "/api/v2/trustBundle"):
        metrics.observe("GET", pattern, 200, 0.1)
    metrics.counts.add("rekor_new_entries")
    metrics.counts.add('touchplate_witness_answers_total{witness="/api/v1/log",answer="late"}')

    assert upstream_counters(metrics.counts.total()) == {"fulcio_new_certs": 0}


def test_name_of_a_call() -> None:
    """A gRPC call is counted as Go's library names it."""
    assert name_grpc("dev.sigstore.rekor.v2.Rekor", "CreateEntry", "OK") == (
        'grpc_server_handled_total{grpc_type="unary",'
        'grpc_service="dev.sigstore.rekor.v2.Rekor",grpc_method="CreateEntry",grpc_code="OK"}'
    )


@pytest.fixture
def world() -> Iterator[World]:
    """A deployment."""
    with World(datetime(2030, 1, 1, tzinfo=UTC)) as world:
        yield world


def test_served(world: World) -> None:
    """After one signature by each API of the log the page says so."""
    for version in (1, 2):
        world.sign(b"%d" % version, tlog_version=version)
    world.clock.advance(timedelta(days=10))
    text = world.transport.request("GET", f"{world.url}/metrics").body.decode()

    for line in (
        "# TYPE fulcio_new_certs counter",
        "fulcio_new_certs 2",
        "rekor_new_entries 1",
        "rekor_v2_new_hashedrekord_entries 1",
        'rekor_qps_by_api{path="/api/v1/log/entries",method="POST",code="201"} 1',
        'rekor_v2_http_requests_total{code="201",method="post"} 1',
        f"# TYPE {DAYS_LEFT} gauge",
    ):
        assert f"{line}\n" in text
    days = next(line for line in text.splitlines() if line.startswith(DAYS_LEFT))
    expires = next(line for line in text.splitlines() if 'expires_at_seconds{name="tsa"}' in line)
    left = float(expires.split()[1]) - world.clock().timestamp()
    assert float(days.split()[1]) == pytest.approx(left / 86_400, rel=1e-4)
