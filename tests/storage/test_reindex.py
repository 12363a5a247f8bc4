from dataclasses import replace

import pytest

from touchplate.errors import VerificationError
from touchplate.storage.database import LogDatabase, LogState


def identity(number: int) -> bytes:
    """Make an identity."""
    return number.to_bytes(32, "big")


@pytest.fixture
def three(database: LogDatabase) -> LogDatabase:
    """Give the database of a log of three entries."""
    empty = LogState(0, bytes(32), 1, "empty", 0)
    with database.transaction() as transaction:
        transaction.store(None, empty)
        transaction.claim([identity(7), identity(5), identity(6)], 0)
        transaction.store(empty, replace(empty, size=3))
    return database


def test_made_again(three: LogDatabase) -> None:
    """The index that was made again is what the next claims and finds go by."""
    three.reindex(identity(number) for number in (1, 2, 3))

    assert [three.find(identity(n)) for n in (1, 2, 3, 5, 6, 7)] == [0, 1, 2, None, None, None]
    with three.transaction() as transaction:
        assert transaction.claim([identity(n) for n in (5, 2, 6)], 3) == [3, 1, 4]
    assert three.find(identity(6)) == 4


@pytest.mark.parametrize("numbers", [(1, 2), (1, 2, 3, 4), (1, 2, 1), (1, 2, 3, 1)])
def test_refused(three: LogDatabase, numbers: tuple[int, ...]) -> None:
    """Identities that are not one for each entry leave the index as it was."""
    with pytest.raises(VerificationError) as refused:
        three.reindex(identity(number) for number in numbers)

    assert refused.value.code == "TLOG_INVALID"
    assert [three.find(identity(n)) for n in (7, 5, 6, 1)] == [0, 1, 2, None]


def test_tidy(three: LogDatabase) -> None:
    """Upkeep changes nothing that can be seen."""
    three.tidy()

    assert [three.find(identity(n)) for n in (7, 5, 6, 1)] == [0, 1, 2, None]
