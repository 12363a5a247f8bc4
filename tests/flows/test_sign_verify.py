"""Whole flows in memory: trust an instance, sign with it, verify much later, without it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from touchplate.errors import VerificationError
from touchplate.formats.bundle import parse_bundle
from touchplate.sign import Signer, connect
from touchplate.testing import World
from touchplate.trust import Instance, TrustStore
from touchplate.trust.add import add_instance
from touchplate.trust.refresh import refresh
from touchplate.verify import Artifact, identity, verify

ARTIFACT = Artifact.from_bytes(b"release")


@pytest.fixture
def world() -> Iterator[World]:
    """Give a deployment, and prove its logs at the end."""
    with World() as made:
        yield made
        made.check()


def trust(world: World, folder: Path) -> Instance:
    """Begin to trust the world, as its operator tells the fingerprint."""
    root = world.transport.request("GET", world.url + "/tuf/1.root.json").body
    return add_instance(
        TrustStore(folder),
        world.transport,
        world.url,
        fingerprint=sha256(root).hexdigest(),
        at=world.clock(),
    )


def signer(world: World, instance: Instance, email: str = "a@example.com") -> Signer:
    """Sign with what the instance publishes."""
    root, config = instance.trusted_root(), instance.signing_config()
    services = connect(config, root, world.transport, world.clock())
    return Signer(services, world.token(email), world.clock)


def test_years_later(world: World, tmp_path: Path) -> None:
    """A signature by a certificate of ten minutes verifies years later, with what was fetched."""
    instance = trust(world, tmp_path)
    signed = signer(world, instance).sign(ARTIFACT)
    world.clock.advance(timedelta(days=5 * 365))

    verdict = verify(
        parse_bundle(signed.encoded),
        ARTIFACT,
        identity("a@example.com", world.issuer),
        instance.trusted_root(),
    )

    assert verdict.times[0].at == world.clock() - timedelta(days=5 * 365)


def test_default_is_v2_with_timestamp(world: World, tmp_path: Path) -> None:
    """What an instance publishes leads to its v2 log and its timestamp authority."""
    bundle = signer(world, trust(world, tmp_path)).sign(ARTIFACT).bundle
    assert [(entry.kind, entry.kind_version) for entry in bundle.entries] == [
        ("hashedrekord", "0.0.2")
    ]
    assert len(bundle.timestamps) == 1


def test_after_restart(world: World, tmp_path: Path) -> None:
    """A restarted deployment is the same instance: same root, same log, next entry."""
    instance = trust(world, tmp_path)
    first = signer(world, instance).sign(ARTIFACT)
    world.restart()
    refresh(instance, world.transport, world.clock())
    second = signer(world, instance).sign(ARTIFACT)

    assert first.bundle.entries[0].log_id == second.bundle.entries[0].log_id
    assert [each.bundle.entries[0].log_index for each in (first, second)] == [0, 1]


def test_renewed_metadata(world: World, tmp_path: Path) -> None:
    """A client that comes back after the timestamp's expiry follows the renewed metadata."""
    instance = trust(world, tmp_path)
    world.clock.advance(timedelta(days=30))
    with pytest.raises(VerificationError, match="expired"):
        refresh(instance, world.transport, world.clock())

    world.deployment.refresh()
    refresh(instance, world.transport, world.clock())

    assert signer(world, instance).sign(ARTIFACT).verdict.identity == "a@example.com"


def test_other_instance(world: World, tmp_path: Path) -> None:
    """A bundle of one instance proves nothing under the root of another with the same names."""
    signed = signer(world, trust(world, tmp_path / "ours")).sign(ARTIFACT)
    with World() as other:
        theirs = trust(other, tmp_path / "theirs")
        with pytest.raises(VerificationError) as caught:
            verify(
                signed.bundle,
                ARTIFACT,
                identity("a@example.com", world.issuer),
                theirs.trusted_root(),
            )
    assert caught.value.code == "LOG_UNKNOWN"


def test_many_signers(world: World, tmp_path: Path) -> None:
    """Signers at the same time get their own entries, each proven, and the log holds all."""
    instance = trust(world, tmp_path)

    def sign_some(number: int) -> list[int]:
        ours = signer(world, instance, f"signer{number}@example.com")
        artifacts = [Artifact.from_bytes(b"%d %d" % (number, each)) for each in range(5)]
        return [ours.sign(artifact).bundle.entries[0].log_index for artifact in artifacts]

    with ThreadPoolExecutor(8) as pool:
        indexes = [index for found in pool.map(sign_some, range(8)) for index in found]

    assert sorted(indexes) == list(range(40))
