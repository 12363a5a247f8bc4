"""Writers that take turns: what gathers meanwhile, and how one takes up what another wrote."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Event

from tests.tilelog.places import Place, fill, submission
from touchplate.merkle.edge import EMPTY_EDGE, Edge
from touchplate.storage.database import LogState, LogTransaction
from touchplate.storage.memory import MemoryLog
from touchplate.storage.objects import MemoryObjects
from touchplate.tilelog.log import TileLog
from touchplate.tilelog.tiles import Tiles


def state_of(place: Place) -> LogState:
    """Give the state, which is there."""
    state = place.database.state()
    assert state is not None
    return state


class Watched(MemoryLog):
    """A database that says when somebody asks for its lock."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = Event()

    @contextmanager
    def transaction(self) -> Iterator[LogTransaction]:
        """Note it, and begin."""
        self.asked.set()
        with super().transaction() as transaction:
            yield transaction


def test_gathers_until_its_turn() -> None:
    """What comes while somebody else has the database's lock goes into one batch."""
    database = Watched()
    place = Place(database, MemoryObjects())
    log = place.open()
    with database.transaction():
        database.asked.clear()
        futures = [log.append(submission(0))]
        assert database.asked.wait(60)
        futures += [log.append(submission(number)) for number in range(1, 20)]
    receipts = [future.result(60) for future in futures]
    place.close()

    assert [receipt.index for receipt in receipts] == list(range(20))
    assert {receipt.checkpoint.size for receipt in receipts} == {20}


def test_no_more_than_a_batch(place: Place) -> None:
    """However much gathers, a transaction takes as much as it may."""
    log = place.open(max_batch=8)
    with place.database.transaction():
        futures = [log.append(submission(number)) for number in range(20)]
    sizes = [future.result(60).checkpoint.size for future in futures]

    assert sizes == [8] * 8 + [16] * 8 + [20] * 4


def tiles_of(place: Place) -> Tiles:
    """Give what reads the log anew."""
    return Tiles(place.settings, place.database, place.objects)


def edges(place: Place, log: TileLog, steps: tuple[int, ...]) -> list[tuple[LogState, Edge]]:
    """Append so many entries at a time; give each state, and its edge as the tiles have it."""
    found = [(state_of(place), EMPTY_EDGE)]
    for step in steps:
        fill(log, step)
        found.append((state_of(place), tiles_of(place).edge(state_of(place))))
    return found


def test_grown(log: TileLog, place: Place) -> None:
    """From the edge of any earlier state the entries after it lead to the same as the tiles do."""
    seen = edges(place, log, (1, 2, 60, 100, 50, 7))
    state, edge = seen[-1]

    for _, earlier in seen[:-1]:
        assert tiles_of(place).grown(earlier, state) == edge


def test_not_grown(log: TileLog, place: Place) -> None:
    """Entries that are many or sealed, and those that lead to another root, are left to the tiles.

    So are those of an earlier state: an edge that is ahead was of another tree.
    """
    seen = edges(place, log, (3, 5))
    (_, before), (state, edge) = seen[1:]
    tiles = tiles_of(place)

    assert tiles.grown(before, replace(state, root=bytes(32))) is None
    assert tiles.grown(edge, seen[1][0]) is None
    other = Edge.of_tiles(3, (bytes(96),))
    assert tiles.grown(other, state) is None
    fill(log, 600)
    assert tiles.grown(before, state_of(place)) is None
    log.close()  # seals what is full
    assert place.sealed == 512
    assert tiles.grown(before, replace(state_of(place), size=250)) is None
