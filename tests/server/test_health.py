"""What a deployment says about itself."""

import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from threading import Barrier

import pytest

from touchplate.errors import RefusedError, SettingsError, TouchplateError, UnavailableError
from touchplate.keys.signer import Signer
from touchplate.keystore.remote import RemoteSigner
from touchplate.server.health import Metrics
from touchplate.testing import World


@pytest.fixture
def world() -> Iterator[World]:
    """A deployment."""
    with World() as world:
        yield world


@pytest.mark.parametrize(
    ("path", "body"),
    [("/healthz", b'{"status":"SERVING"}'), ("/ping", b".")],
)
def test_alive(world: World, path: str, body: bytes) -> None:
    """A process that answers is alive, in the words of each upstream service."""
    response = world.transport.request("GET", world.url + path)
    assert (response.status, response.body) == (200, body)


def test_not_ready(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that cannot work is named with its error's code, and nothing else is told."""

    def fail() -> None:
        raise UnavailableError("STORAGE_UNAVAILABLE", "/srv/secret/place: no space")

    monkeypatch.setattr(world._databases["ct"], "state", fail)
    response = world.transport.request("GET", f"{world.url}/readyz")
    assert response.status == 503
    told = json.loads(response.body)
    assert (told["status"], told["failed"]) == ("NOT_SERVING", {"ct": "STORAGE_UNAVAILABLE"})
    assert "secret" not in response.body.decode()


@pytest.mark.slow
def test_not_ready_to_write(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a log can be read and not written it is not ready; then it is again by itself."""
    database = world._databases["tlog"]

    def fail() -> None:
        raise UnavailableError("STORAGE_UNAVAILABLE", "no space")

    with monkeypatch.context() as broken:
        broken.setattr(database, "transaction", fail)
        with pytest.raises(UnavailableError):
            world.sign(b"artifact")
        told = world.transport.request("GET", f"{world.url}/readyz")
        assert told.status == 503
        assert json.loads(told.body)["failed"] == {"tlog": "STORAGE_UNAVAILABLE"}
        assert world.transport.request("GET", f"{world.url}/checkpoint").status == 200
        assert world.transport.request("GET", f"{world.url}/healthz").status == 200
    deadline = time.monotonic() + 30
    while world.transport.request("GET", f"{world.url}/readyz").status != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    world.sign(b"artifact")


def test_no_objects(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object store that does not answer makes the service not ready."""

    def fail(_key: str) -> None:
        raise UnavailableError("STORAGE_UNAVAILABLE", "no answer")

    monkeypatch.setattr(world._objects, "get", fail)
    told = world.transport.request("GET", f"{world.url}/readyz")
    assert (told.status, json.loads(told.body)["failed"]["objects"]) == (
        503,
        "STORAGE_UNAVAILABLE",
    )


def test_cve_2026_49835_metrics(world: World) -> None:
    """Requests are counted by route; what a client made up is never a label."""
    for path in ("/nothing", "/tile/0/000", "/tile/0/001", "/made-up"):
        world.transport.request("GET", world.url + path)
    world.transport.request("MADEUP", f"{world.url}/made-up")
    world.sign(b"artifact")
    text = world.transport.request("GET", f"{world.url}/metrics").body.decode()

    assert 'requests_total{method="GET",route="/tile/{path...}",status="404"} 2\n' in text
    assert 'requests_total{method="",route="",status="404"} 3\n' in text
    assert "made" not in text.lower()
    assert 'touchplate_log_size{log="tlog"} 1\n' in text
    assert 'touchplate_log_size{log="ct"} 1\n' in text
    for name in ("ca", "tsa", "tuf-root", "tuf-timestamp"):
        assert f'touchplate_expires_at_seconds{{name="{name}"}} ' in text


def test_metrics_format() -> None:
    """Each line is a sample or a type, each type comes once, and numbers keep their digits."""
    metrics = Metrics()
    metrics.observe("GET", "/a", 200, 0.003)
    text = metrics.render({'x{a="1"}': 1893456000.0, 'x{a="2"}': 0, "y": 0.5}).decode()

    assert all(
        re.fullmatch(r"# TYPE \w+ \w+|\w+(\{.*\})? [0-9.]+", line) for line in text.splitlines()
    )
    histogram, _, text = text.partition('_count{method="GET",route="/a"} 1\n')
    assert histogram.startswith("# TYPE touchplate_http_request_seconds histogram\n")
    assert text == (
        "# TYPE fulcio_new_certs counter\n"
        "fulcio_new_certs 0\n"
        "# TYPE touchplate_http_requests_total counter\n"
        'touchplate_http_requests_total{method="GET",route="/a",status="200"} 1\n'
        "# TYPE x gauge\n"
        'x{a="1"} 1893456000\n'
        'x{a="2"} 0\n'
        "# TYPE y gauge\n"
        "y 0.5\n"
    )


@pytest.fixture
def messages() -> Iterator[list[str]]:
    """What the server tells its operator."""
    told: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]  # as documented
    logger = logging.getLogger("touchplate.server")
    logger.addHandler(handler)
    yield told
    logger.removeHandler(handler)


class Away:
    """Keys of a world that are elsewhere, in a store that may be away."""

    def __init__(self, world: World) -> None:
        self.fault: TouchplateError | None = None
        self.before: Callable[[], object] = lambda: None
        for name in ("ca", "tsa", "ct", "tlog"):
            key = world._vault._signers[name]
            world._vault._signers[name] = RemoteSigner(
                f"the key {name} there",
                key.public_key,
                partial(self._ask, key),
                monotonic=lambda: world.clock().timestamp(),
            )
        world.restart()

    def _ask(self, key: Signer, digest: bytes) -> bytes:
        self.before()
        if self.fault is not None:
            raise self.fault
        return key.sign_digest(digest)


def ready(world: World) -> tuple[int, dict[str, str]]:
    """Ask for readiness."""
    told = world.transport.request("GET", f"{world.url}/readyz")
    failed: dict[str, str] = json.loads(told.body)["failed"]
    return told.status, failed


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        UnavailableError("SERVICE_UNAVAILABLE", "token secret-label is away"),
        SettingsError("KEY_NOT_FOUND", "there is no secret-label"),
        RefusedError("SERVICE_REFUSED", "secret-label may not sign"),
    ],
)
def test_no_key_store(world: World, fault: TouchplateError, messages: list[str]) -> None:
    """Keys whose store is away make the service not ready, each named; then it is by itself."""
    away = Away(world)
    world.sign(b"artifact")
    assert ready(world) == (200, {})
    away.fault = fault
    assert ready(world) == (200, {})  # all of them signed a moment ago
    world.clock.advance(timedelta(seconds=11))
    names = ("ca key", "tsa key", "ct key", "tlog key")
    for _ in range(2):
        assert ready(world) == (503, dict.fromkeys(names, fault.code))
    with pytest.raises(TouchplateError):
        world.sign(b"another")
    body = world.transport.request("GET", f"{world.url}/readyz").body
    assert b"secret-label" not in body
    told = [text for text in messages if text.startswith("not ready: ca key")]
    assert len(told) == 1
    assert "secret-label" in told[0]

    away.fault = None
    world.clock.advance(timedelta(seconds=2))
    assert ready(world) == (200, {})
    world.sign(b"another")


def test_stores_that_hang(world: World) -> None:
    """They are waited for together: each check has begun before any of them has ended."""
    away = Away(world)
    world.clock.advance(timedelta(seconds=11))
    together = Barrier(4)
    away.before = lambda: together.wait(60)
    assert ready(world) == (200, {})
