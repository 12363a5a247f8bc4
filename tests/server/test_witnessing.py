"""The log of `tlog`, over memory and SQLite, with real witnesses on loopback.

Over 500 lines: every test has the same place, a log and three witnesses that can be made to fail.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.clients.loopback import make_witness, serving_all
from tests.server.conftest import until
from touchplate.errors import SettingsError, UnavailableError
from touchplate.formats.checkpoint import Checkpoint, parse_checkpoint
from touchplate.formats.note import note_verifier, parse_note, parse_vkey
from touchplate.formats.witness_policy import Policy, parse_policy
from touchplate.keys.signer import generate
from touchplate.merkle.proof import check_inclusion
from touchplate.merkle.tree import EMPTY_ROOT
from touchplate.server.settings import WitnessSettings
from touchplate.server.witnessing import Keeper, Witnessing, load_policy
from touchplate.storage.database import LogDatabase
from touchplate.storage.memory import MemoryLog
from touchplate.storage.objects import MemoryObjects, ObjectStore
from touchplate.storage.sqlite import SQLiteLog
from touchplate.tilelog.bundle import encode_record
from touchplate.tilelog.entry import Leaf, Receipt, SignedCheckpoint, Submission
from touchplate.tilelog.log import TileLog
from touchplate.tlog.key import LogKey, log_key
from touchplate.tlog.log import TransparencyLog, tile_log_settings
from touchplate.transport.http import HttpTransport

ORIGIN = "log.example.test"
LONG = 20.0  # what nobody waits for
CLOSED = WitnessSettings(deadline_seconds=5.0)
OPEN = WitnessSettings(mode="fail-open", deadline_seconds=0.3)


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2030, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


class Place:
    """Where a witnessed log rests; processes open it."""

    def __init__(self, tmp_path: Path, names: str = "abc", rule: str = "2") -> None:
        self.clock = Clock()
        self.key: LogKey = log_key(
            ORIGIN, generate("ecdsa-p256"), for_witnesses=generate("ed25519")
        )
        self.path = tmp_path / "log.db"
        self.objects: ObjectStore = MemoryObjects()
        self.verifier = parse_vkey(self.key.vkeys()[1])
        self.witnesses = [make_witness(name, [self.verifier]) for name in names]
        for each in self.witnesses:
            each.now = lambda: self.clock().timestamp()
        self.rule = rule
        self.opened = ExitStack()

    @property
    def policy(self) -> Policy:
        """Give the policy, once the witnesses are served."""
        lines = "".join(f"log {vkey}\n" for vkey in self.key.vkeys())
        lines += "".join(each.line() for each in self.witnesses)
        names = " ".join(each.name for each in self.witnesses)
        return parse_policy(f"{lines}group g {self.rule} {names}\nquorum g\n".encode())

    def open(
        self, settings: WitnessSettings = CLOSED, database: LogDatabase | None = None
    ) -> Process:
        """Open the log as another process does."""
        return Process(self, settings, database or SQLiteLog(self.path))

    def check(self, receipt: Receipt, *, cosigned: bool = True) -> Checkpoint:
        """Prove a receipt as a verifier does, from its published checkpoint alone."""
        envelope = receipt.checkpoint.envelope
        if cosigned:
            checkpoint = self.policy.check(envelope)
        else:
            checkpoint = parse_checkpoint(parse_note(envelope))
        check_inclusion(
            receipt.index, checkpoint.size, receipt.leaf_hash, receipt.proof, checkpoint.root
        )
        return checkpoint


class Process:
    """One process that has the log open."""

    def __init__(self, place: Place, settings: WitnessSettings, database: LogDatabase) -> None:
        self.database = database
        self.witnessing = Witnessing(place.policy, settings, HttpTransport(), place.clock)
        tiles = replace(
            tile_log_settings(place.key, lambda: int(place.clock.now.timestamp() * 1000)),
            cosign=self.witnessing.of(database),
        )
        place.opened.callback(database.close)
        place.opened.callback(self.witnessing.close)
        self.log = TileLog(tiles, database, place.objects)
        place.opened.callback(self.log.close)

    def submit(self, number: int) -> Future[Receipt]:
        """Append the entry with this number."""
        data = b"entry %d" % number
        leaf = Leaf(data, encode_record(data))
        return self.log.append(Submission(number.to_bytes(32, "big"), lambda _, __: leaf))

    def append(self, number: int) -> Receipt:
        """Append it and wait."""
        return self.submit(number).result(30)

    def publish_if_due(self) -> bool:
        """Look once, as the keeper does."""
        return self.witnessing.publish_if_due(self.log, self.database)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Give a log of which two of three witnesses must have seen each checkpoint."""
    made = Place(tmp_path)
    with serving_all(made.witnesses), made.opened:
        yield made
        for each in made.witnesses:
            each.ended.set()


def lines(receipt: Receipt) -> list[str]:
    """Give the names of the signature lines."""
    return [each.name for each in parse_note(receipt.checkpoint.envelope).signatures]


def fails(process: Process, number: int) -> UnavailableError:
    """Hold that the entry is not answered for."""
    with pytest.raises(UnavailableError) as caught:
        process.append(number)
    assert caught.value.retry_after is not None
    return caught.value


def test_cosigned(place: Place) -> None:
    """Receipts are of checkpoints that enough witnesses cosigned; the log's own line is first."""
    process = place.open()
    receipts = [process.append(number) for number in range(5)]
    for number, receipt in enumerate(receipts):
        assert place.check(receipt).size == number + 1
        names = lines(receipt)
        assert names[:2] == [ORIGIN, ORIGIN]
        assert set(names[2:]) <= {f"{each}.example/witness" for each in "abc"}
    assert process.log.checkpoint() == receipts[-1].checkpoint
    first = parse_note(receipts[-1].checkpoint.envelope).signatures[0]
    assert first.key_hint == place.key.log_id[:4]


def test_greedy(place: Place) -> None:
    """With `greedy` all that answer in time are there."""
    receipt = place.open(replace(CLOSED, greedy=True)).append(0)
    assert len(lines(receipt)) == 5


def test_v1_is_not_cosigned(place: Place) -> None:
    """The checkpoint of the first API has one signature, whatever the witnesses do."""
    process = place.open()
    receipt = process.append(0)
    log = TransparencyLog(place.key, process.log)
    note = parse_note(log.v1_checkpoint(receipt.checkpoint).envelope)
    (line,) = note.signatures
    assert line.key_hint == place.key.log_id[:4]
    note_verifier(ORIGIN, place.key.signer.public_key).check(note)


def test_fail_closed(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Without quorum nobody is answered and the published checkpoint stays; then it recovers."""
    process = place.open()
    process.append(0)
    published = process.log.checkpoint()
    place.witnesses[0].misbehave(500)
    place.witnesses[1].misbehave(500)
    for number in (1, 2, 1):
        assert fails(process, number).code == "WITNESS_QUORUM"
    assert process.log.checkpoint() == published
    assert place.witnesses[0].url in caplog.text
    assert caplog.text.count(f"no cosignature from {place.witnesses[0].url}") == 1

    place.witnesses[0].behave()
    receipt = process.append(1)
    assert (receipt.index, place.check(receipt).size) == (1, 3)
    assert "no longer" in caplog.text


def test_fail_open(place: Place) -> None:
    """Without quorum the checkpoint is published with what arrived; then it recovers."""
    process = place.open(OPEN)
    for each in place.witnesses[:2]:
        each.misbehave(500)
    receipt = process.append(0)
    assert place.check(receipt, cosigned=False).size == 1
    assert lines(receipt)[2:] == ["c.example/witness"]
    for each in place.witnesses:
        each.behave()
    assert place.check(process.append(1)).size == 2


@pytest.mark.slow
def test_slow(place: Place) -> None:
    """A slow witness costs at most the deadline, and meanwhile a batch gathers."""
    for each in place.witnesses:
        each.delay = LONG
    process = place.open(OPEN)
    start = time.monotonic()
    futures = [process.submit(number) for number in range(300)]
    receipts = [future.result(30) for future in futures]
    took = time.monotonic() - start

    assert [receipt.index for receipt in receipts] == list(range(300))
    assert took < LONG
    # A batch for each deadline that passes, however slowly entries come on a busy machine.
    assert place.witnesses[0].asked <= 2 + took / OPEN.deadline_seconds


@pytest.mark.slow
def test_one_slow_costs_nothing(place: Place) -> None:
    """A slow witness that the policy can do without is not waited for."""
    place.witnesses[1].delay = LONG
    process = place.open(replace(CLOSED, deadline_seconds=LONG))
    start = time.monotonic()
    for number in range(20):
        place.check(process.append(number))
    assert time.monotonic() - start < LONG
    assert place.witnesses[1].asked <= 2


@pytest.mark.slow
@pytest.mark.parametrize("settings", [CLOSED, OPEN])
def test_behind(place: Place, settings: WitnessSettings, caplog: pytest.LogCaptureFixture) -> None:
    """A log that a witness knows to be larger is never published, and its operator is told."""
    newest = place.open(CLOSED, MemoryLog())
    for number in range(5):
        newest.append(number)
    # An older backup of the database and the objects, and the same key.
    place.objects = MemoryObjects()
    old = place.open(replace(settings, deadline_seconds=5.0), MemoryLog())
    published = old.log.checkpoint()
    for number in range(100, 104):
        assert fails(old, number).code in ("STATE_BEHIND", "WITNESS_QUORUM")
    assert fails(old, 100).code == "STATE_BEHIND"
    assert old.log.checkpoint() == published
    assert "STATE_BEHIND" in caplog.text
    # Also when it has grown past what the witness has seen: it is another tree.
    for number in range(104, 110):
        assert fails(old, number).code in ("STATE_BEHIND", "WITNESS_QUORUM")
    assert old.log.checkpoint() == published
    assert all(each.seen[ORIGIN][0] <= 5 for each in place.witnesses)


@pytest.mark.slow
def test_lying_size(place: Place) -> None:
    """One witness that claims to have seen more stops the log until it is taken out, or right."""
    process = place.open(replace(CLOSED, deadline_seconds=LONG))
    process.append(0)
    place.witnesses[0].misbehave(409, b"1000\n", "text/x.tlog.size")
    for each in place.witnesses[1:]:
        each.delay = 2  # the first one is heard before they are enough, each time
    assert fails(process, 1).code == "STATE_BEHIND"
    assert process.log.checkpoint().size == 1
    place.witnesses[0].behave()
    assert place.check(process.append(1)).size == 2


@pytest.mark.parametrize(
    ("body", "kind"),
    [(b"garbage\n", "text/plain"), (b"x" * 200_000, "text/plain"), (b"", "text/plain")],
)
def test_bad_answers(place: Place, body: bytes, kind: str) -> None:
    """What is no cosignature is never published, and the others are enough."""
    place.witnesses[0].misbehave(200, body, kind)
    process = place.open(replace(CLOSED, greedy=True))
    receipt = process.append(0)
    place.check(receipt)
    assert lines(receipt)[2:] == ["b.example/witness", "c.example/witness"]


def test_wrong_key(place: Place) -> None:
    """A witness that signs with another key counts for nothing."""
    process = place.open(replace(CLOSED, greedy=True))
    place.witnesses[0].signers[0] = make_witness("a", []).signers[0]
    assert lines(process.append(0))[2:] == ["b.example/witness", "c.example/witness"]


def test_witness_restarts(tmp_path: Path) -> None:
    """Witnesses that were away and are back are used again, with and without their memory."""
    place = Place(tmp_path, "ab")
    with ExitStack() as stack:
        with serving_all(place.witnesses):
            process = place.open()
            stack.enter_context(place.opened)
            process.append(0)
        assert fails(process, 1).code == "WITNESS_QUORUM"
        place.witnesses[0].seen.clear()
        with serving_all(place.witnesses):
            assert place.check(process.append(1)).size == 2


def test_log_restarts(place: Place) -> None:
    """A log that is opened again goes on from what witnesses have seen."""
    process = place.open()
    receipts = [process.append(number) for number in range(3)]
    process.log.close()
    again = place.open()
    assert again.log.checkpoint() == receipts[-1].checkpoint
    assert place.check(again.append(3)).size == 4


def test_witnessed_from_now_on(place: Place) -> None:
    """A log that was not witnessed can be: what it told before stays true."""
    settings = tile_log_settings(place.key, lambda: 1)
    database = SQLiteLog(place.path)
    before = TileLog(settings, database, place.objects)
    leaf = Leaf(b"x", encode_record(b"x"))
    before.append(Submission(bytes(32), lambda _, __: leaf)).result(30)
    told = before.checkpoint()
    before.close()
    database.close()

    process = place.open()
    assert process.log.checkpoint().envelope == told.envelope
    assert process.publish_if_due()
    assert place.policy.check(process.log.checkpoint().envelope).size == 1
    assert place.check(process.append(1)).size == 2


@pytest.mark.slow
def test_two_processes(place: Place) -> None:
    """Processes that publish at once all answer, and what is published only grows."""
    processes = [place.open(), place.open()]
    futures = []
    for number in range(60):
        futures.append(processes[number % 2].submit(number))
        if number % 10 == 9:
            [future.result(30) for future in futures]
    receipts = [future.result(30) for future in futures]

    assert sorted(receipt.index for receipt in receipts) == list(range(60))
    for receipt in receipts:
        place.check(receipt)
    assert processes[0].log.checkpoint() == processes[1].log.checkpoint()
    assert processes[0].log.checkpoint().size == 60
    processes[0].log.check()


def test_frozen(place: Place) -> None:
    """The last checkpoint of a frozen log is witnessed like any other, extension line and all."""
    process = place.open()
    process.append(0)
    process.log.freeze("Log frozen")
    checkpoint = place.policy.check(process.log.checkpoint().envelope)
    assert (checkpoint.size, checkpoint.extensions) == (1, ("Log frozen",))


def test_fresh(place: Place) -> None:
    """A tree that does not grow is cosigned again after the time set, and not before."""
    process = place.open()
    process.append(0)
    before = process.log.checkpoint()
    place.clock.now += timedelta(seconds=599)
    assert not process.publish_if_due()
    place.clock.now += timedelta(seconds=1)
    assert process.publish_if_due()
    again = process.log.checkpoint()

    assert (again.size, again.root) == (before.size, before.root)
    cosigned = place.policy.cosignatures(parse_note(again.envelope)).values()
    assert {each.time for each in cosigned} == {int(place.clock.now.timestamp())}
    assert not process.publish_if_due()


def test_fewer_do_not_replace_more(place: Place) -> None:
    """What is published with its quorum stays until another checkpoint has its own."""
    process = place.open(OPEN)
    process.append(0)
    before = process.log.checkpoint()
    for each in place.witnesses:
        each.misbehave(500)
    place.clock.now += timedelta(hours=1)
    assert process.publish_if_due()
    assert process.log.checkpoint() == before


def test_second_chance(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """What was committed without quorum is published once there is one, with nobody asking."""
    process = place.open()
    for each in place.witnesses:
        each.misbehave(503)
    fails(process, 0)
    for _ in range(2):
        assert process.publish_if_due()
    assert process.log.checkpoint().size == 0
    assert caplog.text.count("not published again") == 1
    for each in place.witnesses:
        each.behave()
    assert process.publish_if_due()
    place.check(process.log.receipt(0))


def test_killed_before_publication(place: Place) -> None:
    """What was committed by a process that then died is published by the next, and not before."""
    dying = place.open()
    dying.append(0)
    for each in place.witnesses:
        each.misbehave(503)
    fails(dying, 1)
    dying.log.close()
    again = place.open()
    assert again.log.checkpoint().size == 1
    assert again.publish_if_due()
    assert again.log.checkpoint().size == 1
    for each in place.witnesses:
        each.behave()
    assert again.publish_if_due()
    assert place.check(again.log.receipt(1)).size == 2


def test_keeper() -> None:
    """The keeper looks again and again, also after it failed, until it is closed."""
    looked: list[int] = []

    def look() -> None:
        looked.append(1)
        if len(looked) == 1:
            raise UnavailableError("STORAGE_UNAVAILABLE", "away")

    keeper = Keeper(look, 0.01)
    try:
        until(lambda: len(looked) >= 3)
    finally:
        keeper.close()
    count = len(looked)
    time.sleep(0.05)
    assert len(looked) == count


def write(tmp_path: Path, text: str) -> Path:
    """Write a policy file."""
    path = tmp_path / "policy"
    path.write_text(text)
    return path


def test_load_policy(place: Place, tmp_path: Path) -> None:
    """A policy file whose witnesses have addresses is one to publish under."""
    text = "".join(each.line() for each in place.witnesses)
    assert load_policy(write(tmp_path, f"{text}quorum a\n")).quorum == "a"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text.replace("quorum", "quora"), "line 2"),
        (lambda text: text.replace("http://", "ftp://"), "ftp://"),
        (lambda text: text.replace("http://127.0.0.1", "http://example.com"), "readable"),
        (lambda text: text.split("http")[0] + "\nquorum a\n", "quorum cannot be met"),
    ],
)
def test_unusable_policy(
    place: Place, tmp_path: Path, change: Callable[[str], str], reason: str
) -> None:
    """What cannot work is refused at the start, with the file's name."""
    text = change(f"{place.witnesses[0].line()}quorum a\n")
    with pytest.raises(SettingsError, match=reason):
        load_policy(write(tmp_path, text))


def test_no_policy_file(tmp_path: Path) -> None:
    """A file that is not there is named."""
    with pytest.raises(SettingsError, match="policy"):
        load_policy(tmp_path / "policy")


def test_labels(place: Place) -> None:
    """Whatever a policy calls a witness, the name of its counter is printable and quoted once."""
    counted: list[str] = []
    data = b'witness \xff"\\x %b %b\nquorum none\n' % (
        place.witnesses[0].vkeys[0].encode(),
        place.witnesses[0].url.encode(),
    )
    witnessing = Witnessing(parse_policy(data), CLOSED, HttpTransport(), place.clock)
    witnessing.count = counted.append
    checkpoint = SignedCheckpoint(0, EMPTY_ROOT, 0, place.key.sign_checkpoint(0, EMPTY_ROOT, 0))
    witnessing.of(MemoryLog())(checkpoint, lambda _: ())
    witnessing.close()
    name = 'touchplate_witness_answers_total{witness="/xff\'/x",answer="late"}'
    assert counted[0] == name


def test_too_many_cosignatures(tmp_path: Path) -> None:
    """Checkpoints must stay within what readers take: 64 KiB."""
    made = [make_witness(f"w{each}", [], ["ml-dsa-44"]) for each in range(20)]
    for each in made:
        each.url = "https://w.example/"
    text = "".join(each.line() for each in made) + "quorum w0\n"
    with pytest.raises(SettingsError, match="too large"):
        load_policy(write(tmp_path, text))
