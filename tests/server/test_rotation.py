"""Trees that follow each other: old bundles verify, new ones are made, nothing is lost."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from touchplate.errors import SettingsError, TouchplateError
from touchplate.formats.bundle import Bundle
from touchplate.formats.checkpoint import parse_checkpoint
from touchplate.formats.note import parse_note
from touchplate.formats.signing_config import select_services
from touchplate.merkle.proof import check_inclusion
from touchplate.merkle.tree import leaf_hash
from touchplate.server.lineage import frozen_line
from touchplate.server.settings import ServeSettings, WitnessSettings
from touchplate.testing import World
from touchplate.testing.world import EMAIL, START
from touchplate.verify import Artifact, identity, verify

NEW_URL = "https://log2.touchplate.test"


@pytest.fixture
def world() -> Iterator[World]:
    """Give a deployment; its logs are proven at the end."""
    with World() as made:
        yield made
        made.check()


def check(world: World, bundle: Bundle, artifact: bytes) -> None:
    """Verify a bundle with what is trusted now."""
    policy = identity(EMAIL, world.issuer)
    verify(bundle, Artifact.from_bytes(artifact), policy, world.trusted_root)


def served(world: World, path: str, url: str | None = None) -> tuple[int, bytes]:
    """GET a path."""
    response = world.transport.request("GET", (url or world.url) + path)
    return response.status, response.body


@pytest.mark.slow
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("url", [None, NEW_URL])
def test_sign_rotate_sign(world: World, url: str | None, version: int) -> None:
    """Bundles of both trees verify, each within its tree's window; each has its tree's proof."""
    before = world.sign(b"one", tlog_version=version)
    world.clock.advance(timedelta(days=200))
    world.rotate(url)
    after = world.sign(b"two", tlog_version=version)
    check(world, before, b"one")
    check(world, after, b"two")
    old, new = world.trusted_root.tlogs
    assert before.entries[0].log_id == old.log_id != new.log_id == after.entries[0].log_id
    assert old.valid_until is not None
    assert old.valid_until >= world.clock()
    assert new.valid_until is None
    assert new.name == ("log2.touchplate.test" if url else "touchplate.test")


def test_at_the_end(world: World) -> None:
    """An entry of the very instant of freezing verifies, and one after the window does not."""
    bundle = world.sign(b"last", tlog_version=1)
    world.rotate()
    check(world, bundle, b"last")
    old, new = world.trusted_root.tlogs
    at = datetime.fromtimestamp(bundle.entries[0].integrated_time, UTC)
    for until, ok in ((at, True), (at - timedelta(seconds=1), False)):
        root = world.trusted_root._replace(
            tlogs=(old._replace(valid_from=START - timedelta(days=1), valid_until=until), new)
        )
        policy = identity(EMAIL, world.issuer)
        if ok:
            verify(bundle, Artifact.from_bytes(b"last"), policy, root)
        else:
            with pytest.raises(TouchplateError):
                verify(bundle, Artifact.from_bytes(b"last"), policy, root)


def test_old_trust(world: World) -> None:
    """Whoever has not refreshed its trust is told of the log that it does not know."""
    trusted = world.trusted_root
    world.rotate()
    bundle = world.sign(b"new")
    policy = identity(EMAIL, world.issuer)
    with pytest.raises(TouchplateError) as caught:
        verify(bundle, Artifact.from_bytes(b"new"), policy, trusted)
    assert caught.value.hint is not None
    assert "refresh" in caught.value.hint


def test_virtual_index(world: World) -> None:
    """API v1 numbers entries over all trees; every promise and proof is of the entry's own tree."""
    bundles = [world.sign(bytes([number]), tlog_version=1) for number in range(2)]
    world.rotate()
    bundles += [world.sign(bytes([number]), tlog_version=1) for number in range(2, 5)]
    world.rotate(NEW_URL)
    bundles += [world.sign(b"\x05", tlog_version=1)]
    assert [bundle.entries[0].log_index for bundle in bundles] == list(range(6))
    for number, bundle in enumerate(bundles):
        check(world, bundle, bytes([number]))
        status, body = served(world, f"/api/v1/log/entries?logIndex={number}")
        assert status == 200
        (entry,) = json.loads(body).values()
        assert entry["logIndex"] == number
        assert bytes.fromhex(entry["logID"]) == bundle.entries[0].log_id
    _, body = served(world, "/api/v1/log")
    info = json.loads(body)
    assert [shard["treeSize"] for shard in info["inactiveShards"]] == [2, 3]
    assert info["treeSize"] == 1


def test_restart(world: World) -> None:
    """A start finds all trees in storage, and goes on in the newest."""
    first = world.sign(b"1")
    world.rotate()
    world.sign(b"2")
    root, config = world.trusted_root, world.signing_config
    world.restart()
    assert (world.trusted_root, world.signing_config) == (root, config)
    check(world, first, b"1")
    check(world, world.sign(b"3"), b"3")
    assert [log.tiles.checkpoint().size for log in world.deployment.shards.oldest_first] == [1, 2]


def test_tiles(world: World) -> None:
    """Each tree's files are below its own URL, and below its id; it says that it is frozen."""
    world.sign(b"1")
    world.rotate(NEW_URL)
    bundle = world.sign(b"2")
    old, new = world.deployment.shards.oldest_first
    for log, url in ((old, world.url), (new, NEW_URL)):
        for prefix in ("", "/api/v2", f"/shards/{log.key.tree_id:016x}"):
            status, body = served(world, f"{prefix}/checkpoint", url)
            assert status == 200
            assert parse_checkpoint(parse_note(body.decode())).origin == log.key.origin
    _, body = served(world, "/checkpoint")
    assert parse_checkpoint(parse_note(body.decode())).extensions == (frozen_line(START),)
    status, tile = served(world, "/tile/0/000.p/1", NEW_URL)
    assert status == 200
    assert tile == leaf_hash(bundle.entries[0].body)
    _, body = served(world, "/vkeys")
    assert len(body.split()) == 2


def test_frozen_line() -> None:
    """The line is in the style of Unix's `date`, after an em dash."""
    assert frozen_line(START) == "Log frozen \u2014 Tue Jan  1 00:00:00 UTC 2030"


def test_signing_config(world: World) -> None:
    """A tree with a URL of its own is a service of its own; clients choose the newest."""
    before = world.signing_config
    world.rotate()
    assert world.signing_config == before
    world.clock.advance(timedelta(days=1))
    world.rotate(NEW_URL)
    services = world.signing_config.rekor_tlog_urls
    assert [(each.url, each.major_api_version, each.valid_until is None) for each in services] == [
        (NEW_URL, 2, True),
        (NEW_URL, 1, True),
        (world.url, 2, False),
        (world.url, 1, False),
    ]
    for versions in ({1}, {2}, {1, 2}):
        selector = world.signing_config.rekor_tlog_config
        (chosen,) = select_services(services, selector, versions, world.clock())
        assert chosen.url == NEW_URL


def test_published(world: World) -> None:
    """Targets get a higher version, once for each change."""
    repository = world.deployment.repository
    assert repository.read("2.targets.json") is None
    world.rotate()
    assert repository.read("3.targets.json") is not None
    assert repository.read("4.targets.json") is None
    world.restart()
    assert world.deployment.repository.read("4.targets.json") is None


def test_health(world: World) -> None:
    """Metrics and /readyz tell of each tree."""
    world.sign(b"1")
    world.rotate()
    status, body = served(world, "/readyz")
    assert status == 200
    shards = json.loads(body)["shards"]
    assert [(each["name"], each["size"], each["frozen"]) for each in shards] == [
        ("tlog", 1, True),
        ("tlog-2", 0, False),
    ]
    _, body = served(world, "/metrics")
    for line in (
        'touchplate_log_size{log="tlog"} 1',
        'touchplate_log_size{log="tlog-2"} 0',
        'touchplate_log_frozen{log="tlog"} 1',
        'touchplate_log_frozen{log="tlog-2"} 0',
    ):
        assert line in body.decode().splitlines()


def test_search(world: World) -> None:
    """The search finds entries of all trees, also of one that came while it ran."""
    for number in range(2):
        world.sign(b"same artifact")
        world.rotate()
        del number
    world.sign(b"same artifact")
    world.index.catch_up()
    digest = sha256(b"same artifact").hexdigest()
    status, body = served(world, f"/api/search?digest=sha256:{digest}")
    assert status == 200
    found = json.loads(body)["rows"]
    pages = [found]
    while cursor := json.loads(body).get("next"):
        _, body = served(world, f"/api/search?digest=sha256:{digest}&cursor={cursor}")
        pages.append(json.loads(body)["rows"])
    assert sum(map(len, pages)) == 3


def test_same_entry_again(world: World) -> None:
    """A request that is sent again after the rotation is an entry of the new tree, not an error."""
    bundle = world.sign(b"1", tlog_version=1)
    body = bundle.entries[0].body
    world.rotate()
    url = f"{world.url}/api/v1/log/entries/{leaf_hash(body).hex()}"
    status, found = served(world, url.removeprefix(world.url))
    assert status == 200
    (old,) = world.deployment.shards.frozen
    assert next(iter(json.loads(found))).startswith(f"{old.key.tree_id:016x}")


def test_witnesses_want_a_name(tmp_path: object) -> None:
    """With witnesses the new tree needs a name of its own: they would take it for a fork."""
    from touchplate.server.rotation import _check_name

    with World() as world:
        settings = ServeSettings(witness=WitnessSettings())
        _check_name(world.deployment, settings, None)
        settings = replace(settings, witness=replace(settings.witness, policy="policy"))  # type: ignore[arg-type]
        with pytest.raises(SettingsError) as caught:
            _check_name(world.deployment, settings, None)
        assert "--url" in str(caught.value.hint)


def test_inclusion(world: World) -> None:
    """The proof in a bundle of the frozen tree leads to its own checkpoint."""
    bundle = world.sign(b"1")
    world.rotate()
    entry = bundle.entries[0]
    assert entry.proof is not None
    checkpoint = parse_checkpoint(parse_note(entry.proof.checkpoint))
    check_inclusion(
        entry.log_index, checkpoint.size, leaf_hash(entry.body), entry.proof.hashes, checkpoint.root
    )
