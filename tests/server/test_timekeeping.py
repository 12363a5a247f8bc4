"""A deployment whose clock is watched, with real time servers on loopback."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from tests.transport.time_servers import TimeServer, honest, off_by, silent, time_servers
from touchplate.formats.timestamp import parse_timestamp_response
from touchplate.formats.timestamp_request import TimestampRequest, encode_timestamp_request
from touchplate.server.settings import ServeSettings, TsaSettings
from touchplate.testing import World
from touchplate.transport.http import Response

QUERY = encode_timestamp_request(TimestampRequest("sha256", bytes(32)))
HOUR = timedelta(hours=1)
SECONDS = 10.0


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


def until(condition: Callable[[], bool]) -> None:
    """Wait for a state that comes by itself."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)


@contextmanager
def watched(*servers: TimeServer, grace: float = 0.3) -> Iterator[World]:
    """Run a deployment that asks these servers, which have its own time."""
    settings = TsaSettings(
        time_sources=tuple(server.source for server in servers),
        time_period_seconds=0.1,
        time_timeout_seconds=0.05,
        time_grace_seconds=grace,
    )
    with World(settings=ServeSettings(tsa=settings)) as world:
        for server in servers:
            server.now = world.clock
        # A clock that stands still against the monotonic one is soon too far from it.
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
        until(lambda: ask(world).status == 200)
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
    with time_servers(honest, honest, honest) as servers, watched(*servers) as world:
        until(lambda: ask(world).status == 200)
        servers[0].answer = servers[2].answer = silent
        until(lambda: ask(world).status == 503)
        failures = [each.get("failure") for each in told(world)["sources"]]  # type: ignore[attr-defined]  # a list

    assert failures == ["SERVICE_UNAVAILABLE", None, "SERVICE_UNAVAILABLE"]


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
