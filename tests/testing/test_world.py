"""The world in memory: it is the real thing, at any time, and it proves its own logs."""

import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from touchplate.errors import RefusedError, UnavailableError, VerificationError
from touchplate.server.publication import issuer_url
from touchplate.testing import World
from touchplate.verify import Artifact, policy, verify

EMAIL = "maker@example.com"


@pytest.fixture
def world() -> Iterator[World]:
    """A world whose logs are proven after the test."""
    with World() as world:
        yield world
        world.check()


@pytest.mark.parametrize("tlog_version", [1, 2])
def test_sign(world: World, tlog_version: int) -> None:
    """What the world signs, it proves: for whom, by which issuer, at its own time."""
    bundle = world.sign(b"artifact", EMAIL, tlog_version=tlog_version)
    verdict = verify(
        bundle,
        Artifact.from_bytes(b"artifact"),
        policy.identity(EMAIL, world.issuer),
        world.trusted_root,
    )
    assert {time.at for time in verdict.times} == {world.clock()}
    assert bundle.entries[0].kind_version == {1: "0.0.1", 2: "0.0.2"}[tlog_version]


def test_sign_statement(world: World) -> None:
    """A statement is signed and proven too."""
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "a", "digest": {"sha256": sha256(b"artifact").hexdigest()}}],
        "predicateType": "https://example.org/predicate/v1",
        "predicate": {},
    }
    bundle = world.sign_statement(json.dumps(statement).encode())
    verdict = verify(
        bundle,
        Artifact.from_bytes(b"artifact"),
        policy.identity(EMAIL, world.issuer),
        world.trusted_root,
    )
    assert verdict.statement is not None


def test_clock(world: World) -> None:
    """Time passes only when it is told to: a token expires, a bundle stays proven."""
    token = world.token()
    signer = world.signer()
    bundle = world.sign(b"artifact")
    world.clock.advance(timedelta(minutes=11))

    with pytest.raises(RefusedError) as caught:
        signer.sign(Artifact.from_bytes(b"late"))
    assert caught.value.code == "TOKEN_REFUSED"
    response = world.transport.request(
        "POST",
        f"{world.url}/api/v2/signingCert",
        body=json.dumps({"credentials": {"oidcIdentityToken": token}}).encode(),
    )
    assert response.status == 400
    verify(
        bundle,
        Artifact.from_bytes(b"artifact"),
        policy.identity(EMAIL, world.issuer),
        world.trusted_root,
    )


def test_restart(world: World) -> None:
    """After a restart the keys, the entries and the trust root are the same."""
    before = world.trusted_root
    world.sign(b"one")
    world.check()
    world.restart()
    world.sign(b"two")

    assert world.trusted_root == before
    assert world.deployment.tlog.checkpoint().size == 2


def test_years_pass(world: World) -> None:
    """After years of daily renewal a client still gets the trust root, and signs."""
    for _ in range(3):
        world.clock.advance(timedelta(days=360))
        assert world.deployment.refresh()
    world.sign(b"artifact")
    response = world.transport.request("GET", f"{world.url}/readyz")
    assert response.status == 200


def test_not_renewed(world: World) -> None:
    """A deployment whose trust root has expired says that it is not ready, and what failed."""
    world.clock.advance(timedelta(days=8))
    response = world.transport.request("GET", f"{world.url}/readyz")
    assert (response.status, json.loads(response.body)["failed"]) == (
        503,
        {"expiry": "SERVICE_UNAVAILABLE"},
    )


def test_check_finds_a_change() -> None:
    """A log that was rewritten behind the world's back does not pass."""
    with World() as world:
        world.sign(b"one")
        world.check()
        with world._databases["tlog"].transaction() as transaction:
            state = transaction.state()
            assert state is not None
        (segment,) = world._databases["tlog"].segments(0, 1)
        object.__setattr__(segment, "records", segment.records[:-1] + b"!")
        with pytest.raises(VerificationError) as caught:
            world.check()
        assert caught.value.code == "TLOG_INVALID"


def test_no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the world goes through the network."""

    def refuse(*_: object) -> None:
        raise AssertionError("a connection was made")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "bind", refuse)
    with World() as world:
        world.sign(b"artifact")
        with pytest.raises(UnavailableError):
            world.transport.request("GET", "https://other.test/")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1234", "https://sign.example.org"])
@pytest.mark.parametrize("ca_key", ["ecdsa-p256", "ecdsa-p384"])
def test_elsewhere(url: str, ca_key: str) -> None:
    """A world may have another URL, another time and another kind of CA key."""
    with World(datetime(2040, 1, 1, tzinfo=UTC), url=url, ca_key=ca_key) as world:
        world.sign(b"artifact")
        world.check()
        assert world.issuer == issuer_url(url)
