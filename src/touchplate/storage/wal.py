"""SQLite's write-ahead log, also where several processes open a new file at the same time."""

from collections.abc import Callable
from itertools import count

import apsw


def use_wal(connection: apsw.Connection, wait: Callable[[int], bool]) -> None:
    """Have the connection's file written through a write-ahead log.

    `wait` is its busy handler. SQLite does not ask it where two connections make the change at
    once, since each would wait for the other; so it is asked here. Raises apsw.BusyError if it
    gives up.
    """
    for attempt in count():
        try:
            connection.pragma("journal_mode", "wal")
        except apsw.BusyError:
            if not wait(attempt):
                raise
        else:
            return
