"""What clients get while several processes take up a rotation, each at a time of its own."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from touchplate.formats.signing_config import parse_client_trust_config, parse_signing_config
from touchplate.formats.trusted_root import TrustedRoot, encode_trusted_root, parse_trusted_root
from touchplate.server.app import App
from touchplate.server.build import Deployment
from touchplate.server.lineage import Lineage
from touchplate.server.publication import SIGNING_CONFIG, TRUSTED_ROOT
from touchplate.server.settings import parse_origin
from touchplate.server.vault import KINDS, TLOG
from touchplate.testing import World
from touchplate.testing.in_process import InProcessTransport

NEW_URL = "https://log2.touchplate.test"


@pytest.fixture
def world() -> Iterator[World]:
    """Give a deployment; its logs are proven at the end."""
    with World() as made:
        yield made
        made.check()


@contextmanager
def beside(world: World) -> Iterator[Deployment]:
    """Open the deployment once more, as another worker or a command does."""
    with closing(world._build()) as other:
        yield other


def published(world: World, name: str = TRUSTED_ROOT) -> bytes:
    """Give what a client of the TUF repository gets."""
    repository = world.deployment.repository
    timestamp = json.loads(repository.read("timestamp.json") or b"")
    version = timestamp["signed"]["meta"]["snapshot.json"]["version"]
    snapshot = json.loads(repository.read(f"{version}.snapshot.json") or b"")
    version = snapshot["signed"]["meta"]["targets.json"]["version"]
    targets = json.loads(repository.read(f"{version}.targets.json") or b"")
    digest = targets["signed"]["targets"][name]["hashes"]["sha256"]
    data = repository.read(f"targets/{digest}.{name}")
    assert data is not None
    return data


def known(root: TrustedRoot) -> list[bytes]:
    """Give the ids of the trees that a client believes."""
    return [log.log_id for log in root.tlogs]


def test_late_worker(world: World) -> None:
    """A worker that takes up the last rotation but one publishes nothing over the last one."""
    with beside(world) as late:
        world.rotate()
        world.rotate(NEW_URL)
        newest = published(world), published(world, SIGNING_CONFIG)
        assert len(parse_trusted_root(newest[0]).tlogs) == 3
        assert late.follow()
        assert len(late.shards.oldest_first) == 2
        assert (published(world), published(world, SIGNING_CONFIG)) == newest
        assert late.follow()
        assert (published(world), published(world, SIGNING_CONFIG)) == newest


def test_late_start(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that begins while the log is rotated publishes nothing over the rotation."""
    open_lineage = Lineage.__init__

    def rotate_after(self: Lineage, *given: object) -> None:
        open_lineage(self, *given)  # type: ignore[arg-type]
        monkeypatch.undo()
        world.rotate()

    monkeypatch.setattr(Lineage, "__init__", rotate_after)
    with beside(world) as late:
        assert len(late.shards.oldest_first) == 1
        assert known(parse_trusted_root(published(world))) == known(world.trusted_root)
        assert len(world.trusted_root.tlogs) == 2


def test_between_announcing_and_deciding(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever others publish, a tree is named in the trusted root from before it is decided."""
    with beside(world) as late:
        world.rotate()
        decide = Lineage.decide
        seen: list[tuple[int, int, int]] = []

        def decide_late(self: Lineage, *given: object) -> None:
            root = parse_trusted_root(published(world))
            assert late.follow()
            after = parse_trusted_root(published(world))
            with beside(world) as started:
                seen.append(
                    tuple(
                        len(each.tlogs)
                        for each in (  # type: ignore[arg-type]
                            root,
                            after,
                            parse_trusted_root(published(world)),
                        )
                    )
                )
                assert len(started.shards.oldest_first) == 2
            decide(self, *given)  # type: ignore[arg-type]

        monkeypatch.setattr(Lineage, "decide", decide_late)
        world.rotate()
    assert seen == [(3, 3, 3)]
    assert published(world) == encode_trusted_root(world.trusted_root)


def test_raced(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is overtaken while it publishes looks at what is there now."""
    with beside(world) as late:
        world.rotate()
        objects, put = world._objects, world._objects.put
        raced: list[str] = []

        def put_late(key: str, data: bytes) -> None:
            if key.endswith(".timestamp.json") and not raced:
                raced.append(key)
                world.rotate()
            put(key, data)

        # It has something to say: the order of a URL that nobody else has.
        late.publication._origin = parse_origin(world.url + ":8443")
        monkeypatch.setattr(objects, "put", put_late)
        late.follow()
        assert raced
    assert known(parse_trusted_root(published(world))) == known(world.trusted_root)
    assert len(world.trusted_root.tlogs) == 3


def test_taken_up_by_an_entry(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """When whoever rotates is gone after deciding, those who sign already publish the rest."""
    with beside(world) as other:
        with monkeypatch.context() as patched:
            patched.setattr(Deployment, "follow", lambda _: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                world.rotate(NEW_URL)
        # As the appender does for an entry that finds its tree frozen.
        assert other.shards.follow(other.shards.active)
        assert not other.follow()
        assert published(world) == encode_trusted_root(other.trusted_root)
        assert parse_signing_config(published(world, SIGNING_CONFIG)) == other.signing_config
        assert other.trusted_root.tlogs[0].valid_until is not None
        assert world.deployment.follow()


def test_store_away(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be published when a tree was taken up is published the next time."""
    from touchplate.errors import UnavailableError

    with beside(world) as other:
        with monkeypatch.context() as patched:
            patched.setattr(Deployment, "follow", lambda _: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                world.rotate(NEW_URL)

        def away(*_: object) -> None:
            raise UnavailableError("STORAGE_UNAVAILABLE", "no space")

        with monkeypatch.context() as patched:
            patched.setattr(world._objects, "put", away)
            with pytest.raises(UnavailableError):
                other.follow()
        assert not other.follow()
        assert parse_signing_config(published(world, SIGNING_CONFIG)) == other.signing_config
        assert world.deployment.follow()


def test_trust_config(world: World) -> None:
    """Every worker hands out what is published, also before it has taken up the rotation."""
    with beside(world) as late:
        app = App(late.routes, world._executor)
        transport = InProcessTransport({world.url: app})
        world.rotate(NEW_URL)
        response = transport.request("GET", world.url + "/trust_config.json")
        transport.close()
        assert len(late.shards.oldest_first) == 1
        config = parse_client_trust_config(response.body)
        assert encode_trusted_root(config.trusted_root) == published(world)
        assert known(config.trusted_root) == known(world.trusted_root)
        assert config.signing_config == world.signing_config


def test_interrupted_announcement(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tree that was announced and not decided stays named, and is named once when it is."""
    with monkeypatch.context() as patched:
        patched.setattr(Lineage, "decide", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            world.rotate()
    world.restart()
    announced = parse_trusted_root(published(world))
    key = world._vault.later_key("tlog-2", KINDS[TLOG]).public_key
    assert known(announced) == [*known(world.trusted_root), key.key_id]
    world.rotate()
    assert published(world) == encode_trusted_root(world.trusted_root)
    assert len(world.trusted_root.tlogs) == 2
