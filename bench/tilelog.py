"""The tile log engine alone, in process: what an append costs beyond HTTP and signature checks.

Entries are 1.4 KB with distinct identities. Checkpoints are signed with P-256, as a log's are.
First the engine's own CPU for each entry by size of batch; then many clients in one event loop,
each of which waits for its receipt before it sends the next; then the same on a log that has grown.
"""

import asyncio
import hashlib
import itertools
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from touchplate.keys.signer import generate
from touchplate.merkle.proof import check_inclusions
from touchplate.merkle.tree import RootHash, leaf_hash
from touchplate.storage.database import LogDatabase
from touchplate.storage.objects import ObjectStore
from touchplate.storage.schemes import open_log, open_objects
from touchplate.tilelog.batch import Sequencer
from touchplate.tilelog.bundle import encode_record, record_data, split_records
from touchplate.tilelog.entry import Leaf, Receipt, Submission
from touchplate.tilelog.eventloop import LoopAppender
from touchplate.tilelog.log import TileLog
from touchplate.tilelog.seal import Sealer
from touchplate.tilelog.settings import TileLogSettings
from touchplate.tilelog.tiles import Tiles

_ENTRIES: Final = 16_384
_GROWN: Final = 200_000
_ROUNDS: Final = 3
_SIGNER: Final = generate("ecdsa-p256")
_NUMBERS: Final = itertools.count()


def sign(size: int, root: RootHash, time_ms: int, _extensions: tuple[str, ...]) -> str:
    """Sign what a checkpoint says."""
    text = f"log.example.com\n{size}\n{root.hex()}\n"
    return f"{text}\n{_SIGNER.sign(text.encode()).hex()} {time_ms}\n"


SETTINGS: Final = TileLogSettings(
    name="log",
    entries_tile="entries",
    split=split_records,
    hashed=record_data,
    sign=sign,
    now_ms=lambda: time.time_ns() // 1_000_000,
)


def submissions(count: int) -> list[Submission]:
    """Make entries that the log does not have yet."""
    made = []
    for number in itertools.islice(_NUMBERS, count):
        data = b"%012d" % number * 117
        leaf = Leaf(data, encode_record(data))
        identity = hashlib.sha256(data).digest()
        made.append(Submission(identity, lambda _index, _time_ms, leaf=leaf: leaf))  # type: ignore[misc]  # the default binds this leaf
    return made


@contextmanager
def storage(kind: str) -> Iterator[tuple[LogDatabase, ObjectStore]]:
    """Open new storage; it is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        where = "memory:" if kind == "memory" else f"file://{folder}"
        database = open_log(where, "log")
        yield database, open_objects(where if kind == "memory" else f"{where}/objects")
        database.close()


def sequence(kind: str, batch: int) -> tuple[float, float]:
    """Give CPU and wall seconds for each entry, sealing included, in one thread."""
    entries = submissions(max(1024, _ENTRIES if batch >= 16 else 0))
    with storage(kind) as (database, objects):
        TileLog(SETTINGS, database, objects).close()
        tiles = Tiles(SETTINGS, database, objects)
        sequencer = Sequencer(SETTINGS, database, tiles)
        sealer = Sealer(SETTINGS, database, objects, tiles)
        sealed = 0
        cpu, wall = time.process_time(), time.perf_counter()
        for start in range(0, len(entries), batch):
            outcomes = sequencer.commit(entries[start : start + batch].copy, sealed)
            assert all(isinstance(outcome, Receipt) for outcome in outcomes)
            if start + batch - sealed >= 256:
                sealed = sealer.seal(sealed)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return cpu / len(entries), wall / len(entries)


def hash_floor() -> float:
    """Give the CPU seconds to hash one entry and its share of the tree: what cannot be left out."""
    leaves = [leaf_hash(b"%d" % number) for number in range(1024)]
    data = b"x" * 1404
    begun = time.process_time()
    for leaf in leaves:
        leaf_hash(data)
        hashlib.sha256(b"\x01" + leaf + leaf).digest()
    check_inclusions(0, 1, leaves[:1], [()], leaves[0])
    return (time.process_time() - begun) / len(leaves)


async def clients(log: TileLog, count: int, entries: list[Submission]) -> list[float]:
    """Append all entries from `count` clients at once; give the seconds that each entry took."""
    appender = LoopAppender(log, asyncio.get_running_loop())
    waiting, took = iter(entries), list[float]()

    async def client() -> None:
        for entry in waiting:
            begun = time.perf_counter()
            await appender.append(entry)
            took.append(time.perf_counter() - begun)

    await asyncio.gather(*(client() for _ in range(count)))
    return took


def load(log: TileLog, count: int) -> str:
    """Measure one load and say what came out."""
    entries = submissions(_ENTRIES if count >= 16 else 2048)
    cpu, wall = time.process_time(), time.perf_counter()
    took = asyncio.run(clients(log, count, entries))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    p50, p99 = statistics.median(took), statistics.quantiles(took, n=100)[98]
    return (
        f"{len(entries) / wall:8.0f} entries/s  {cpu / len(entries) * 1e6:6.1f} µs CPU each"
        f"  p50 {p50 * 1e3:6.2f} ms  p99 {p99 * 1e3:6.2f} ms"
    )


def main() -> None:
    """Print all figures; medians of three rounds."""
    floor = hash_floor()
    print(f"hashing alone (leaf and one node): {floor * 1e6:.2f} µs an entry")
    print("engine, one thread: µs CPU (wall) an entry")
    for batch in (1, 16, 64, 256, 1024):
        cells = []
        for kind in ("memory", "SQLite + folder"):
            rounds = [sequence(kind, batch) for _ in range(_ROUNDS)]
            cpu, wall = (statistics.median(each) * 1e6 for each in zip(*rounds, strict=True))
            cells.append(f"{kind} {cpu:6.1f} ({wall:6.1f})")
        print(f"  batches of {batch:4}: {'   '.join(cells)}")
    print("SQLite + folder, clients in one event loop")
    with storage("SQLite + folder") as (database, objects):
        log = TileLog(SETTINGS, database, objects)
        for count in (1, 16, 64, 256):
            print(f"  {count:4} clients: {load(log, count)}")
        asyncio.run(clients(log, 1024, submissions(_GROWN)))
        print(f"  after {log.checkpoint().size} entries")
        print(f"  {64:4} clients: {load(log, 64)}")
        log.close()
        begun = time.perf_counter()
        log = TileLog(SETTINGS, database, objects)
        print(f"  opening it: {(time.perf_counter() - begun) * 1e3:.1f} ms")
        begun = time.perf_counter()
        size = log.check().size
        print(f"  checking it: {(time.perf_counter() - begun) / size * 1e6:.1f} µs an entry")
        log.close()


if __name__ == "__main__":
    main()
