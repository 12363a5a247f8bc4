from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.clients.loopback import Witness, make_witness, serving, serving_all
from touchplate.clients.witnesses import AheadError, Gathered, Witnesses
from touchplate.errors import TouchplateError, UnavailableError, VerificationError
from touchplate.formats.checkpoint import encode_checkpoint
from touchplate.formats.note import encode_note, note_signer, note_verifier
from touchplate.formats.witness_policy import parse_policy
from touchplate.keys.signer import generate
from touchplate.merkle.tree import leaf_hash, prove_consistency, root_hash
from touchplate.transport.http import HttpTransport

ORIGIN = "log.example.com"
LOG = note_signer(ORIGIN, generate("ed25519"))
LEAVES: list[bytes] = [leaf_hash(b"%d" % number) for number in range(20)]
LONG = 20.0  # what nobody waits for
SOON = 5.0  # what even a busy machine does in less


class Log:
    """A log that has its checkpoints cosigned by two of three witnesses."""

    def __init__(self, witnesses: list[Witness], rule: str = "2") -> None:
        text = "".join(each.line() for each in witnesses)
        text += f"group all {rule} {' '.join(each.name for each in witnesses)}\nquorum all\n"
        self.policy = parse_policy(text.encode())
        self.asked = Witnesses(self.policy, HttpTransport(), time.time)
        self.proven: list[int] = []

    def gather(self, size: int, seconds: float = SOON, **options: bool) -> Gathered:
        """Ask for cosignatures on the tree of this size."""
        text = encode_checkpoint(ORIGIN, size, root_hash(LEAVES[:size]))

        def prove(old: int) -> tuple[bytes, ...]:
            self.proven.append(old)
            return prove_consistency(LEAVES[:size], old)

        envelope = encode_note(text, [LOG.sign(text)])
        return self.asked.gather(envelope, size, prove, seconds=seconds, **options)


@pytest.fixture
def witnesses() -> Iterator[list[Witness]]:
    """Give three witnesses of the log."""
    known = [note_verifier(ORIGIN, LOG.signer.public_key)]
    made = [make_witness(name, known) for name in ("w1", "w2", "w3")]
    with serving_all(made):
        yield made


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    """Close at the end."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def log(witnesses: list[Witness], opened: ExitStack) -> Log:
    """Give the log."""
    made = Log(witnesses)
    opened.callback(made.asked.close)
    for each in witnesses:
        opened.callback(each.ended.set)  # so that none of them is slow to the end
    return made


def timed(log: Log, size: int, seconds: float = LONG, **options: bool) -> tuple[Gathered, float]:
    """Gather, and say how long it took."""
    start = time.monotonic()
    return log.gather(size, seconds, **options), time.monotonic() - start


def test_all(log: Log, witnesses: list[Witness]) -> None:
    """With `greedy` all that answer cosign, in the order of the policy."""
    gathered = log.gather(7, greedy=True)
    assert list(gathered.cosignatures) == ["w1", "w2", "w3"]
    assert not gathered.failures
    assert all(each.seen[ORIGIN][0] == 7 for each in witnesses)


def test_enough(log: Log, witnesses: list[Witness]) -> None:
    """Once the policy is met nobody is waited for."""
    witnesses[1].delay = LONG
    gathered, took = timed(log, 7)
    assert list(gathered.cosignatures) == ["w1", "w3"]
    assert took < SOON
    assert gathered.late == (witnesses[1].url,)
    assert not gathered.failures


@pytest.mark.slow
def test_deadline(log: Log, witnesses: list[Witness]) -> None:
    """Slow witnesses cost the deadline; what arrived is given."""
    witnesses[1].delay = witnesses[2].delay = LONG
    gathered, took = timed(log, 7, 0.3)
    assert list(gathered.cosignatures) == ["w1"]
    assert 0.3 <= took < SOON


def test_all_answered(log: Log, witnesses: list[Witness]) -> None:
    """If all have answered and it is not enough, there is nothing to wait for."""
    witnesses[1].misbehave(500)
    witnesses[2].misbehave(500)
    gathered, took = timed(log, 7)
    assert list(gathered.cosignatures) == ["w1"]
    assert set(gathered.failures) == {witnesses[1].url, witnesses[2].url}
    assert took < SOON


@pytest.mark.slow
def test_give_up(log: Log, witnesses: list[Witness]) -> None:
    """With `give_up` it ends when those that are left cannot meet the policy; else it waits."""
    witnesses[0].delay = LONG
    witnesses[1].misbehave(500)
    witnesses[2].misbehave(500)
    _, took = timed(log, 7, give_up=True)
    assert took < SOON
    _, took = timed(log, 8, 0.3)
    assert took >= 0.3


def test_remembers(log: Log, witnesses: list[Witness]) -> None:
    """After the first checkpoint each needs one request, with one proof for all of them."""
    log.gather(7, greedy=True)
    log.proven.clear()
    log.gather(9, greedy=True)
    assert [each.asked for each in witnesses] == [2, 2, 2]
    assert log.proven == [7]


def test_learns(log: Log, witnesses: list[Witness], opened: ExitStack) -> None:
    """A client that knows nothing learns from 409 where the witness is: one more request."""
    log.gather(7, greedy=True)
    again = Log(witnesses)
    opened.callback(again.asked.close)
    assert len(again.gather(9, greedy=True).cosignatures) == 3
    assert [each.asked for each in witnesses] == [3, 3, 3]


def test_witness_lost_its_state(log: Log, witnesses: list[Witness]) -> None:
    """A witness that begins anew is given what it asks for."""
    log.gather(7, greedy=True)
    witnesses[0].seen.clear()
    assert len(log.gather(9, greedy=True).cosignatures) == 3


def test_witness_restarts(log: Log, witnesses: list[Witness]) -> None:
    """A witness that was away is asked again the next time."""
    known = [note_verifier(ORIGIN, LOG.signer.public_key)]
    fourth = make_witness("w4", known)
    with serving(fourth):
        wider = Log([*witnesses, fourth], "all")
        assert len(wider.gather(3).cosignatures) == 4
    gathered = wider.gather(7)
    assert isinstance(gathered.failures[fourth.url], UnavailableError)
    with serving(fourth):
        assert len(wider.gather(9).cosignatures) == 4
    wider.asked.close()


def test_same_again(log: Log) -> None:
    """The same tree is cosigned again, with a fresh time."""
    assert len(log.gather(7, greedy=True).cosignatures) == 3
    assert len(log.gather(7, greedy=True).cosignatures) == 3


def test_ahead(log: Log, witnesses: list[Witness]) -> None:
    """A witness that has cosigned more than our checkpoint is told apart."""
    log.gather(9, greedy=True)
    gathered = log.gather(7, greedy=True)
    assert not gathered.cosignatures
    sizes = [each.size for each in gathered.failures.values() if isinstance(each, AheadError)]
    assert sizes == [9, 9, 9]


def test_lying_size(log: Log, witnesses: list[Witness]) -> None:
    """A witness that states one size after the other is asked a bounded number of times."""
    sizes = iter(range(1, 7))
    good = witnesses[0].answer
    witnesses[0].answer = lambda answer: answer._replace(
        status=409, body=b"%d\n" % next(sizes), content_type="text/x.tlog.size"
    )
    gathered = log.gather(7, greedy=True)
    assert list(gathered.cosignatures) == ["w2", "w3"]
    assert witnesses[0].asked == 3
    assert isinstance(gathered.failures[witnesses[0].url], UnavailableError)
    witnesses[0].answer = good
    assert len(log.gather(9, greedy=True).cosignatures) == 3


def test_contradiction_stands(log: Log, witnesses: list[Witness]) -> None:
    """Who has said that it saw another tree is not taken for slow the next time."""
    witnesses[0].seen[ORIGIN] = (7, leaf_hash(b"x"))
    first = log.gather(7, greedy=True).failures[witnesses[0].url]
    assert isinstance(first, VerificationError)
    assert first.code == "CONSISTENCY_PROOF_INVALID"

    witnesses[0].delay = LONG
    gathered, _ = timed(log, 9)
    assert gathered.failures[witnesses[0].url] is first


def test_wrong_signature(log: Log, witnesses: list[Witness]) -> None:
    """A cosignature that does not verify does not count, nor does garbage."""
    witnesses[0].signers[0] = make_witness("w1", []).signers[0]
    witnesses[1].misbehave(200, b"garbage")
    gathered = log.gather(7, greedy=True)
    assert list(gathered.cosignatures) == ["w3"]
    assert {
        each.code for each in gathered.failures.values() if isinstance(each, TouchplateError)
    } == {"CHECKPOINT_KEYHINT", "RESPONSE_MALFORMED"}


def test_two_keys_at_one_address(witnesses: list[Witness], opened: ExitStack) -> None:
    """Witnesses that share an address and a name are asked once, and both count."""
    both = make_witness("w", list(witnesses[0].logs.values()), ["ed25519", "ml-dsa-44"])
    opened.enter_context(serving(both))
    policy = parse_policy(f"{both.line(0)}{both.line(1)}group g all w w-1\nquorum g\n".encode())
    asked = Witnesses(policy, HttpTransport(), time.time)
    opened.callback(asked.close)
    text = encode_checkpoint(ORIGIN, 7, root_hash(LEAVES[:7]))
    gathered = asked.gather(
        encode_note(text, [LOG.sign(text)]), 7, lambda _: (), seconds=SOON, greedy=True
    )
    assert list(gathered.cosignatures) == ["w", "w-1"]
    assert both.asked == 1


def test_one_request_at_a_time(log: Log, witnesses: list[Witness]) -> None:
    """A slow witness has one request under way, however many checkpoints there are meanwhile."""
    witnesses[0].delay = 0.3
    for size in range(2, 12):
        assert len(log.gather(size).cosignatures) >= 2
    assert witnesses[0].most_under_way == 1
    assert witnesses[0].asked <= 4


def test_from_several_threads(log: Log) -> None:
    """Several threads may ask at once; the largest tree is cosigned whoever was first."""
    with ThreadPoolExecutor(4) as pool:
        *_, largest = pool.map(log.gather, [3, 5, 7, 9])
    assert len(largest.cosignatures) >= 2


def test_failing_proof(log: Log) -> None:
    """If the proof cannot be made, that is why, and the next checkpoint goes on."""
    log.gather(7, greedy=True)

    def prove(old: int) -> tuple[bytes, ...]:
        raise UnavailableError("STORAGE_UNAVAILABLE", "no tiles")

    text = encode_checkpoint(ORIGIN, 9, root_hash(LEAVES[:9]))
    gathered = log.asked.gather(
        encode_note(text, [LOG.sign(text)]), 9, prove, seconds=SOON, greedy=True
    )
    assert {str(each) for each in gathered.failures.values()} == {"no tiles"}
    assert len(log.gather(9, greedy=True).cosignatures) == 3


def test_close_twice(log: Log) -> None:
    """Closing again does nothing, and so does closing what was never asked."""
    log.asked.close()
    log.asked.close()


def test_no_addresses() -> None:
    """A policy whose witnesses have no addresses is met by nobody, at once."""
    made = make_witness("w1", [])
    log = Log([made], "1")
    gathered, took = timed(log, 7)
    assert not gathered.cosignatures
    assert took < SOON
