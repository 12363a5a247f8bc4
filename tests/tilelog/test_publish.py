"""Checkpoints that are cosigned before anybody is told of them."""

from threading import Event, Lock, Thread

import pytest

from tests.tilelog.places import Place, fill, sign, submission
from touchplate.errors import RefusedError, UnavailableError
from touchplate.merkle.proof import check_consistency, check_inclusion
from touchplate.merkle.tree import EMPTY_ROOT
from touchplate.tilelog.entry import Receipt, SignedCheckpoint
from touchplate.tilelog.settings import ProveConsistency


class Witness:
    """A small witness: it cosigns what extends the last tree it saw, and may be away."""

    def __init__(self) -> None:
        self.away = False
        self.gate = Event()
        self.gate.set()
        self.reached = Event()
        self.asked = 0
        self._seen = (0, EMPTY_ROOT)
        self._lock = Lock()

    def __call__(self, checkpoint: SignedCheckpoint, prove: ProveConsistency) -> str:
        """Cosign, or raise."""
        self.asked += 1
        self.reached.set()
        assert self.gate.wait(10)
        with self._lock:
            size, root = self._seen
            if self.away or checkpoint.size < size:
                raise UnavailableError("SERVICE_UNAVAILABLE", "no cosignature")
            check_consistency(size, checkpoint.size, prove(size), root, checkpoint.root)
            self._seen = (checkpoint.size, checkpoint.root)
        return f"{checkpoint.envelope} cosigned"


@pytest.fixture
def witness() -> Witness:
    """Give a witness of a log that is empty."""
    return Witness()


def check_published(receipt: Receipt) -> None:
    """Prove that the receipt is of a cosigned checkpoint."""
    tree = receipt.checkpoint
    assert tree.envelope == sign(tree.size, tree.root, tree.time_ms) + " cosigned"
    check_inclusion(receipt.index, tree.size, receipt.leaf_hash, receipt.proof, tree.root)


def test_cosigned(place: Place, witness: Witness) -> None:
    """Receipts and proofs, new, known and read again, are of cosigned checkpoints."""
    log = place.open(cosign=witness)
    receipts = [*fill(log, 300), *(log.append(submission(n)).result(60) for n in (7, 300))]

    for receipt in (*receipts, log.receipt(5)):
        check_published(receipt)
    assert log.checkpoint() == receipts[-1].checkpoint
    assert log.checkpoint().size == 301


def test_fails_closed(place: Place, witness: Witness) -> None:
    """Without cosignatures submitters get the error, and readers the last cosigned checkpoint."""
    log = place.open(cosign=witness)
    fill(log, 3)
    published = log.checkpoint()
    witness.away = True
    with pytest.raises(UnavailableError, match="no cosignature"):
        log.append(submission(3)).result(60)

    assert log.checkpoint() == published
    for index in (3, 4):
        with pytest.raises(RefusedError) as refused:
            log.receipt(index)
        assert refused.value.code == "NOT_FOUND"
    with pytest.raises(RefusedError):
        log.consistency(3, 4)
    # What was published before is known and proven all the same.
    known = log.append(submission(1)).result(60)
    assert (known.index, known.duplicate, known.checkpoint) == (1, True, published)


def test_later_success(place: Place, witness: Witness) -> None:
    """The retry of a submission whose cosigning failed gets the index that it has."""
    log = place.open(cosign=witness)
    witness.away = True
    for number in range(3):
        with pytest.raises(UnavailableError):
            log.append(submission(number)).result(60)
    witness.away = False
    again = log.append(submission(1)).result(60)

    check_published(again)
    assert (again.index, again.duplicate, again.checkpoint.size) == (1, True, 3)
    assert log.checkpoint() == again.checkpoint


def test_published_again(place: Place, witness: Witness) -> None:
    """Another process tells the same published checkpoint, also after a restart."""
    log = place.open(cosign=witness)
    fill(log, 3)
    other = place.open(cosign=witness)
    witness.away = True
    with pytest.raises(UnavailableError):
        log.append(submission(3)).result(60)
    log.close()

    assert other.checkpoint() == place.open(cosign=witness).checkpoint()
    assert other.checkpoint().size == 3


def test_fresh_cosignatures(place: Place, witness: Witness) -> None:
    """A tree that does not grow is cosigned again when asked, and what fails changes nothing."""
    log = place.open(cosign=witness)
    fill(log, 3)
    before, asked = log.checkpoint(), witness.asked
    place.clock.now_ms += 600_000
    again = log.publish_again()

    assert witness.asked == asked + 1
    assert (again.size, again.root, again.envelope) == (before.size, before.root, before.envelope)
    assert again.time_ms == place.clock.now_ms
    assert place.open(cosign=witness).checkpoint() == again
    witness.away = True
    with pytest.raises(UnavailableError):
        log.publish_again()
    assert log.checkpoint() == again
    witness.away = False
    assert log.append(submission(3)).result(60).checkpoint.size == 4


def test_no_longer_cosigned(place: Place, witness: Witness) -> None:
    """A log that was cosigned, then not, then again never tells less than it told."""
    log = place.open(cosign=witness)
    fill(log, 3)
    log.close()
    plain = place.open()
    fill(plain, 2)
    assert plain.checkpoint().size == 5
    plain.close()
    witness.away = True
    again = place.open(cosign=witness)

    assert again.checkpoint().size == 5
    with pytest.raises(UnavailableError):
        again.append(submission(5)).result(60)
    assert again.checkpoint().size == 5
    witness.away = False
    check_published(again.append(submission(5)).result(60))


def test_second_chance(place: Place, witness: Witness) -> None:
    """What could not be published is published later, though nobody submits anything."""
    log = place.open(cosign=witness)
    witness.away = True
    with pytest.raises(UnavailableError):
        log.append(submission(0)).result(60)
    assert log.checkpoint().size == 0
    witness.away = False
    log.publish_again()

    check_published(log.receipt(0))


def test_nothing_to_publish_again(place: Place) -> None:
    """A log without cosigning has nothing to do."""
    log = place.open()
    fill(log, 3)
    assert log.publish_again() == log.checkpoint()


def test_no_cost_when_known(place: Place, witness: Witness) -> None:
    """What is published already is not cosigned again."""
    log = place.open(cosign=witness)
    fill(log, 3)
    asked = witness.asked
    for _ in range(3):
        check_published(log.append(submission(1)).result(60))

    assert witness.asked == asked


def test_next_batch_gathers(place: Place, witness: Witness) -> None:
    """While one batch waits for witnesses the next gathers, and readers see the old checkpoint."""
    log = place.open(cosign=witness)
    witness.gate.clear()
    first = log.append(submission(0))
    assert witness.reached.wait(60)
    others = [log.append(submission(number)) for number in range(1, 50)]
    assert log.checkpoint().size == 0
    witness.gate.set()

    assert first.result(60).checkpoint.size == 1
    assert {future.result(60).checkpoint.size for future in others} == {50}


def test_overtaken(place: Place, witness: Witness) -> None:
    """When another process has a larger tree cosigned first, its checkpoint proves the entries."""
    slow = Witness()
    slow.gate.clear()
    slow.away = True  # as a witness that has seen a larger tree
    log, other = place.open(cosign=slow), place.open(cosign=witness)
    future = log.append(submission(0))
    assert slow.reached.wait(60)
    fill(other, 3)
    slow.gate.set()

    receipt = future.result(60)
    check_published(receipt)
    assert (receipt.index, receipt.duplicate) == (0, False)
    assert receipt.checkpoint == other.checkpoint()


@pytest.mark.slow
def test_many_processes(place: Place, witness: Witness) -> None:
    """However many publish at once, what is published only grows and every receipt holds."""
    logs = [place.open(cosign=witness) for _ in range(3)]
    receipts: list[Receipt] = []

    def run(start: int) -> None:
        log = logs[start % 3]
        receipts.extend(log.append(submission(start + n)).result(60) for n in range(40))

    threads = [Thread(target=run, args=(start,)) for start in (0, 1000, 2000)]
    sizes = []
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        sizes.append(logs[0].checkpoint().size)
    for thread in threads:
        thread.join()

    assert sizes == sorted(sizes)
    assert sorted(receipt.index for receipt in receipts) == list(range(120))
    for receipt in receipts:
        check_published(receipt)


def test_cosigned_from_now_on(place: Place, witness: Witness) -> None:
    """A log that had no cosigning tells its last checkpoint until the first one is cosigned."""
    log = place.open()
    fill(log, 3)
    log.close()
    log = place.open(cosign=witness)

    assert log.checkpoint().size == 3
    check_published(log.append(submission(3)).result(60))


def test_empty(place: Place, witness: Witness) -> None:
    """A new log has an empty checkpoint, which nobody has to cosign."""
    witness.away = True

    assert place.open(cosign=witness).checkpoint().size == 0
