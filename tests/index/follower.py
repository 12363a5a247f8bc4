"""A process that appends to a log in a folder, and has the index of it follow. Made to be killed.

    python -m tests.index.follower FOLDER SLOT

It goes on until it is killed.
"""

import sys
from datetime import timedelta
from itertools import count
from pathlib import Path
from time import time

from tests.index.bodies import Log, body
from touchplate.index import Index, IndexSettings, Tree
from touchplate.storage.folder import FolderObjects
from touchplate.storage.index_sqlite import SQLiteIndex
from touchplate.storage.sqlite import SQLiteLog

TREE = 5
SETTINGS = IndexSettings(
    poll=timedelta(milliseconds=5), lease=timedelta(milliseconds=400), max_batch=256
)


def log_in(folder: Path) -> Log:
    """Open the log."""
    return Log(SQLiteLog(folder / "tlog.db"), FolderObjects(folder / "objects"))


def now_ms() -> int:
    """Give the time."""
    return int(time() * 1000)


def main(folder: str, slot: str) -> None:
    """Append without end."""
    log = log_in(Path(folder))
    database = SQLiteIndex(Path(folder) / "index.db")
    index = Index((Tree(TREE, log.tiles),), database, now_ms, SETTINGS)
    index.start()
    for step in count():
        number = step + int(slot) * 10**6
        log.append(*(body(number * 8 + place, f"p{place}@example.com") for place in range(8)))


if __name__ == "__main__":
    main(*sys.argv[1:])
