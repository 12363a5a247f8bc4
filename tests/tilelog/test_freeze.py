from concurrent.futures import Future

import pytest

from tests.tilelog.places import Place, fill, sign, submission
from touchplate.errors import RefusedError, UnavailableError
from touchplate.tilelog.entry import Receipt, SignedCheckpoint
from touchplate.tilelog.log import TileLog
from touchplate.tilelog.settings import ProveConsistency

LINE = "Log frozen — Mon Jan  2 15:04:05 UTC 2006"


def refusal(future: Future[Receipt]) -> str:
    """Give the code of the refusal."""
    error = future.exception(60)
    assert isinstance(error, RefusedError)
    return error.code


def test_frozen(log: TileLog, place: Place) -> None:
    """A frozen log signs its tree again with the line, takes nothing more and is still read."""
    fill(log, 300)
    place.clock.now_ms += 5
    frozen = log.freeze(LINE)

    assert frozen == log.checkpoint()
    assert frozen.size == 300
    assert frozen.envelope == sign(300, frozen.root, place.clock(), (LINE,))
    assert log.is_frozen
    for number in (7, 300):
        with pytest.raises(RefusedError) as refused:
            log.append(submission(number))
        assert refused.value.code == "LOG_FROZEN"
    assert log.receipt(7).checkpoint == frozen


def test_again(log: TileLog, place: Place) -> None:
    """To freeze a frozen log changes nothing, whatever the line."""
    fill(log, 3)
    frozen = log.freeze(LINE)
    place.clock.now_ms += 5

    assert log.freeze("Log frozen — later") == frozen == log.checkpoint()


def test_opened_again(place: Place) -> None:
    """A log that was frozen is frozen when it is opened, and what is full is sealed."""
    log = place.open()
    fill(log, 300)
    frozen = log.freeze(LINE)
    log.close()
    log = place.open()

    assert log.is_frozen
    assert log.checkpoint() == frozen
    with pytest.raises(RefusedError):
        log.append(submission(300))
    state = place.database.state()
    assert state is not None
    assert state.sealed == 256


def test_other_process(place: Place) -> None:
    """A log that another process froze refuses what it was given to append, and then at once."""
    log, other = place.open(), place.open()
    fill(log, 3)
    other.freeze(LINE)

    assert log.is_frozen
    assert refusal(log.append(submission(1))) == "LOG_FROZEN"
    assert log.checkpoint().size == 3
    with pytest.raises(RefusedError):
        log.append(submission(4))


def test_not_cosigned_yet(place: Place) -> None:
    """If cosigning fails the log is frozen all the same, and freezing it again publishes that."""
    away = [False]

    def cosign(checkpoint: SignedCheckpoint, _prove: ProveConsistency) -> str:
        if away[0]:
            raise UnavailableError("SERVICE_UNAVAILABLE", "no witness answers")
        return checkpoint.envelope + " cosigned"

    log = place.open(cosign=cosign)
    fill(log, 3)
    before = log.checkpoint()
    away[0] = True
    with pytest.raises(UnavailableError):
        log.freeze(LINE)
    assert log.is_frozen
    assert log.checkpoint() == before
    away[0] = False

    assert log.freeze(LINE) == log.checkpoint()
    assert log.checkpoint().envelope.endswith(LINE + " cosigned")
