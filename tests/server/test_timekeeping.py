"""A deployment whose clock is watched, with real time servers on loopback."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from tests.server.conftest import until
from tests.transport.time_servers import TimeServer, honest, off_by, silent, time_servers
from touchplate.formats.timestamp import parse_timestamp_response
from touchplate.formats.timestamp_request import TimestampRequest, encode_timestamp_request
from touchplate.server.settings import ServeSettings, TsaSettings
from touchplate.testing import World
from touchplate.transport.http import Response

QUERY = encode_timestamp_request(TimestampRequest("sha256", bytes(32)))
HOUR = timedelta(hours=1)


def ask(world: World) -> Response:
    """Ask for a timestamp."""
    return world.transport.request(
        "POST",
        f"{world.url}/api/v1/timestamp",
        body=QUERY,
        headers=(("content-type", "application/timestamp-query"),),
    )


def told(world: World) -> dict[str, object]:
    """Read what /readyz tells of the clock."""
    response = world.transport.request("GET", f"{world.url}/readyz")
    assert response.status == 200
    found: dict[str, object] = json.loads(response.body)["time"]
    return found


def failures(world: World) -> list[str | None]:
    """Read why each source did not answer; None: it did."""
    sources = told(world)["sources"]
    assert isinstance(sources, list)
    return [each.get("failure") for each in sources]


def is_complete(world: World) -> bool:
    """Say whether all sources have answered."""
    found = failures(world)
    return bool(found) and not any(found)


@contextmanager
def watched(*servers: TimeServer, grace: float = 600) -> Iterator[World]:
    """Run a deployment that asks these servers, which have its own time.

    That stands still, so the bound is far above what a test takes; an hour is above it.
    """
    settings = TsaSettings(
        time_sources=tuple(server.source for server in servers),
        time_period_seconds=0.1,
        time_timeout_seconds=1,
        max_drift_seconds=1000,
        time_grace_seconds=grace,
    )
    with World(settings=ServeSettings(tsa=settings)) as world:
        for server in servers:
            server.now = world.clock
        until(lambda: told(world)["offset_seconds"] is not None or not settings.time_sources)
        yield world


@pytest.mark.slow
def test_stops_and_resumes() -> None:
    """Beyond the bound nothing is stamped, and it goes on by itself; all else goes on meanwhile."""
    with time_servers(honest, honest, silent) as servers, watched(*servers) as world:
        until(lambda: ask(world).status == 200)
        assert parse_timestamp_response(ask(world).body).token is not None

        servers[0].answer = servers[1].answer = off_by(HOUR)
        until(lambda: told(world)["state"] == "drifted")
        refused = ask(world)
        assert (refused.status, refused.header("retry-after")) == (503, "1")
        assert refused.header("content-type") == "application/timestamp-reply"
        assert refused.body.hex() == "300a30080201020303010002"
        world.token()

        servers[0].answer = servers[1].answer = honest
        until(lambda: ask(world).status == 200)


@pytest.mark.slow
def test_one_lies() -> None:
    """One source of three that is far off changes nothing, and is told of."""
    with time_servers(honest, off_by(HOUR), honest) as servers, watched(*servers) as world:
        until(lambda: ask(world).status == 200 and is_complete(world))
        metrics = world.transport.request("GET", f"{world.url}/metrics").body.decode()
        sources = told(world)["sources"]
        liar = servers[1].source

    assert isinstance(sources, list)
    assert [abs(each["offset_seconds"]) > 3000 for each in sources] == [False, True, False]
    assert "touchplate_time_proven 1\n" in metrics
    assert f'touchplate_time_source_offset_seconds{{source="{liar}"}} 3' in metrics


@pytest.mark.slow
def test_silence() -> None:
    """When half of the sources or more are silent, stamping goes on for the grace and then ends."""
    away = "SERVICE_UNAVAILABLE"
    with time_servers(honest, honest, honest) as servers, watched(*servers, grace=0.3) as world:
        until(lambda: ask(world).status == 200)
        servers[0].answer = servers[2].answer = silent
        until(lambda: failures(world) == [away, None, away] and ask(world).status == 503)


@pytest.mark.slow
def test_rejection_by_setting() -> None:
    """With rejections by RFC 3161 the status is 200, and the failure is the same."""
    with time_servers(off_by(HOUR)) as servers:
        settings = TsaSettings(time_sources=(servers[0].source,), rejections="rfc3161")
        with World(settings=ServeSettings(tsa=settings)) as world:
            servers[0].now = world.clock
            response = ask(world)

    assert (response.status, response.body.hex()) == (200, "300a30080201020303010002")


def test_off_by_default() -> None:
    """Without sources nothing is asked, and nothing is told."""
    with World() as world:
        assert ask(world).status == 200
        body = world.transport.request("GET", f"{world.url}/readyz").body
        metrics = world.transport.request("GET", f"{world.url}/metrics").body

    assert "time" not in json.loads(body)
    assert b"touchplate_time" not in metrics
