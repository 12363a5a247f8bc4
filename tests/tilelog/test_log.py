from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Event

import pytest

from tests.tilelog.places import Place, fill, sign, submission, until
from touchplate.errors import RefusedError, SettingsError, UnavailableError
from touchplate.merkle.proof import check_consistency, check_inclusion
from touchplate.merkle.tile import partial_width, tile_width, tree_root
from touchplate.merkle.tree import EMPTY_ROOT, RootHash, leaf_hash
from touchplate.storage.database import LogState
from touchplate.storage.memory import MemoryLog
from touchplate.tilelog.bundle import record_data
from touchplate.tilelog.entry import Leaf, Receipt, StoredEntry, Submission
from touchplate.tilelog.log import TileLog


def check_receipt(receipt: Receipt) -> None:
    """Prove that the receipt holds by itself."""
    checkpoint = receipt.checkpoint
    assert receipt.leaf_hash == leaf_hash(record_data(receipt.record))
    assert checkpoint.envelope == sign(checkpoint.size, checkpoint.root, checkpoint.time_ms)
    check_inclusion(
        receipt.index, checkpoint.size, receipt.leaf_hash, receipt.proof, checkpoint.root
    )


def read_hashes(log: TileLog, level: int, index: int, width: int) -> bytes:
    """Read a tile that must be there."""
    hashes = log.read_tile(level, index, width)
    assert hashes is not None
    assert len(hashes) == 32 * width
    return hashes


def test_new(log: TileLog, place: Place) -> None:
    """A new log has a signed checkpoint of size 0."""
    checkpoint = log.checkpoint()

    assert (checkpoint.size, checkpoint.root) == (0, EMPTY_ROOT)
    assert checkpoint.envelope == sign(0, EMPTY_ROOT, place.clock())


def test_first_entry(log: TileLog, place: Place) -> None:
    """The first entry has index 0, an empty proof, and a checkpoint of size 1."""
    receipt = log.append(submission(0)).result(60)

    check_receipt(receipt)
    assert (receipt.index, receipt.proof, receipt.duplicate) == (0, (), False)
    assert receipt.time_ms == place.clock()
    assert receipt.checkpoint == log.checkpoint()


def test_receipts(log: TileLog) -> None:
    """Every receipt of many entries holds, and together they are all the indexes."""
    receipts = fill(log, 600)

    for receipt in receipts:
        check_receipt(receipt)
    assert [receipt.index for receipt in receipts] == list(range(600))


@pytest.mark.slow
def test_every_size(log: TileLog) -> None:
    """Entry by entry across the end of a bundle, every checkpoint extends the one before."""
    before = log.checkpoint()
    for number in range(300):
        after = log.append(submission(number)).result(60).checkpoint
        assert after.size == number + 1
        proof = log.consistency(before.size, after.size)
        check_consistency(before.size, after.size, proof, before.root, after.root)
        before = after


def test_duplicate(log: TileLog, place: Place) -> None:
    """The same entry again has the same index, time and record, and a proof of today."""
    first = fill(log, 300)[7]
    place.clock.now_ms += 5
    again = log.append(submission(7)).result(60)

    check_receipt(again)
    assert again.duplicate
    assert (again.index, again.time_ms, again.record) == (7, first.time_ms, first.record)
    assert again.checkpoint == log.checkpoint()
    assert log.checkpoint().size == 300


def test_duplicates_at_once(place: Place) -> None:
    """Of the same entry many times at once, one is new and all have one index."""
    log = place.open()
    with ThreadPoolExecutor(8) as pool:
        futures = list(pool.map(lambda _: log.append(submission(1)), range(64)))
    receipts = [future.result(60) for future in futures]

    for receipt in receipts:
        check_receipt(receipt)
    assert {receipt.index for receipt in receipts} == {0}
    assert [receipt.duplicate for receipt in receipts].count(False) == 1
    assert log.checkpoint().size == 1


def test_duplicate_after_restart(place: Place) -> None:
    """What the log has is known to the next process, sealed or not."""
    log = place.open()
    fill(log, 300)
    log.close()
    log = place.open()

    for number in (0, 255, 256, 299):
        again = log.append(submission(number)).result(60)
        check_receipt(again)
        assert (again.index, again.duplicate) == (number, True)


def test_mixed_batch(place: Place) -> None:
    """A batch of new, known and twofold entries gives each its own."""
    log = place.open()
    fill(log, 3)
    gate = Gate(place)
    log = gate.open()
    held = gate.hold(log, submission(100))
    futures = [log.append(submission(number)) for number in (1, 200, 2, 200, 201)]
    gate.release()

    assert held.result(60).index == 3
    receipts = [future.result(60) for future in futures]
    assert [receipt.index for receipt in receipts] == [1, 4, 2, 4, 5]
    assert [receipt.duplicate for receipt in receipts] == [True, False, True, True, False]
    assert len({receipt.checkpoint for receipt in receipts}) == 1
    for receipt in receipts:
        check_receipt(receipt)


def test_group_commit(place: Place) -> None:
    """What arrives while a batch is committed shares the next transaction and checkpoint."""
    gate = Gate(place)
    log = gate.open()
    held = gate.hold(log, submission(0))
    futures = [log.append(submission(number)) for number in range(1, 101)]
    gate.release()

    assert held.result(60).checkpoint.size == 1
    assert {future.result(60).checkpoint.size for future in futures} == {101}


def test_largest_batch(place: Place) -> None:
    """No transaction takes more than `max_batch` entries."""
    gate = Gate(place)
    log = gate.open(max_batch=10)
    gate.hold(log, submission(0))
    futures = [log.append(submission(number)) for number in range(1, 31)]
    gate.release()

    sizes = [future.result(60).checkpoint.size for future in futures]
    assert sorted(set(sizes)) == [11, 21, 31]


def test_back_pressure(place: Place) -> None:
    """More than `max_waiting` entries are refused at once, with a time to come back."""
    gate = Gate(place)
    log = gate.open(max_waiting=3)
    gate.hold(log, submission(0))
    futures = [log.append(submission(number)) for number in range(1, 4)]
    with pytest.raises(UnavailableError) as refused:
        log.append(submission(4))
    gate.release()

    assert refused.value.code == "LOG_BUSY"
    assert refused.value.retry_after is not None
    assert sorted(future.result(60).index for future in futures) == [1, 2, 3]
    assert log.append(submission(4)).result(60).index == 4


def test_time_never_goes_back(log: TileLog, place: Place) -> None:
    """When the clock is set back, the log's time stands still."""
    first = log.append(submission(0)).result(60)
    place.clock.now_ms -= 10_000
    second = log.append(submission(1)).result(60)
    place.clock.now_ms += 20_000
    third = log.append(submission(2)).result(60)

    assert second.time_ms == second.checkpoint.time_ms == first.time_ms
    assert third.time_ms == first.time_ms + 10_000


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 255, 256, 257, 600])
def test_tiles(place: Place, size: int) -> None:
    """Every tile of every earlier size is readable, sealed or not, and nothing beyond."""
    log = place.open()
    leaves = [receipt.leaf_hash for receipt in fill(log, size)]
    for opened in (log, place.open()):
        for earlier in {1, size // 2, size - 1, size} - {0}:
            assert tree_root(earlier, partial(read_hashes, opened)) == opened.root_at(earlier)
        for width in range(1, partial_width(0, size) + 1):
            assert read_hashes(opened, 0, size // 256, width) == b"".join(
                leaves[size - size % 256 :][:width]
            )
        beyond = tile_width(0, size // 256, size) + 1
        assert opened.read_tile(0, size // 256, beyond) is None
        assert opened.read_tile(0, size // 256 + 1, 1) is None
        assert opened.read_tile(1, 0, size // 256 + 1) is None
        assert opened.read_tile(5, 0, 1) is None
        log.close()


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 256, 300])
def test_entry_bundles(place: Place, size: int) -> None:
    """Every bundle of every width is readable, sealed or not, and hashes to its tile."""
    log = place.open()
    records = [receipt.record for receipt in fill(log, size)]
    for opened in (log, place.open()):
        for index in range(-(-size // 256)):
            whole = tile_width(0, index, size)
            for width in range(1, whole + 1):
                expected = records[index * 256 : index * 256 + width]
                assert opened.read_entries(index, width) == b"".join(expected)
            hashes = [leaf_hash(record_data(each)) for each in records[index * 256 :][:whole]]
            assert b"".join(hashes) == opened.read_tile(0, index, whole)
            assert whole == 256 or opened.read_entries(index, whole + 1) is None
        assert opened.read_entries(size // 256 + 1, 1) is None
        log.close()


def test_entries(place: Place) -> None:
    """Every entry is there with its time and identity, sealed or not."""
    log = place.open()
    receipts = fill(log, 300)
    for opened in (log, place.open()):
        for index in (0, 1, 255, 256, 299):
            assert opened.entry(index) == StoredEntry(
                index, receipts[index].record, place.clock(), submission(index).identity
            )
            assert opened.find(submission(index).identity) == index
            check_receipt(opened.receipt(index))
        assert opened.entry(300) is None
        assert opened.find(submission(300).identity) is None
        log.close()


@pytest.mark.parametrize("index", [-1, 3, 2**63])
def test_no_such_entry(log: TileLog, index: int) -> None:
    """There is no receipt for what is not there."""
    fill(log, 3)

    with pytest.raises(RefusedError) as refused:
        log.receipt(index)
    assert refused.value.code == "NOT_FOUND"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("level", "index", "width"),
    [(0, 0, 0), (0, 0, -1), (0, 0, 257), (0, -1, 1), (0, 2**62, 1), (64, 0, 1), (-1, 0, 1)],
)
def test_no_such_tile(log: TileLog, level: int, index: int, width: int) -> None:
    """There is nothing under numbers that no tile has."""
    fill(log, 300)

    assert log.read_tile(level, index, width) is None
    if level == 0:
        assert log.read_entries(index, width) is None
    assert log.entry(-1) is None
    assert log.entry(2**70) is None


@pytest.mark.parametrize("sizes", [(-1, 2), (0, 4), (2, 1), (4, 4)])
def test_no_such_sizes(log: TileLog, sizes: tuple[int, int]) -> None:
    """There is no proof between trees that the log never had."""
    fill(log, 3)

    with pytest.raises(RefusedError) as refused:
        log.consistency(*sizes)
    assert refused.value.code == "NOT_FOUND"


def test_failing_builder(place: Place) -> None:
    """An entry whose builder raises fails alone, and the others have indexes without gaps."""
    gate = Gate(place)
    log = gate.open()
    gate.hold(log, submission(0))

    def refuse(_index: int, _time_ms: int) -> Leaf:
        raise RefusedError("ENTRY_REFUSED", "not this one")

    futures = [
        log.append(submission(1)),
        log.append(Submission(b"r" * 32, refuse)),
        log.append(submission(2)),
    ]
    gate.release()

    assert [futures[each].result(60).index for each in (0, 2)] == [1, 2]
    with pytest.raises(RefusedError, match="not this one"):
        futures[1].result(60)
    assert log.find(b"r" * 32) is None


def test_failing_signer(place: Place) -> None:
    """While the key is away entries fail, none is logged, and then the log goes on."""
    away = Event()

    def sign_or_fail(size: int, root: RootHash, time_ms: int, lines: tuple[str, ...]) -> str:
        if away.is_set():
            raise UnavailableError("SERVICE_UNAVAILABLE", "the key is away")
        return sign(size, root, time_ms, lines)

    log = place.open(sign=sign_or_fail)
    fill(log, 2)
    away.set()
    with pytest.raises(UnavailableError, match="the key is away"):
        log.append(submission(2)).result(60)
    assert log.checkpoint().size == 2
    away.clear()

    assert log.append(submission(2)).result(60).index == 2


def test_cancelled(place: Place) -> None:
    """Who cancels does not hold up the others."""
    gate = Gate(place)
    log = gate.open()
    gate.hold(log, submission(0))
    futures = [log.append(submission(number)) for number in (1, 2)]
    assert futures[0].cancel()
    gate.release()

    assert futures[1].result(60).index == 2


def test_one_delivery(place: Place) -> None:
    """All tickets of a batch come back in one call for each deliver."""
    gate = Gate(place)
    log = gate.open()
    gate.hold(log, submission(0))
    calls: list[list[tuple[int, int]]] = []
    done = Event()

    def deliver(tickets: object) -> None:
        assert isinstance(tickets, list)
        calls.append([(ticket, outcome.index) for ticket, outcome in tickets])
        done.set()

    def fail(_tickets: object) -> None:
        raise ValueError

    log.submit(submission(50), 50, fail)
    for number in range(1, 51):
        log.submit(submission(number), number, deliver)
    gate.release()

    assert done.wait(10)
    assert len(calls) == 1
    assert [ticket for ticket, _ in calls[0]] == list(range(1, 51))
    assert log.append(submission(51)).result(60).index == 51


def test_close(place: Place) -> None:
    """Closing commits what waits; afterwards nothing is taken, and all of it can be read."""
    gate = Gate(place)
    log = gate.open()
    gate.hold(log, submission(0))
    futures = [log.append(submission(number)) for number in range(1, 51)]
    gate.release()
    log.close()
    log.close()

    assert [future.result(0).index for future in futures] == list(range(1, 51))
    with pytest.raises(UnavailableError):
        log.append(submission(51))
    assert log.checkpoint().size == 51


@pytest.mark.slow
def test_two_logs_in_turn(place: Place) -> None:
    """Two logs over one storage see and extend each other's entries."""
    one, other = place.open(), place.open()
    for number in range(520):
        log = (one, other)[number % 2]
        receipt = log.append(submission(number)).result(60)
        check_receipt(receipt)
        assert receipt.index == number
    assert one.checkpoint() == other.checkpoint()
    assert one.append(submission(1)).result(60).duplicate


@pytest.mark.parametrize("size", [0, 2, 400])
def test_behind_what_was_published(place: Place, size: int) -> None:
    """A database from before what was published is not written to: that would be a fork."""
    log = place.open()
    fill(log, 600)
    log.close()
    old = Place(MemoryLog(), place.objects)
    if size:
        with old.database.transaction() as transaction:
            state = LogState(size, log.root_at(size), place.clock(), "", 0)
            transaction.store(None, state)

    with pytest.raises(SettingsError) as refused:
        old.open()
    assert refused.value.code == "STATE_BEHIND"


@pytest.mark.slow
@pytest.mark.parametrize(
    "note",
    [b"", b"600", b"600 \n", b"600 " + b"0" * 63 + b"\n", b"-6 " + b"0" * 64 + b"\n", b"\xff" * 70],
)
def test_damaged_note(place: Place, note: bytes) -> None:
    """A note of what was published that cannot be read is named, and nothing is written."""
    log = place.open()
    fill(log, 600)
    log.close()
    place.objects.replace("log/published", note)

    with pytest.raises(SettingsError, match="log/published") as refused:
        place.open()
    assert refused.value.code == "FILE_UNREADABLE"
    assert "remove this note" in (refused.value.hint or "")
    assert place.objects.get("log/published") == note


@pytest.mark.slow
def test_behind_by_a_few(place: Place) -> None:
    """A log that dies soon after an entry is still held to it, though no bundle was full."""
    log = place.open()
    fill(log, 3)
    until(lambda: (place.objects.get("log/published") or b"").startswith(b"3 "))
    # As after SIGKILL: nothing is told to the object store any more.
    old = Place(MemoryLog(), place.objects)
    with old.database.transaction() as transaction:
        transaction.store(None, LogState(2, log.root_at(2), place.clock(), "", 0))

    with pytest.raises(SettingsError) as refused:
        old.open()
    assert refused.value.code == "STATE_BEHIND"


def test_extends_what_was_seen(log: TileLog) -> None:
    """A log extends every checkpoint it ever had, and no other."""
    fill(log, 5)
    earlier = log.checkpoint()
    fill(log, 5)

    log.check_extends(earlier.size, earlier.root)
    log.check_extends(0, EMPTY_ROOT)
    for size, root in ((5, bytes(32)), (11, bytes(32)), (0, bytes(32))):
        with pytest.raises(SettingsError) as refused:
            log.check_extends(size, root)
        assert refused.value.code == "STATE_BEHIND"


def test_restart(place: Place) -> None:
    """A log that is opened again goes on where it was."""
    for number in range(5):
        log = place.open()
        fill(log, 120)
        log.close()
        assert log.checkpoint().size == 120 * (number + 1)


class Gate:
    """Holds a log inside a transaction, so that a test says what gathers meanwhile."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._open = Event()
        self._reached = Event()

    def open(self, **changes: object) -> TileLog:
        """Open the log."""
        return self._place.open(**changes)

    def hold(self, log: TileLog, held: Submission) -> Future[Receipt]:
        """Append an entry whose builder waits for `release`; return when it does."""

        def build(index: int, time_ms: int) -> Leaf:
            self._reached.set()
            assert self._open.wait(60)
            return held.build(index, time_ms)

        future = log.append(Submission(held.identity, build))
        assert self._reached.wait(60)
        return future

    def release(self) -> None:
        """Let the transaction go on."""
        self._open.set()
