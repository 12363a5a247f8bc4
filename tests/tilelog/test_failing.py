import pytest

from tests.tilelog.places import Place, fill, submission, until
from tests.tilelog.test_crash import DyingLog, DyingObjects, Fault
from touchplate.errors import UnavailableError, VerificationError
from touchplate.storage.memory import MemoryLog
from touchplate.storage.objects import MemoryObjects
from touchplate.tilelog.log import TileLog


def wait_for(log: TileLog, *, failing: bool) -> None:
    """Wait until the log says so."""
    until(lambda: (log.failing is not None) == failing)


@pytest.mark.slow
def test_database_away() -> None:
    """While batches fail the log says why, and finds out by itself when they would not."""
    fault = Fault()
    place = Place(MemoryLog(), MemoryObjects())
    log = Place(DyingLog(place.database, fault), place.objects).open()
    fill(log, 3)
    wait_for(log, failing=False)
    fault.at, fault.stays = 0, True
    with pytest.raises(UnavailableError):
        log.append(submission(3)).result(60)
    failures = fault.failures
    until(lambda: fault.failures > failures + 1)  # nobody appends: it tries by itself
    wait_for(log, failing=True)
    fault.stays = False
    wait_for(log, failing=False)

    assert log.append(submission(3)).result(60).index == 3
    log.close()


@pytest.mark.slow
def test_objects_away() -> None:
    """While sealing fails the log says why, takes entries, and finds out when it would not."""
    fault = Fault()
    place = Place(MemoryLog(), MemoryObjects())
    log = Place(place.database, DyingObjects(place.objects, fault)).open()
    fault.at, fault.stays = 0, True
    fill(log, 300)
    wait_for(log, failing=True)
    fill(log, 10)
    fault.stays = False
    wait_for(log, failing=False)
    log.close()


def test_reindex(place: Place) -> None:
    """The index of identities is made again from what the log holds, sealed or not."""
    log = place.open()
    fill(log, 600)
    log.close()
    log = place.open()
    log.reindex()

    assert log.check() == log.checkpoint()
    for number in (0, 300, 599):
        assert log.append(submission(number)).result(60).index == number
    assert log.append(submission(600)).result(60).index == 600


def test_reindex_mends() -> None:
    """Identities that lead nowhere lead to their entries again."""
    place = Place(MemoryLog(), MemoryObjects())
    log = place.open()
    fill(log, 300)
    assert isinstance(place.database, MemoryLog)
    for number in (3, 299):
        del place.database._identities[submission(number).identity]
    with pytest.raises(VerificationError):
        log.check()
    log.reindex()

    assert log.check() == log.checkpoint()
    place.close()
