"""What a log's size costs: `python -m bench.growth [ENTRIES]`.

A log on SQLite and a folder is filled with small distinct entries through the loader. Then batches
of 64 entries of 1.4 KB, as a busy server makes them, are appended in turn to an empty log and to
it: one thread that commits, seals and tidies, so all of an append's cost is in the figure. Disk
space: about 250 bytes an entry, below TMPDIR.
"""

import hashlib
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from bench.tilelog import SETTINGS, submissions
from touchplate.storage.database import LogDatabase
from touchplate.storage.objects import ObjectStore
from touchplate.storage.schemes import open_objects
from touchplate.storage.sqlite import SQLiteLog
from touchplate.tilelog.batch import Sequencer
from touchplate.tilelog.bulk import LoadedEntry, load
from touchplate.tilelog.bundle import encode_record
from touchplate.tilelog.entry import Leaf, Receipt
from touchplate.tilelog.log import TileLog
from touchplate.tilelog.seal import Sealer
from touchplate.tilelog.tiles import Tiles

_ENTRIES: Final = 1_000_000
_BODY: Final = 64  # bytes of a loaded entry
_BATCH: Final = 64
_APPENDED: Final = 16_384  # in each round
_ROUNDS: Final = 24
_TIDY: Final = 8192  # entries after which the log tidies, as in `tilelog.log`
_SEALED: Final = 2048  # entries that gather before they are sealed, as in `tilelog.log`


class Cost(NamedTuple):
    """Seconds for each entry."""

    cpu: float
    wall: float


class Place:
    """A log's storage in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database: LogDatabase = SQLiteLog(folder / "log.db")
        self.objects: ObjectStore = open_objects(f"file://{folder}/objects")

    def start(self) -> float:
        """Open the log in a way that it can append, and close it; give the seconds to open it."""
        begun = time.perf_counter()
        database = SQLiteLog(self.folder / "log.db")
        log = TileLog(SETTINGS, database, self.objects)
        log.find(bytes(32))
        took = time.perf_counter() - begun
        log.close()
        database.close()
        return took


def entries(count: int) -> Iterator[LoadedEntry]:
    """Make distinct small entries."""
    for number in range(count):
        data = b"%0*d" % (_BODY, number)
        yield LoadedEntry(hashlib.sha256(data).digest(), Leaf(data, encode_record(data)), number)


def fill(place: Place, count: int) -> Cost:
    """Load the entries, and say how that goes."""
    begun = [time.process_time(), time.perf_counter()]

    def progress(size: int) -> None:
        if size % 1_000_000 < 16_384:
            wall = time.perf_counter() - begun[1]
            print(f"  {size:9} entries, {size / wall:7.0f}/s, peak {peak():4.0f} MiB", flush=True)

    load(SETTINGS, place.database, place.objects, entries(count), progress=progress)
    return Cost((time.process_time() - begun[0]) / count, (time.perf_counter() - begun[1]) / count)


def append(place: Place, count: int) -> Cost:
    """Append in batches, sealing and tidying as the log's own threads do."""
    tiles = Tiles(SETTINGS, place.database, place.objects)
    sequencer = Sequencer(SETTINGS, place.database, tiles)
    sealer = Sealer(SETTINGS, place.database, place.objects, tiles)
    sequencer.commit(lambda: submissions(_BATCH))  # opens what is opened on first use
    size, sealed = tiles.state().size, tiles.state().sealed
    cpu = wall = 0.0
    for _ in range(count // _TIDY):
        new = submissions(_TIDY)
        cpu, wall = cpu - time.process_time(), wall - time.perf_counter()
        for start in range(0, _TIDY, _BATCH):
            outcomes = sequencer.commit(new[start : start + _BATCH].copy, sealed)
            assert all(isinstance(outcome, Receipt) for outcome in outcomes)
            size += _BATCH
            if size - sealed >= _SEALED:
                sealed = sealer.seal(sealed)
        place.database.tidy()
        cpu, wall = cpu + time.process_time(), wall + time.perf_counter()
    return Cost(cpu / count, wall / count)


def stored(folder: Path) -> int:
    """Give the bytes below the folder, by the length of each file."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def peak() -> float:
    """Give the most memory that this process had at any time, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def private() -> float:
    """Give the memory of this process that is not a file's, in MiB."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    return 0.0


def main(count: int) -> None:
    """Print all figures."""
    folder = Path(tempfile.mkdtemp(prefix="growth-"))
    try:
        empty, grown = Place(folder / "empty"), Place(folder / "grown")
        for place in (empty, grown):
            TileLog(SETTINGS, place.database, place.objects).close()
        print(f"loading {count} entries of {_BODY} bytes", flush=True)
        cost = fill(grown, count)
        print(f"  {1 / cost.wall:.0f} entries/s, {cost.cpu * 1e6:.1f} µs CPU each")
        size = stored(grown.folder)
        print(
            f"  stored: {size / count:.0f} bytes an entry, {size / count - _BODY:.0f} above its own"
        )
        print(f"  memory: {peak():.0f} MiB at most, {private():.0f} MiB private now")
        starts = [grown.start() for _ in range(5)]
        took = statistics.median(starts) * 1e3
        print(f"opening it: {took:.1f} ms (at most {max(starts) * 1e3:.1f})")
        print(f"appending in batches of {_BATCH}: µs CPU (wall) an entry")
        # By turns, so that what else the machine does falls on both.
        rounds = [(append(empty, _APPENDED), append(grown, _APPENDED)) for _ in range(_ROUNDS)]
        for name, each in (("empty", 0), ("grown", 1)):
            cpu, wall = (
                statistics.median(pair[each][at] for pair in rounds) * 1e6 for at in (0, 1)
            )
            print(f"  {name} {cpu:5.1f} ({wall:5.1f})")
        for name in Cost._fields:
            ratio = statistics.median(getattr(a, name) / getattr(b, name) for a, b in rounds)
            total = sum(getattr(a, name) for a, _ in rounds) / sum(
                getattr(b, name) for _, b in rounds
            )
            print(
                f"rate of the grown log by {name}: {ratio:.0%} (median), {total:.0%} (all rounds)"
            )
        print(f"  memory: {peak():.0f} MiB at most, {private():.0f} MiB private now")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else _ENTRIES)
