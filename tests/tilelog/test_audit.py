"""Each test spoils one thing in a log of 600 entries; the audit names it, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.tilelog.places import Place, fill, submission
from touchplate.errors import MalformedError
from touchplate.storage.database import Segment
from touchplate.storage.memory import MemoryLog
from touchplate.storage.objects import MemoryObjects
from touchplate.tilelog import audit as module
from touchplate.tilelog.audit import Audit, Auditor, CheckEntry, count_parts
from touchplate.tilelog.tiles import encode_stamp

SIZE = 600


@pytest.fixture
def place() -> Place:
    """Give a log of 600 entries, 512 of them sealed."""
    made = Place(MemoryLog(), MemoryObjects())
    log = made.open()
    fill(log, SIZE)
    log.close()
    return made


def audit(place: Place, check_entry: CheckEntry | None = None, **options: bool) -> Audit:
    """Audit the log as it rests."""
    auditor = Auditor(
        place.settings, place.database, place.objects, check_entry=check_entry, **options
    )
    state = place.database.state()
    assert state is not None
    parts = [auditor.audit_part(number, state.size) for number in range(count_parts(state.size))]
    assert sum(part.entries for part in parts) == state.size
    return auditor.combine(state, parts)


def faults(place: Place) -> dict[str, str]:
    """Give what is wrong, by place."""
    return dict(audit(place).faults)


def change(place: Place, key: str, at: int, octet: int | None = None) -> None:
    """Flip a bit of an object, or set an octet."""
    data = bytearray(place.objects.get(key) or b"")
    data[at] = data[at] ^ 1 if octet is None else octet
    place.objects.replace(key, bytes(data))


def lose(place: Place, key: str) -> None:
    """Remove an object."""
    assert isinstance(place.objects, MemoryObjects)
    del place.objects._objects[key]


def test_whole(place: Place) -> None:
    """A log that is whole has no faults, and its root is the checkpoint's."""
    found = audit(place)
    state = place.database.state()
    assert state is not None
    assert found == Audit(SIZE, state.root, (), 0, 0)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 512])
def test_sizes(size: int) -> None:
    """Logs of sizes around the ends of bundles are whole."""
    made = Place(MemoryLog(), MemoryObjects())
    fill(made.open(), size)
    made.close()
    assert audit(made).faults == ()


@pytest.mark.slow
@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 64, 70, 300])
def test_many_parts(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parts of a log that has several lead to its root: with parts of one bundle."""
    monkeypatch.setattr(module, "PART_BUNDLES", 1)
    made = Place(MemoryLog(), MemoryObjects())
    fill(made.open(), size * 13)
    made.close()
    assert count_parts(size * 13) == -(-size * 13 // 256)
    assert audit(made).faults == ()


def test_entry_changed(place: Place) -> None:
    """A changed entry is named, and the root that it leads to."""
    change(place, "log/tile/entries/000", 10)
    found = faults(place)
    assert found.keys() == {"entry 0", "tile/1/000.p/2", "the root"}
    assert "tile/0/000" in found["entry 0"]


def test_bundle_lost(place: Place) -> None:
    """A missing bundle is the one fault: its tile stands for it above."""
    lose(place, "log/tile/entries/001")
    assert faults(place) == {"tile/entries/001": "is missing, or holds too few entries"}


def test_bundle_malformed(place: Place) -> None:
    """A bundle whose lengths do not add up is malformed."""
    change(place, "log/tile/entries/001", 0, 0xFF)
    assert "malformed" in faults(place)["tile/entries/001"]


def test_tile_changed(place: Place) -> None:
    """A changed hash of a level 0 tile is named by its entry."""
    change(place, "log/tile/0/001", 5 * 32)
    assert faults(place).keys() == {"entry 261"}


@pytest.mark.slow
def test_tile_lost(place: Place) -> None:
    """A missing tile is the one fault."""
    lose(place, "log/tile/0/000")
    assert faults(place) == {"tile/0/000": "is missing"}


def test_bundle_and_tile_lost(place: Place) -> None:
    """Without both nothing above can be computed, and that is said."""
    lose(place, "log/tile/entries/000")
    lose(place, "log/tile/0/000")
    assert faults(place).keys() == {"tile/entries/000", "tile/0/000", "the root"}


def test_upper_tile_changed(place: Place) -> None:
    """A tile above level 0 must be what the tiles below it make."""
    assert isinstance(place.database, MemoryLog)
    tiles = place.database._tiles
    tiles[1, 0] = bytes(32) + tiles[1, 0][32:]
    assert faults(place) == {"tile/1/000.p/2": "is not what its leaves make"}
    del tiles[1, 0]
    assert faults(place) == {"tile/1/000.p/2": "is missing"}


def test_stamps_lost(place: Place) -> None:
    """Missing times and identities are named."""
    lose(place, "log/stamps/001")
    assert faults(place) == {"stamps of bundle 1": "are missing, or too few"}


def test_identity_twice(place: Place) -> None:
    """An entry with the identity of an earlier one is named with it."""
    data = place.objects.get("log/stamps/000")
    assert data is not None
    copied = data[: 300 % 256 * 40 + 8] + data[8:40] + data[300 % 256 * 40 + 40 :]
    place.objects.replace("log/stamps/000", copied)
    assert faults(place) == {"entry 44": "has the identity of entry 0"}


def test_index_wrong(place: Place) -> None:
    """An identity that leads elsewhere, or nowhere, is named."""
    assert isinstance(place.database, MemoryLog)
    first, second = submission(3).identity, submission(4).identity
    place.database._identities[first] = 4
    del place.database._identities[second]
    assert faults(place) == {
        "entry 3": "its identity leads to entry 4",
        "entry 4": "its identity leads nowhere",
    }


def test_order_of_times(place: Place) -> None:
    """Times that go back are named, also over the end of a bundle."""
    data = place.objects.get("log/stamps/001")
    assert data is not None
    place.objects.replace("log/stamps/001", encode_stamp(1, data[8:40]) + data[40:])
    assert faults(place) == {"entry 256": "is older than the one before it"}


def test_order_over_parts(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """And over the end of a part."""
    monkeypatch.setattr(module, "PART_BUNDLES", 1)
    data = place.objects.get("log/stamps/001")
    assert data is not None
    early = b"".join(encode_stamp(1, data[at + 8 : at + 40]) for at in range(0, len(data), 40))
    place.objects.replace("log/stamps/001", early)
    assert faults(place) == {"entry 256": "is older than the one before it"}


def test_unsealed_row_changed(place: Place) -> None:
    """What rests in the database is read as well."""
    assert isinstance(place.database, MemoryLog)
    rows = place.database._segments
    (key,) = [key for key, row in rows.items() if row.first <= 520 < row.first + row.count]
    row = rows[key]
    rows[key] = Segment(row.first, row.records[:-3] + b"xyz", row.hashes, row.stamps)
    assert "the root" in faults(place)


def test_root(place: Place) -> None:
    """A checkpoint of another root is named."""
    assert isinstance(place.database, MemoryLog)
    state = place.database.state()
    assert state is not None
    place.database._state = replace(state, root=bytes(32))
    assert faults(place).keys() == {"the root"}


def test_younger_than_checkpoint(place: Place) -> None:
    """No entry may be younger than the checkpoint that covers it."""
    assert isinstance(place.database, MemoryLog)
    state = place.database.state()
    assert state is not None
    place.database._state = replace(state, time_ms=1)
    assert faults(place) == {"the checkpoint": "an entry is younger than it"}


def test_entries(place: Place) -> None:
    """Each record is checked by the function given; what it raises is named, and counted."""

    def check(record: bytes) -> bool:
        if record[2:].startswith(b"entry 7 "):
            raise MalformedError("ENTRY_MALFORMED", "seven")
        return not record[2:].startswith(b"entry 8 ")

    found = audit(place, check)
    assert found.faults == (("entry 7", "ENTRY_MALFORMED: seven"),)
    assert found.signed == SIZE - 2


def test_identities_are_leaf_hashes(place: Place) -> None:
    """Where an identity is to be the leaf hash, another one is named: here all; 100 by name."""
    found = audit(place, is_leaf_identity=True)
    assert len(found.faults) == 100
    assert found.more == SIZE - 100
