"""Many processes append to one log and are killed at random moments; then all is read again.

    python -m tests.tilelog.kill_many --kills 100 --processes 3 --store postgres+s3

It starts the servers that it needs. What is proven of the log afterwards: `check_answered`.
"""

import argparse
import itertools
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tests.servers.postgres import PostgresServer
from tests.servers.s3 import ENVIRON, S3Server
from tests.tilelog.places import Place, submission
from tests.tilelog.writer import place_at
from touchplate.merkle.proof import check_consistency
from touchplate.merkle.tile import TILE_WIDTH
from touchplate.merkle.tree import RootHash
from touchplate.storage.database import STAMP_SIZE
from touchplate.tilelog.bundle import split_records
from touchplate.tilelog.tiles import Tiles, parse_stamp

REPOSITORY = Path(__file__).resolve().parent.parent.parent
_RETRIED = 30  # entries that a new process appends again: clients that never knew
_PATIENCE_SECONDS = 60.0


class Stores(NamedTuple):
    """The URIs of a log's stores."""

    database: str
    objects: str


class Answer(NamedTuple):
    """What a writer was told and printed."""

    number: int
    at: int  # its index
    size: int
    root: RootHash


@dataclass
class Writer:
    """A process that appends, and the file that it prints to."""

    process: subprocess.Popen[bytes]
    output: Path

    def answers(self) -> list[Answer]:
        """Give what it printed; a last line that was cut off was not received."""
        text = self.output.read_text()
        lines = (line.split() for line in text[: text.rfind("\n") + 1].splitlines())
        return [
            Answer(int(number), int(index), int(size), RootHash(bytes.fromhex(root)))
            for number, index, size, root in lines
        ]

    def wait_for_answer(self) -> None:
        """Wait until it has printed something."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while not self.output.stat().st_size:
            assert self.process.poll() is None, "the writer ended by itself"
            assert time.monotonic() < end, "the writer was told nothing"
            time.sleep(0.005)

    def kill(self) -> None:
        """End it as the kernel ends a process, and wait for that."""
        self.process.kill()
        self.process.wait(_PATIENCE_SECONDS)


@dataclass
class Writers:
    """Processes that append to the same log, one for each slot."""

    stores: Stores
    folder: Path
    answered: list[Answer] = field(default_factory=list)
    running: dict[int, Writer] = field(default_factory=dict)
    _step: int = 0
    _outputs: Iterator[int] = field(default_factory=itertools.count)

    def start(self, slot: int, count: int = 10**6) -> Writer:
        """Start one that goes on a little before where the last one was."""
        output = self.folder / f"answers-{next(self._outputs)}"
        first = max(0, self._step - _RETRIED)
        with output.open("wb") as file:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "tests.tilelog.writer", *self.stores),
                    *(str(slot), str(first), str(first + count)),
                ],
                cwd=REPOSITORY,
                stdout=file,
                env={**os.environ, **ENVIRON},
            )
        self.running[slot] = Writer(process, output)
        return self.running[slot]

    def collect(self, slot: int) -> None:
        """Take up what the writer of this slot, which has ended, was answered."""
        answers = self.running.pop(slot).answers()
        self.answered += answers
        self._step = max([self._step, *(answer.number % 10**9 for answer in answers)])

    def end(self) -> None:
        """Kill what runs, and take up what was answered."""
        for slot, writer in list(self.running.items()):
            writer.kill()
            self.collect(slot)


def kill_many(
    stores: Stores, folder: Path, *, kills: int, processes: int, moments: random.Random
) -> list[Answer]:
    """Kill writers at random moments under load; give all that any of them was answered."""
    place_at(*stores).close()
    writers = Writers(stores, folder)
    try:
        for slot in range(processes):
            writers.start(slot)
        for _ in range(kills):
            slot = moments.randrange(processes)
            writers.running[slot].wait_for_answer()
            time.sleep(moments.uniform(0, 0.3))
            writers.running[slot].kill()
            writers.collect(slot)
            writers.start(slot)
    finally:
        writers.end()
    return writers.answered


def check_answered(stores: Stores, answered: Sequence[Answer]) -> int:
    """Prove the log whole, true to all that was answered, and writable; give its size.

    Every entry and tile is read again and leads to the checkpoint, no identity is there twice,
    each receipt's entry is where it said, and all checkpoints that anybody saw are one history.
    """
    place = place_at(*stores)
    log = place.open()
    size = log.check().size
    records, known = _read(place, size)
    for answer in answered:
        assert known[submission(answer.number).identity] == answer.at < answer.size
        expected = b"entry %d at %d, " % (answer.number, answer.at)
        assert records[answer.at][2:].startswith(expected)
    seen = sorted({(answer.size, answer.root) for answer in answered})
    latest = log.checkpoint()
    for (old_size, old_root), (new_size, new_root) in itertools.pairwise(
        [*seen, (latest.size, latest.root)]
    ):
        proof = log.consistency(old_size, new_size)
        check_consistency(old_size, new_size, proof, old_root, new_root)
    assert log.append(submission(-1)).result(_PATIENCE_SECONDS).index == size
    place.close()
    return size


def _read(place: Place, size: int) -> tuple[list[bytes], dict[bytes, int]]:
    """Give the records of the log, and where each identity is; none is there twice."""
    tiles = Tiles(place.settings, place.database, place.objects)
    records: list[bytes] = []
    known: dict[bytes, int] = {}
    for start in range(0, size, TILE_WIDTH):
        width = min(TILE_WIDTH, size - start)
        entries = tiles.read_entries(start // TILE_WIDTH, width)
        stamps = tiles.read_stamps(start // TILE_WIDTH, width)
        assert entries is not None
        assert stamps is not None
        records += split_records(entries)
        for index in range(start, start + width):
            at = (index - start) * STAMP_SIZE
            identity = parse_stamp(stamps[at : at + STAMP_SIZE])[1]
            assert known.setdefault(identity, index) == index, f"entry {index} is there twice"
    return records, known


@contextmanager
def new_stores(kind: str, folder: Path) -> Iterator[Stores]:
    """Give empty stores, and the servers that they need for as long as that."""
    if kind == "sqlite+folder":
        yield Stores(f"file://{folder}", f"file://{folder}/objects")
        return
    with PostgresServer() as postgres, S3Server() as s3:
        yield Stores(postgres.uri(), s3.uri())


def main() -> None:
    """Kill as many as the command line says, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--store", choices=["sqlite+folder", "postgres+s3"], default="postgres+s3")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    options = parser.parse_args()
    os.environ.update(ENVIRON)
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as name,
        new_stores(options.store, Path(name)) as stores,
    ):
        answered = kill_many(
            stores,
            Path(name),
            kills=options.kills,
            processes=options.processes,
            moments=random.Random(options.seed),
        )
        size = check_answered(stores, answered)
    sys.stdout.write(
        f"{options.store}: {options.kills} kills of {options.processes} processes,"
        f" {len(answered)} answers, {size} entries, all whole;"
        f" seed {options.seed}, {time.monotonic() - began:.0f} s\n"
    )


if __name__ == "__main__":
    main()
