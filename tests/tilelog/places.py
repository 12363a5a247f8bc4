"""Where test logs rest, and the small entries that go into them."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from touchplate.merkle.tree import RootHash
from touchplate.storage.database import LogDatabase
from touchplate.storage.objects import ObjectStore
from touchplate.tilelog.bundle import encode_record, record_data, split_records
from touchplate.tilelog.entry import Leaf, Receipt, Submission
from touchplate.tilelog.log import TileLog
from touchplate.tilelog.settings import TileLogSettings

_PATIENCE_SECONDS: Final = 60.0


def sign(size: int, root: RootHash, time_ms: int, extensions: tuple[str, ...] = ()) -> str:
    """Give an envelope that says what was signed."""
    return " ".join((str(size), root.hex(), str(time_ms), *extensions))


def submission(number: int, size: int = 0) -> Submission:
    """Make the entry with this number; its data names its index, as a static-ct leaf does."""

    def build(index: int, time_ms: int) -> Leaf:
        data = b"entry %d at %d, %d " % (number, index, time_ms) + b"." * size
        return Leaf(data, encode_record(data))

    return Submission(hashlib.sha256(b"%d" % number).digest(), build)


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now_ms = 1_700_000_000_000

    def __call__(self) -> int:
        """Give the time, in ms."""
        return self.now_ms


class Place:
    """Where a log rests: opened again over the same storage as often as one likes."""

    def __init__(self, database: LogDatabase, objects: ObjectStore) -> None:
        self.database = database
        self.objects = objects
        self.clock = Clock()
        self.settings = TileLogSettings(
            name="log",
            entries_tile="entries",
            split=split_records,
            hashed=record_data,
            sign=sign,
            now_ms=self.clock,
        )
        self._logs: list[TileLog] = []

    def open(self, **changes: object) -> TileLog:
        """Open the log, with some settings changed."""
        log = TileLog(replace(self.settings, **changes), self.database, self.objects)  # type: ignore[arg-type]  # a test names fields of the settings
        self._logs.append(log)
        return log

    @property
    def sealed(self) -> int:
        """How many entries rest in objects only."""
        state = self.database.state()
        return state.sealed if state else 0

    def close(self) -> None:
        """Close every log that was opened here, and prove what they left."""
        for log in self._logs:
            log.close()
        try:
            if self._logs:
                self._logs[-1].check()
        finally:
            self.database.close()

    def end(self) -> None:
        """Close what a test that fails has left open: threads that go on are other tests' trouble.

        After `close` this does nothing.
        """
        for log in self._logs:
            log.close()
        self.database.close()


def until(holds: Callable[[], object]) -> None:
    """Wait until it holds."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def fill(log: TileLog, count: int) -> list[Receipt]:
    """Append entries, numbered on from the log's size, and wait for all."""
    start = log.checkpoint().size
    futures = [log.append(submission(number)) for number in range(start, start + count)]
    return [future.result(_PATIENCE_SECONDS) for future in futures]
