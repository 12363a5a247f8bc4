"""Sealing, seen alone: what several processes do to each other."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from threading import Event

import pytest

from tests.tilelog.places import Place, fill, submission, until
from touchplate.storage.memory import MemoryLog
from touchplate.storage.objects import MemoryObjects
from touchplate.tilelog.batch import Sequencer
from touchplate.tilelog.seal import Sealer
from touchplate.tilelog.tiles import Tiles


class SlowObjects(MemoryObjects):
    """A store in which something else happens while full bundles are put."""

    meanwhile: Callable[[], None] | None = None

    def put_all(self, objects: Mapping[str, bytes]) -> None:
        """Let it happen, once, and put them."""
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        super().put_all(objects)


def test_note_does_not_go_back() -> None:
    """One who seals for long does not note less than another has noted meanwhile.

    Else a database from a backup between the two would be taken for the newest one.
    """
    objects = SlowObjects()
    place = Place(MemoryLog(), objects)
    place.open().close()
    tiles = Tiles(place.settings, place.database, objects)
    sequencer = Sequencer(place.settings, place.database, tiles)
    first, second = (Sealer(place.settings, place.database, objects, tiles) for _ in range(2))

    def meanwhile() -> None:
        sequencer.commit(lambda: [submission(number) for number in range(300, 310)])
        second.seal(0)

    sequencer.commit(lambda: [submission(number) for number in range(300)])
    objects.meanwhile = meanwhile
    assert first.seal(0) == 256
    noted = objects.get("log/published")
    assert noted is not None
    assert noted.split()[0] == b"310"
    place.close()


class CountedObjects(MemoryObjects):
    """A store that counts how often each object is put, and waits when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self.may_go_on = Event()

    def put_all(self, objects: Mapping[str, bytes]) -> None:
        """Count them, wait, and put them."""
        self.counts.update(objects.keys())
        assert self.may_go_on.wait(30)
        super().put_all(objects)


def test_one_of_several_seals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who fills the last bundle of those that go together seals them; the others go on.

    Two at once would write the same objects twice, which with a slow store delays every batch.
    """
    monkeypatch.setattr("touchplate.tilelog.log._NOTE_SECONDS", 60.0)
    objects = CountedObjects()
    place = Place(MemoryLog(), objects)
    first, second = place.open(), place.open()
    fill(first, 2000)
    fill(second, 100)
    until(lambda: objects.counts)
    fill(first, 500)
    time.sleep(0.1)  # for one that should not begin

    assert len(objects.counts) == 3 * 8
    assert set(objects.counts.values()) == {1}
    objects.may_go_on.set()
    until(lambda: place.sealed == 2048)
    place.close()
    assert len(objects.counts) == 3 * 10
    assert set(objects.counts.values()) == {1}


def test_another_seals_if_one_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that began to seal and stands still does not keep the others from it."""
    monkeypatch.setattr("touchplate.tilelog.log._NOTE_SECONDS", 60.0)
    objects = CountedObjects()
    place = Place(MemoryLog(), objects)
    first, second = place.open(), place.open()
    fill(second, 2100)
    until(lambda: objects.counts)
    fill(first, 2100)
    until(lambda: max(objects.counts.values()) == 2)
    objects.may_go_on.set()
    place.close()
