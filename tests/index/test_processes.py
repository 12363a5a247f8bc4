"""Several processes follow one log, and are killed."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.docs.pages import REPOSITORY
from tests.index.bodies import everything
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


@pytest.mark.slow
def test_killed_followers(tmp_path: Path) -> None:
    """Whichever process is killed, another follows; in the end the index is that of the log."""
    seed = random.Random(3)
    running = [start(tmp_path, slot) for slot in range(WRITERS)]
    try:
        for kill in range(KILLS):
            time.sleep(seed.uniform(0.1, 1.2))
            place = seed.randrange(WRITERS)
            running[place].kill()
            running[place].wait()
            running[place] = start(tmp_path, WRITERS + kill)
        time.sleep(1.5)
    finally:
        for process in running:
            process.kill()
            process.wait()
    log = log_in(tmp_path)
    database = SQLiteIndex(tmp_path / "index.db")
    try:
        index = Index((Tree(TREE, log.tiles),), database, now_ms, SETTINGS)
        size = log.tiles.checkpoint().size
        followed = index.progress()[0].indexed
        assert size > 100
        assert followed > size // 2  # somebody did follow while the others died
        query = Query(identities=("p3@example.com",))
        before = [row.entry for row in everything(index, query)]
        index.catch_up()
        fresh = Index((Tree(TREE, log.tiles),), MemoryIndex(), now_ms)
        fresh.catch_up()

        expected = [row.entry for row in everything(fresh, query)]
        assert [row.entry for row in everything(index, query)] == expected
        assert before == [entry for entry in expected if entry < followed]
        log.tiles.check()
    finally:
        database.close()
        log.tiles.close()


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
