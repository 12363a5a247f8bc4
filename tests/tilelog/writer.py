"""A process that appends to a log, and says on standard output what was answered.

    python -m tests.tilelog.writer DATABASE OBJECTS SLOT START STOP

appends entries to the log in the stores that the URIs name, some in flight at any time, and prints
`NUMBER INDEX SIZE ROOT` for each receipt. What failed because a store was away is tried again. It
is made to be killed. Credentials of the object store are in the environment.
"""

import os
import sys
import time
from collections import deque
from concurrent.futures import Future

from tests.tilelog.places import Place, submission
from touchplate.errors import UnavailableError
from touchplate.storage.schemes import open_log, open_objects
from touchplate.tilelog.entry import Receipt
from touchplate.tilelog.log import TileLog

_FLYING = 20
_SHARED = 10  # each so-many-th entry is one that the writers of other slots append too


def place_at(database: str, objects: str) -> Place:
    """Give the place of the log in these stores."""
    return Place(open_log(database, "log"), open_objects(objects, os.environ))


def number_of(slot: int, step: int) -> int:
    """Give the number of an entry."""
    return step if step % _SHARED == 0 else step + slot * 10**9


def main(database: str, objects: str, slot: str, start: str, stop: str) -> None:
    """Append, and print every receipt as it comes."""
    place = place_at(database, objects)
    log = place.open()
    flying: deque[tuple[int, Future[Receipt]]] = deque()
    for step in range(int(start), int(stop)):
        number = number_of(int(slot), step)
        flying.append((number, append(log, number)))
        if len(flying) > _FLYING:
            report(log, *flying.popleft())
    for number, future in flying:
        report(log, number, future)
    place.close()


def append(log: TileLog, number: int) -> Future[Receipt]:
    """Append, as soon as there is room."""
    while True:
        try:
            return log.append(submission(number))
        except UnavailableError:
            time.sleep(0.05)


def report(log: TileLog, number: int, future: Future[Receipt]) -> None:
    """Print the receipt, after as many tries as it takes."""
    while isinstance(future.exception(), UnavailableError):
        time.sleep(0.05)
        future = append(log, number)
    receipt = future.result()
    tree = receipt.checkpoint
    sys.stdout.write(f"{number} {receipt.index} {tree.size} {tree.root.hex()}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
