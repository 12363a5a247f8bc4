from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tilelog.places import Place, fill, submission
from tests.tilelog.test_crash import DyingObjects, Fault
from touchplate.errors import RefusedError, UnavailableError, VerificationError
from touchplate.formats.checkpoint import encode_checkpoint
from touchplate.formats.note import NoteSignature, encode_note
from touchplate.merkle.tile import TILE_WIDTH
from touchplate.merkle.tree import RootHash
from touchplate.storage.folder import FolderObjects
from touchplate.storage.objects import MemoryObjects, ObjectStore
from touchplate.tilelog.bulk import LoadedEntry, load
from touchplate.tilelog.entry import SignedCheckpoint
from touchplate.tilelog.export import Exported, export
from touchplate.tilelog.source import TileSource
from touchplate.tilelog.tiles import Tiles

ORIGIN = "log.example.org"


def sign_note(size: int, root: RootHash, _: int, extensions: tuple[str, ...] = ()) -> str:
    """Give a checkpoint in its form, with a signature that is none."""
    text = encode_checkpoint(ORIGIN, size, root, extensions)
    return encode_note(text, [NoteSignature(ORIGIN, b"hint", b"signature")])


def noted(place: Place, size: int) -> Place:
    """Give the place with a log of this size whose checkpoints are notes."""
    place.settings = replace(place.settings, sign=sign_note)
    place.open()
    grow(place, size)
    return place


def grow(place: Place, size: int) -> None:
    """Let the log have this size."""
    state = place.database.state()
    entries = [
        LoadedEntry(submission(number).identity, submission(number).build(number, 5), 5 + number)
        for number in range(state.size if state else 0, size)
    ]
    load(place.settings, place.database, place.objects, entries)


def tiles_of(place: Place) -> Tiles:
    """Read the log."""
    return Tiles(place.settings, place.database, place.objects)


def run(place: Place, out: ObjectStore, checkpoint: SignedCheckpoint | None = None) -> Exported:
    """Export it."""
    tiles = tiles_of(place)
    return export(place.settings, tiles, checkpoint or tiles.published(), out)


def source_of(out: ObjectStore, exported: Exported) -> TileSource:
    """Read an export as anybody would."""
    return TileSource(lambda path, _: out.get(path), exported.checkpoint, has_times=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "size", [0, 1, 255, 256, 257, 700, pytest.param(65_537, marks=pytest.mark.slow)]
)
def test_whole(place: Place, size: int) -> None:
    """An export holds all entries and their times, and leads to the checkpoint's root."""
    out = MemoryObjects()
    exported = run(noted(place, size), out)
    entries = list(source_of(out, exported).entries(0))

    assert (exported.added, exported.checkpoint.size) == (size, size)
    assert out.get("checkpoint") == tiles_of(place).published().envelope.encode()
    assert [each.time_ms for each in entries] == [5 + number for number in range(size)]
    for number in {0, size // 2, size - 1} & set(range(size)):
        assert entries[number].data == submission(number).build(number, 5).hashed


def test_names(place: Place) -> None:
    """The files are those of C2SP tlog-tiles, and the times beside them."""
    out = MemoryObjects()
    run(noted(place, 257), out)
    paths = set(out._objects)
    assert paths == {
        *("checkpoint", "progress", "tile/0/000", "tile/0/001.p/1", "tile/1/000.p/1"),
        *("tile/entries/000", "tile/entries/001.p/1", "times/000", "times/001.p/1"),
    }


@pytest.mark.slow
@pytest.mark.parametrize(("first", "then"), [(0, 300), (3, 5), (256, 512), (300, 300), (511, 1030)])
def test_again(place: Place, first: int, then: int) -> None:
    """A second export adds what is new to the first one's files."""
    out = MemoryObjects()
    run(noted(place, first), out)
    grow(place, then)
    exported = run(place, out)

    assert exported.added == then - first
    assert len(list(source_of(out, exported).entries(0))) == then


def test_one_tree(place: Place) -> None:
    """What is appended while the log is exported is not in the export."""
    out = MemoryObjects()
    checkpoint = tiles_of(noted(place, 300)).published()
    grow(place, 600)
    exported = run(place, out, checkpoint)
    assert out.get("checkpoint") == checkpoint.envelope.encode()
    assert len(list(source_of(out, exported).entries(0))) == 300
    assert out.get("tile/0/001") is None


@pytest.mark.slow
def test_interrupted(place: Place) -> None:
    """An export that dies at any write is gone on with, and has no checkpoint before."""
    noted(place, 70 * TILE_WIDTH + 3)
    kept = MemoryObjects()
    for step in (0, 1, 2, 100, 193, 194, 195, 0, 5, 20):
        fault = Fault()
        fault.at, fault.stays = step, True
        with pytest.raises(UnavailableError):
            run(place, DyingObjects(kept, fault))
        assert kept.get("checkpoint") is None
    assert kept.get("progress") is not None
    exported = run(place, kept)
    assert exported.added == 6 * TILE_WIDTH + 3
    assert len(list(source_of(kept, exported).entries(0))) == 70 * TILE_WIDTH + 3


def test_another(new_place: Callable[[], Place]) -> None:
    """The files of another log, of a larger tree, or of nobody are left as they are."""
    out = MemoryObjects()
    place = noted(new_place(), 300)
    smaller = tiles_of(place).published()
    grow(place, 400)
    run(place, out)
    with pytest.raises(RefusedError, match="more of this one"):
        run(place, out, smaller)

    other = noted(new_place(), 0)
    fill(other.open(), 500)  # other times, so other leaves
    with pytest.raises(RefusedError) as refused:
        run(other, out)
    assert refused.value.code == "FILE_EXISTS"

    strange = MemoryObjects()
    strange.put("checkpoint", b"\xff")
    with pytest.raises(RefusedError, match="no export has written"):
        run(place, strange)


def test_damaged(place: Place) -> None:
    """Entries that do not lead to the checkpoint are exported without one."""
    out = MemoryObjects()
    noted(place, 300)
    damaged = DamagedObjects(place.objects)
    tiles = Tiles(place.settings, place.database, damaged)
    with pytest.raises(VerificationError, match="do not lead"):
        export(place.settings, tiles, tiles.published(), out)
    assert out.get("checkpoint") is None


class DamagedObjects(MemoryObjects):
    """A copy of a store in which an entry of the first bundle has changed."""

    def __init__(self, objects: ObjectStore) -> None:
        super().__init__()
        for key in ("log/tile/entries/000", "log/stamps/000", "log/tile/0/000"):
            self.put(key, objects.get(key) or b"")
        bundle = self.get("log/tile/entries/000") or b""
        self.replace("log/tile/entries/000", bundle[:-1] + bytes((bundle[-1] ^ 1,)))


def test_readable(place: Place, tmp_path: Path) -> None:
    """The files of an export are for those whom the umask lets read them."""
    run(noted(place, 300), FolderObjects(tmp_path / "out", public=True))
    modes = {path.stat().st_mode & 0o444 for path in (tmp_path / "out").rglob("*")}
    assert modes == {0o444}
