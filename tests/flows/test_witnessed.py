"""An instance whose log has witnesses, and the bundles that are made with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from tests.clients.loopback import Witness, make_witness, serving_all
from touchplate.errors import UnavailableError, VerificationError
from touchplate.formats.bundle import Bundle, encode_bundle, parse_bundle
from touchplate.formats.note import parse_note, parse_vkey
from touchplate.formats.witness_policy import Policy, parse_policy
from touchplate.server.settings import ServeSettings, WitnessSettings
from touchplate.testing import World
from touchplate.verify import Artifact, identity, verify

ARTIFACT = b"release"
EMAIL = "a@example.com"


@dataclass
class Witnessed:
    """A world, and the witnesses of its log."""

    world: World
    witnesses: list[Witness]
    path: Path

    def vkeys(self) -> list[str]:
        """Give the verifier keys that the instance publishes."""
        return self.world.transport.request("GET", f"{self.world.url}/vkeys").body.decode().split()

    def policy(self) -> Policy:
        """Give the policy that a reader holds checkpoints to: the server's, and the log's keys."""
        logs = "".join(f"log {vkey}\n" for vkey in self.vkeys())
        return parse_policy(logs.encode() + self.path.read_bytes())

    def trust(self) -> None:
        """Have the witnesses' operators add the log."""
        verifier = parse_vkey(self.vkeys()[-1])
        for each in self.witnesses:
            each.logs = {str(verifier.name): verifier}
            each.now = lambda: self.world.clock().timestamp()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Witnessed]]:
    """Make a world with two witnesses, both of which must cosign."""
    with ExitStack() as stack:

        def make(mode: str = "fail-closed") -> Witnessed:
            witnesses = [make_witness("north", []), make_witness("south", [], ["ml-dsa-44"])]
            stack.enter_context(serving_all(witnesses))
            path = tmp_path / "policy"
            lines = "".join(each.line() for each in witnesses)
            path.write_text(f"{lines}group both all north south\nquorum both\n")
            settings = WitnessSettings(policy=path, mode=mode, deadline_seconds=5.0)
            world = stack.enter_context(World(settings=ServeSettings(witness=settings)))
            made = Witnessed(world, witnesses, path)
            made.trust()
            return made

        yield make


def check(world: World, bundle: Bundle) -> None:
    """Verify a bundle as anyone would."""
    policy = identity(EMAIL, world.issuer)
    read = parse_bundle(encode_bundle(bundle))
    verify(read, Artifact.from_bytes(ARTIFACT), policy, world.trusted_root)
    with pytest.raises(VerificationError):
        verify(read, Artifact.from_bytes(b"another"), policy, world.trusted_root)


def envelope(bundle: Bundle) -> str:
    """Give the checkpoint of the bundle's one entry."""
    (entry,) = bundle.entries
    assert entry.proof is not None
    return entry.proof.checkpoint


@pytest.mark.slow
def test_rotated(make: Callable[..., Witnessed]) -> None:
    """A tree with a name and a key of its own is one more log to witnesses; both verify."""
    made = make()
    world = made.world
    before = world.sign(ARTIFACT, EMAIL, tlog_version=2)
    world.rotate("https://log2.touchplate.test")
    assert len(made.vkeys()) == 4
    # Fail-closed, and they do not know the new log yet.
    with pytest.raises(UnavailableError):
        world.sign(ARTIFACT, EMAIL, tlog_version=2)
    verifier = parse_vkey(made.vkeys()[1])
    assert verifier.name == "log2.touchplate.test"
    for each in made.witnesses:
        each.logs[str(verifier.name)] = verifier
    after = world.sign(ARTIFACT, EMAIL, tlog_version=2)
    for bundle in (before, after):
        check(world, bundle)
        assert len(parse_note(envelope(bundle)).signatures) == 4
    old, _ = world.deployment.shards.oldest_first
    frozen = old.tiles.checkpoint().envelope
    assert "Log frozen" in frozen
    # The end of the old tree is cosigned too.
    assert len(parse_note(frozen).signatures) == 4
    world.check()


@pytest.mark.parametrize("mode", ["fail-closed", "fail-open"])
def test_bundles(make: Callable[..., Witnessed], mode: str) -> None:
    """Bundles made with a witnessed log verify; their checkpoint meets the witnesses' policy."""
    made = make(mode)
    bundle = made.world.sign(ARTIFACT, EMAIL, tlog_version=2)
    check(made.world, bundle)
    assert made.policy().check(envelope(bundle)).size == 1
    assert len(parse_note(envelope(bundle)).signatures) == 4
    made.world.check()


def test_v1_bundles(make: Callable[..., Witnessed]) -> None:
    """Bundles made with the first API hold its checkpoint with one signature, and verify."""
    made = make()
    bundle = made.world.sign(ARTIFACT, EMAIL, tlog_version=1)
    check(made.world, bundle)
    assert len(parse_note(envelope(bundle)).signatures) == 1
    made.world.check()


def test_served_checkpoint(make: Callable[..., Witnessed]) -> None:
    """What is served at both paths is the cosigned checkpoint."""
    made = make()
    made.world.sign(ARTIFACT, EMAIL)
    for path in ("/checkpoint", "/api/v2/checkpoint"):
        body = made.world.transport.request("GET", made.world.url + path).body.decode()
        assert made.policy().check(body).size == 1


@pytest.mark.slow
def test_without_witnesses(make: Callable[..., Witnessed]) -> None:
    """Fail-closed: signing fails with 503 and the served checkpoint stays, until they are back."""
    made = make()
    made.world.sign(ARTIFACT, EMAIL)
    made.witnesses[0].misbehave(500)
    with pytest.raises(UnavailableError) as caught:
        made.world.sign(b"another", EMAIL)
    assert caught.value.retry_after == timedelta(seconds=1)
    body = made.world.transport.request("GET", f"{made.world.url}/checkpoint").body.decode()
    assert made.policy().check(body).size == 1
    made.witnesses[0].behave()
    # The entry that failed is in the log; the certificate of the next try is another one.
    bundle = made.world.sign(ARTIFACT, EMAIL)
    assert made.policy().check(envelope(bundle)).size == 3
    check(made.world, bundle)


def test_without_witnesses_open(make: Callable[..., Witnessed]) -> None:
    """Fail-open: signing goes on with fewer cosignatures, and such bundles verify too."""
    made = make("fail-open")
    made.witnesses[0].misbehave(500)
    bundle = made.world.sign(ARTIFACT, EMAIL)
    check(made.world, bundle)
    with pytest.raises(VerificationError) as caught:
        made.policy().check(envelope(bundle))
    assert caught.value.code == "WITNESS_QUORUM"


def test_metrics(make: Callable[..., Witnessed]) -> None:
    """Each witness's answers are counted, and whether there were enough."""
    made = make("fail-open")
    made.world.sign(ARTIFACT, EMAIL)
    made.witnesses[0].misbehave(500)
    made.world.sign(ARTIFACT, EMAIL)
    text = made.world.transport.request("GET", f"{made.world.url}/metrics").body.decode()
    counts = dict(line.rsplit(" ", 1) for line in text.splitlines() if "_witness_" in line)
    # What was missed is tried again after a while, which counts as well.
    assert counts['touchplate_witness_answers_total{witness="north",answer="cosignature"}'] == "1"
    assert 'touchplate_witness_answers_total{witness="north",answer="failure"}' in counts
    south = counts['touchplate_witness_answers_total{witness="south",answer="cosignature"}']
    assert int(south) >= 2
    assert counts['touchplate_witness_checkpoints_total{quorum="met"}'] == "1"
    assert 'touchplate_witness_checkpoints_total{quorum="missed"}' in counts


def test_restart(make: Callable[..., Witnessed]) -> None:
    """The instance that is started again has the same keys and goes on."""
    made = make()
    made.world.sign(ARTIFACT, EMAIL)
    before = made.vkeys()
    made.world.restart()
    assert made.vkeys() == before
    assert made.policy().check(envelope(made.world.sign(ARTIFACT, EMAIL))).size == 2


def test_vkeys_without_witnesses() -> None:
    """An instance without witnesses has one key, and publishes it."""
    with World() as world:
        (vkey,) = world.transport.request("GET", f"{world.url}/vkeys").body.decode().split()
        world.sign(ARTIFACT, EMAIL)
        body = world.transport.request("GET", f"{world.url}/checkpoint").body.decode()
        parse_vkey(vkey).check(parse_note(body))
