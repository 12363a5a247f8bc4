"""Several processes follow one log, and are killed."""

import random
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.docs.pages import REPOSITORY
from tests.index.bodies import Log, everything
from tests.index.follower import SETTINGS, TREE, log_in, now_ms
from touchplate.index import Index, Query, Tree
from touchplate.storage.index_memory import MemoryIndex
from touchplate.storage.index_sqlite import SQLiteIndex

WRITERS = 3
KILLS = 8
DEADLINE_SECONDS = 60


def start(folder: Path, slot: int) -> subprocess.Popen[bytes]:
    """Start a process."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.index.follower", str(folder), str(slot)],
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
    )


def wait_until_followed(index: Index, size: int) -> None:
    """Wait until more entries than these are indexed."""
    end = time.monotonic() + DEADLINE_SECONDS
    while index.progress()[0].indexed <= size:
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
def test_killed_followers(tmp_path: Path) -> None:
    """Whichever process is killed, another follows; in the end the index is that of the log."""
    seed = random.Random(3)
    log = log_in(tmp_path)
    database = SQLiteIndex(tmp_path / "index.db")
    index = Index((Tree(TREE, log.tiles),), database, now_ms, SETTINGS)
    with closing(log.tiles), closing(database):
        followed = kill_followers(tmp_path, index, log, seed)
        query = Query(identities=("p3@example.com",))
        before = [row.entry for row in everything(index, query)]
        index.catch_up()
        fresh = Index((Tree(TREE, log.tiles),), MemoryIndex(), now_ms)
        fresh.catch_up()

        expected = [row.entry for row in everything(fresh, query)]
        assert [row.entry for row in everything(index, query)] == expected
        assert before == [entry for entry in expected if entry < followed]
        log.tiles.check()


def kill_followers(folder: Path, index: Index, log: Log, seed: random.Random) -> int:
    """Kill one after the other, each time that somebody has followed; give how far they came."""
    running = [start(folder, slot) for slot in range(WRITERS)]
    try:
        for kill in range(KILLS):
            wait_until_followed(index, log.tiles.checkpoint().size)
            time.sleep(seed.uniform(0, 0.5))
            place = seed.randrange(WRITERS)
            running[place].kill()
            running[place].wait()
            running[place] = start(folder, WRITERS + kill)
        wait_until_followed(index, log.tiles.checkpoint().size)
    finally:
        for process in running:
            process.kill()
            process.wait()
    return index.progress()[0].indexed


@pytest.mark.slow
def test_takes_over(tmp_path: Path) -> None:
    """A process that did not follow does, once the one that did is gone and its lease is over."""
    log = log_in(tmp_path)
    database = SQLiteIndex(tmp_path / "index.db")
    first = start(tmp_path, 1)
    try:
        index = Index((Tree(TREE, log.tiles),), database, now_ms, SETTINGS)
        end = time.monotonic() + DEADLINE_SECONDS
        while index.progress()[0].indexed == 0:
            assert time.monotonic() < end
            time.sleep(0.02)
        index.start()
        first.kill()
        first.wait()
        while index.progress()[0].indexed < log.tiles.checkpoint().size:
            assert time.monotonic() < end
            time.sleep(0.02)
        index.close()
    finally:
        first.kill()
        first.wait()
        database.close()
        log.tiles.close()
