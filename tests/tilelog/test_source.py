from __future__ import annotations

import pytest

from tests.tilelog.places import Place
from tests.tilelog.test_export import noted, run
from touchplate.errors import TouchplateError, VerificationError
from touchplate.formats.checkpoint import Checkpoint
from touchplate.merkle.tree import RootHash
from touchplate.storage.memory import MemoryLog
from touchplate.storage.objects import MemoryObjects
from touchplate.tilelog.source import MAX_BUNDLE, SourceEntry, TileSource

SIZE = 70_000  # 273 full bundles and a partial one: three levels of tiles


@pytest.fixture(scope="module")
def exported() -> tuple[dict[str, bytes], Checkpoint]:
    """Export a log with three levels of tiles once."""
    place = Place(MemoryLog(), MemoryObjects())
    out = MemoryObjects()
    checkpoint = run(noted(place, SIZE), out).checkpoint
    place.close()
    return out._objects, checkpoint


def read(
    files: dict[str, bytes], checkpoint: Checkpoint, start: int = 0, *, has_times: bool = True
) -> list[SourceEntry]:
    """Read the entries from `start` on."""
    source = TileSource(lambda path, _: files.get(path), checkpoint, has_times=has_times)
    return list(source.entries(start))


@pytest.mark.slow
def test_resumed(exported: tuple[dict[str, bytes], Checkpoint]) -> None:
    """Reading begins anywhere."""
    files, checkpoint = exported
    whole = read(files, checkpoint)
    for start in (1, 256, 69_999, SIZE):
        assert read(files, checkpoint, start) == whole[start:]


@pytest.mark.slow
def test_without_times(exported: tuple[dict[str, bytes], Checkpoint]) -> None:
    """A log of somebody else has no times."""
    entries = read(*exported, 69_000, has_times=False)
    assert {each.time_ms for each in entries} == {None}


@pytest.mark.slow
def test_full_for_partial(exported: tuple[dict[str, bytes], Checkpoint]) -> None:
    """A log may drop partial files once it has the full ones: those are read then."""
    files, checkpoint = dict(exported[0]), exported[1]
    for path in [path for path in files if ".p/" in path]:
        padding = b"\0" * 32 if path.startswith("tile/") else b"\0" * 8
        if "entries" in path:
            padding = b"\0\x01x"
        files[path.partition(".p/")[0]] = files.pop(path) + padding
    assert len(read(files, checkpoint)) == SIZE


@pytest.mark.slow
def test_root_at(exported: tuple[dict[str, bytes], Checkpoint]) -> None:
    """Earlier roots are those that the log had then."""
    files, checkpoint = exported
    source = TileSource(lambda path, _: files.get(path), checkpoint)
    for size in (0, 1, 300, 65_536, SIZE):
        place = Place(MemoryLog(), MemoryObjects())
        assert source.root_at(size) == run(noted(place, size), MemoryObjects()).checkpoint.root
        place.close()


PATHS = [
    *("tile/0/000", "tile/0/272", "tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17"),
    *("tile/2/000.p/1", "tile/entries/000", "tile/entries/273.p/112"),
]


@pytest.mark.slow
@pytest.mark.parametrize("path", [*PATHS, "times/000", "times/273.p/112"])
@pytest.mark.parametrize("how", ["missing", "empty", "short", "cut"])
def test_truncated(exported: tuple[dict[str, bytes], Checkpoint], path: str, how: str) -> None:
    """Files that are missing or cut off are refused, wherever they are."""
    files = dict(exported[0])
    data = files.pop(path)
    if how != "missing":
        width = 8 if path.startswith("times") else 32
        files[path] = {"empty": b"", "short": data[:-width], "cut": data[:-1]}[how]
    with pytest.raises(VerificationError) as refused:
        read(files, exported[1])
    assert refused.value.code == "TLOG_INVALID"


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("at", [5, -1])
def test_changed(exported: tuple[dict[str, bytes], Checkpoint], path: str, at: int) -> None:
    """One bit that is wrong, anywhere in entries or hashes, is found."""
    files = dict(exported[0])
    data = bytearray(files[path])
    data[at] ^= 1
    files[path] = bytes(data)
    with pytest.raises(VerificationError, match="not"):
        read(files, exported[1])


def test_found_when_read(exported: tuple[dict[str, bytes], Checkpoint]) -> None:
    """A wrong bundle is refused where it stands, after all entries before it."""
    files = dict(exported[0])
    files["tile/entries/100"] = files["tile/entries/101"]
    source = TileSource(lambda path, _: files.get(path), exported[1])
    entries = source.entries(0)
    for _ in range(25_600):
        next(entries)
    with pytest.raises(VerificationError, match="entry 25600"):
        next(entries)


def test_exchanged(exported: tuple[dict[str, bytes], Checkpoint]) -> None:
    """A bundle with its tile, in another's place, is refused by the tile above."""
    files = dict(exported[0])
    for kind in ("0", "entries"):
        files[f"tile/{kind}/100"] = files[f"tile/{kind}/101"]
    with pytest.raises(VerificationError, match="the tile above"):
        read(files, exported[1])


@pytest.mark.parametrize("size", [SIZE + 1, SIZE - 1, SIZE + 256, 1 << 40, (1 << 63) - 1, 0])
def test_another_size(exported: tuple[dict[str, bytes], Checkpoint], size: int) -> None:
    """A checkpoint of a larger or smaller tree than the tiles have is refused at once."""
    with pytest.raises(VerificationError):
        TileSource(lambda path, _: exported[0].get(path), exported[1]._replace(size=size))


def test_another_root(exported: tuple[dict[str, bytes], Checkpoint]) -> None:
    """A checkpoint with another root is refused at once."""
    wrong = exported[1]._replace(root=RootHash(b"\1" * 32))
    with pytest.raises(VerificationError, match="root"):
        TileSource(lambda path, _: exported[0].get(path), wrong)


def test_time_that_is_none(exported: tuple[dict[str, bytes], Checkpoint]) -> None:
    """A time that no log can have is refused."""
    files = dict(exported[0])
    files["times/000"] = b"\xff" * 8 * 256
    with pytest.raises(VerificationError, match="time"):
        read(files, exported[1])


def test_bounded(exported: tuple[dict[str, bytes], Checkpoint]) -> None:
    """No file is asked for without a limit, and reading ends when nobody asks for more."""
    asked: dict[str, int] = {}

    def fetch(path: str, most: int) -> bytes | None:
        asked[path] = most
        return exported[0].get(path)

    entries = TileSource(fetch, exported[1], has_times=True).entries(0)
    next(entries)
    entries.close()  # type: ignore[attr-defined]  # it is a generator
    assert len([path for path in asked if path.startswith("tile/entries")]) <= 17
    assert {asked[path] for path in asked if "entries" in path} == {MAX_BUNDLE}
    assert {asked[path] for path in asked if "/0/" in path or "/1/" in path} == {8192}
    assert {asked[path] for path in asked if "times" in path} == {2048}


def test_errors_pass(exported: tuple[dict[str, bytes], Checkpoint]) -> None:
    """What the reader raises reaches whoever reads."""

    def fetch(path: str, _: int) -> bytes | None:
        if path == "tile/entries/100":
            raise TouchplateError("SERVICE_UNAVAILABLE", "away")
        return exported[0].get(path)

    with pytest.raises(TouchplateError, match="away"):
        list(TileSource(fetch, exported[1]).entries(0))
