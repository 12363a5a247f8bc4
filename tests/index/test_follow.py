import logging
import random
import time
from base64 import b64encode
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest

from tests.index.bodies import (
    START_MS,
    Log,
    body,
    digest,
    everything,
    index_of,
    opened,
)
from touchplate.entries.terms import terms
from touchplate.errors import UnavailableError, VerificationError
from touchplate.index import Index, IndexSettings, Progress, Query, Tree
from touchplate.storage.index import IndexDatabase
from touchplate.storage.index_memory import MemoryIndex
from touchplate.storage.index_sqlite import SQLiteIndex
from touchplate.tilelog.entry import SignedCheckpoint, StoredEntry
from touchplate.tilelog.log import TileLog

DEADLINE_SECONDS = 60


class Bent:
    """A log that lies about one of its parts."""

    def __init__(self, tiles: TileLog, **lies: object) -> None:
        self._tiles = tiles
        self._lies = lies

    def checkpoint(self) -> SignedCheckpoint:
        return cast("SignedCheckpoint", self._lies.get("checkpoint") or self._tiles.checkpoint())

    def read_tile(self, level: int, index: int, width: int) -> bytes | None:
        found = self._tiles.read_tile(level, index, width)
        if found and self._lies.get("tile") == level:
            return bytes((found[0] ^ 1,)) + found[1:]
        return found

    def read_entries(self, index: int, width: int) -> bytes | None:
        found = self._tiles.read_entries(index, width)
        lie = self._lies.get("entries")
        if found is None or lie is None:
            return found
        place, replacement = cast("tuple[int, bytes]", lie)
        return found if index != place else replacement or None

    def entry(self, index: int) -> StoredEntry | None:
        return self._tiles.entry(index)

    def consistency(self, old_size: int, new_size: int) -> tuple[bytes, ...]:
        return self._tiles.consistency(old_size, new_size)


def follow(log: Log, database: IndexDatabase, **lies: object) -> Index:
    """Give an index that reads the log through its lies."""
    return Index(
        (Tree(1, Bent(log.tiles, **lies)),),
        database,
        lambda: log.now_ms,
        IndexSettings(max_batch=256),
    )


def test_other_entries() -> None:
    """Entries that are not those of the tree are not indexed, nor any beside them."""
    with opened() as (log,):
        log.append(*(body(number) for number in range(600)))
        bundle = log.tiles.read_entries(1)
        assert bundle is not None
        at = bundle.index(b"hashedrekord")
        changed = bundle[:at] + b"hashedRekord" + bundle[at + 12 :]
        for lie, text in (
            (changed, "do not lead"),
            (bundle[:-1], "malformed"),
            (bundle[: bundle.index(b'{"apiVersion"', 3) - 2], "holds"),
            (b"", "missing"),
        ):
            database = MemoryIndex()
            with pytest.raises(VerificationError, match=text) as failure:
                follow(log, database, entries=(1, lie)).catch_up()
            assert failure.value.code == "TLOG_INVALID"
            assert database.next(f"{1:016x}") == 256


def test_other_checkpoint() -> None:
    """Entries of another tree than the checkpoint's are not indexed."""
    with opened() as (log,):
        log.append(body(1), body(2))
        real = log.tiles.checkpoint()
        forged = SignedCheckpoint(real.size, type(real.root)(b"x" * 32), 0, "")

        database = MemoryIndex()
        with pytest.raises(VerificationError, match="do not lead"):
            follow(log, database, checkpoint=forged).catch_up()
        assert database.next(f"{1:016x}") == 0


def test_damaged_tile() -> None:
    """A damaged tile stops the index and does not cost it what it has."""
    with opened() as (log,):
        log.append(*(body(number) for number in range(300)))
        database = MemoryIndex()
        follow(log, database).catch_up()
        log.append(*(body(number) for number in range(300, 400)))

        for level in (0, 1):
            with pytest.raises(VerificationError, match="do not lead"):
                follow(log, database, tile=level).catch_up()

        assert database.next(f"{1:016x}") == 300
        follow(log, database).catch_up()
        assert database.next(f"{1:016x}") == 400


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(5, 3), (3, 5), (300, 300), (300, 700), (1, 0)])
def test_index_of_another_log(sizes: tuple[int, int], caplog: pytest.LogCaptureFixture) -> None:
    """An index of another tree, or one ahead of a log that was restored, begins again."""
    with opened(2) as (one, other):
        one.append(*(body(number) for number in range(sizes[0])))
        other.append(*(body(number + 1000) for number in range(sizes[1])))
        database = MemoryIndex()
        index_of(database, one).catch_up()

        with caplog.at_level(logging.WARNING):
            index = index_of(database, other)
            index.catch_up()

        assert "begins again" in caplog.text
        rows = everything(index, Query(newest_first=False))
        assert [row.terms.digests[0] for row in rows] == [
            digest(number + 1000) for number in range(sizes[1])
        ]


def test_hostile_entries() -> None:
    """Whatever a log holds is indexed past: entries beside it are found."""
    seed = random.Random(5)
    good = body(1, "ann@example.com")
    strange = [
        b"",
        b"{}",
        b"[" * 60_000,
        b'{"kind":"hashedrekord","apiVersion":"0.0.1","spec":{}}',
        seed.randbytes(65_535),
        good[:-40],
        good.replace(b"PKIX_ECDSA_P256_SHA_256", b"\\ud800"),
    ]
    for _ in range(200):
        flipped = bytearray(good)
        flipped[seed.randrange(len(flipped))] ^= 1 << seed.randrange(8)
        strange.append(bytes(flipped))
    with opened() as (log,):
        log.append(*strange, good)
        index = index_of(MemoryIndex(), log)
        index.catch_up()

        rows = everything(index, Query(identities=("ann@example.com",), digests=(digest(1),)))

        assert rows[0].body == good
        for row in rows:
            assert terms(row.body).digests == (digest(1),)
        assert index.progress()[0].indexed == log.tiles.checkpoint().size


def test_wrong_index_invents_nothing() -> None:
    """Postings that are wrong lead to entries that are read, held against the query, left out."""
    with opened() as (log,):
        log.append(*(body(number, f"p{number}@example.com") for number in range(5)))

        class Wrong(MemoryIndex):
            def find(
                self,
                log: str,
                term: bytes,
                start: int,
                stop: int,
                limit: int,
                *,
                newest_first: bool,
            ) -> list[int]:
                found = list(range(start, stop))[::-1] if newest_first else list(range(start, stop))
                return found[:limit]

        index = index_of(Wrong(), log)
        index.catch_up()

        rows = everything(index, Query(identities=("p3@example.com",)))

        assert [row.entry for row in rows] == [3]


def test_progress() -> None:
    """How far the index is, and since when the first entry that it lacks is there."""
    with opened() as (log,):
        index = index_of(MemoryIndex(), log)
        assert index.progress() == (Progress(1, 0, 0, 0),)
        log.append(body(1))
        log.now_ms += 1500
        log.append(body(2))
        log.now_ms += 1000

        assert index.progress() == (Progress(1, 0, 2, 2500),)
        seen: list[Progress] = []
        index.catch_up(seen.append)
        assert seen == [Progress(1, 2, 2, 0)]


def test_thread_follows() -> None:
    """Once started, the index follows by itself until it is closed."""
    with opened() as (log,):
        index = index_of(MemoryIndex(), log, settings=IndexSettings(poll=timedelta(milliseconds=2)))
        index.start()
        try:
            for count in (1, 300):
                log.append(*(body(number + count) for number in range(count)))
                wait_for(index, log)
        finally:
            index.close()
        log.append(body(9999))
        time.sleep(0.05)
        assert index.progress()[0].indexed == log.tiles.checkpoint().size - 1


def wait_for(index: Index, log: Log) -> None:
    """Wait until all is indexed."""
    end = time.monotonic() + DEADLINE_SECONDS
    while index.progress()[0].indexed < log.tiles.checkpoint().size:
        assert time.monotonic() < end
        time.sleep(0.005)


def test_gives_way() -> None:
    """Half of the time is left to requests, none of it far behind, whatever the clock does."""
    with opened() as (log,):
        log.append(*(body(number) for number in range(10)))
        patient, hasty = (
            index_of(MemoryIndex(), log, settings=IndexSettings(max_lag=lag)) for lag in (10, 9)
        )

        milliseconds = timedelta(milliseconds=1)
        assert [patient._rest(ms) // milliseconds for ms in (300, 10**9, -5)] == [300, 1000, 250]
        assert [hasty._rest(ms) // milliseconds for ms in (250, 10**9, -5)] == [0, 0, 0]


def test_closed_one_makes_way(tmp_path: Path) -> None:
    """An index that is closed leaves the log to the next one at once, not after its lease."""
    with opened() as (log,), closing(SQLiteIndex(tmp_path / "index.db")) as database:
        for count in (1, 2):
            index = index_of(database, log, settings=IndexSettings(poll=timedelta(milliseconds=2)))
            log.append(body(count))
            index.start()
            try:
                wait_for(index, log)
            finally:
                index.close()


def test_one_leads() -> None:
    """Of two indexes over one database one follows; the other takes over when its time is up."""
    settings = IndexSettings(poll=timedelta(milliseconds=2))
    with opened() as (log,):
        database = MemoryIndex()
        first, second = (index_of(database, log, settings=settings) for _ in range(2))
        tree = f"{1:016x}"
        assert database.lead(tree, "somebody", START_MS, START_MS + 1000)
        first.start()
        second.start()
        try:
            log.append(body(1))
            time.sleep(0.05)
            assert first.progress()[0].indexed == 0

            log.now_ms += 2500
            wait_for(first, log)
            assert not database.lead(tree, "somebody", log.now_ms, log.now_ms + 1000)
        finally:
            first.close()
            second.close()


def test_killed_one_is_replaced() -> None:
    """Of one that is killed the search is behind for 5 seconds at most."""
    with opened() as (log,):
        database = MemoryIndex()
        killed, other = (index_of(database, log) for _ in range(2))
        (tree,) = other._trees
        assert killed._leads(tree)
        assert not other._leads(tree)
        began_ms = log.now_ms
        while not other._leads(tree):
            log.now_ms += 250
        assert log.now_ms - began_ms <= 5000


@pytest.mark.slow
def test_failing_database(caplog: pytest.LogCaptureFixture) -> None:
    """A failure is told once and tried again; searches go on."""
    with opened() as (log,):

        class Failing(MemoryIndex):
            failing = True

            def add(
                self, log: str, first: int, stop: int, postings: Sequence[bytes], root: bytes = b""
            ) -> bool:
                if self.failing:
                    raise UnavailableError("STORAGE_UNAVAILABLE", "no space")
                return super().add(log, first, stop, postings, root)

        database = Failing()
        index = index_of(database, log, settings=IndexSettings(poll=timedelta(milliseconds=1)))
        log.append(body(1))
        with caplog.at_level(logging.WARNING):
            index.start()
            end = time.monotonic() + DEADLINE_SECONDS
            while "no space" not in caplog.text:
                assert time.monotonic() < end
                time.sleep(0.005)
            assert index.search(Query()).rows == ()
            database.failing = False
            wait_for(index, log)
            index.close()

        assert caplog.text.count("no space") == 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_interrupted_anywhere(seed: int, tmp_path: Path) -> None:
    """An index whose following broke off at random steps is a prefix, and is completed later."""
    chance = random.Random(seed)

    class Stop(BaseException):
        """The process ends here."""

    with opened() as (log,):
        entries = [body(number, f"p{number % 7}@example.com") for number in range(900)]
        log.append(*entries)
        for _ in range(30):
            database = SQLiteIndex(tmp_path / "index.db")
            index = index_of(database, log, settings=IndexSettings(max_batch=256))
            left = chance.randrange(1, 60)

            def pause() -> None:
                nonlocal left
                left -= 1
                if left < 0:
                    raise Stop

            follower = index._follower(index._trees[0])
            follower._pause = pause
            try:
                while follower.step():
                    pass
            except Stop:
                done = index.progress()[0].indexed
                found = everything(index, Query(identities=("p3@example.com",)))
                assert [row.entry for row in found] == [
                    entry for entry in range(done - 1, -1, -1) if entry % 7 == 3
                ]
            finally:
                database.close()
        database = SQLiteIndex(tmp_path / "index.db")
        index = index_of(database, log)
        index.catch_up()
        assert len(everything(index, Query(identities=("p3@example.com",)))) == 129
        database.close()


def test_bodies_are_what_they_say() -> None:
    """The bodies of these tests have the terms that the tests think."""
    found = terms(body(3, "a@b.example", "https://i", {20: "push"}))

    assert found.identities == ("a@b.example",)
    assert found.issuers == ("https://i",)
    assert found.digests == (digest(3),)
    assert (20, "push") in found.extensions
    assert b64encode(b"signature 3") in body(3)
