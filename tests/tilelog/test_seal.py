"""Sealing, seen alone: what several processes do to each other."""

from collections.abc import Callable, Mapping

from tests.tilelog.places import Place, submission
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
