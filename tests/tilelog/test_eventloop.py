import asyncio

import pytest

from tests.tilelog.places import Place, submission
from touchplate.errors import RefusedError
from touchplate.tilelog.entry import Leaf, Submission
from touchplate.tilelog.eventloop import LoopAppender


def test_many(place: Place) -> None:
    """Entries appended from a loop come back to it, each with its own receipt."""
    log = place.open()

    async def append() -> list[int]:
        appender = LoopAppender(log, asyncio.get_running_loop())
        futures = [appender.append(submission(number)) for number in range(300)]
        return [receipt.index for receipt in await asyncio.gather(*futures)]

    assert asyncio.run(append()) == list(range(300))


def test_failure(place: Place) -> None:
    """What the builder raised is raised where it is awaited."""
    log = place.open()

    def refuse(_index: int, _time_ms: int) -> Leaf:
        raise RefusedError("ENTRY_REFUSED", "not this one")

    async def append() -> None:
        await LoopAppender(log, asyncio.get_running_loop()).append(Submission(bytes(32), refuse))

    with pytest.raises(RefusedError, match="not this one"):
        asyncio.run(append())


def test_gone_away(place: Place) -> None:
    """Who stops waiting, or closes the loop, disturbs nobody; the entry is logged."""
    log = place.open()

    async def append() -> None:
        appender = LoopAppender(log, asyncio.get_running_loop())
        appender.append(submission(0)).cancel()
        assert (await appender.append(submission(1))).index == 1
        appender.append(submission(2))

    asyncio.run(append())
    assert log.append(submission(3)).result(60).index == 3
    assert log.append(submission(2)).result(60).index == 2
