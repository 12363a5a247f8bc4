"""A process that appends to the log in a folder, and says on standard output what was answered.

    python -m tests.tilelog.writer FOLDER START STOP

appends the entries with these numbers, some in flight at any time, and prints `NUMBER INDEX SIZE
ROOT` for each receipt. It is made to be killed.
"""

import sys
from collections import deque
from concurrent.futures import Future
from pathlib import Path

from tests.tilelog.places import Place, submission
from touchplate.storage.schemes import open_log, open_objects
from touchplate.tilelog.entry import Receipt


def place_in(folder: Path) -> Place:
    """Give the place of the log in this folder."""
    return Place(open_log(f"file://{folder}", "log"), open_objects(f"file://{folder}/objects"))


def main(folder: str, start: str, stop: str) -> None:
    """Append, and print every receipt as it comes."""
    place = place_in(Path(folder))
    log = place.open()
    flying: deque[tuple[int, Future[Receipt]]] = deque()
    for number in range(int(start), int(stop)):
        flying.append((number, log.append(submission(number))))
        if len(flying) > 20:
            report(*flying.popleft())
    for number, future in flying:
        report(number, future)
    place.close()


def report(number: int, future: Future[Receipt]) -> None:
    """Print one receipt."""
    receipt = future.result()
    tree = receipt.checkpoint
    sys.stdout.write(f"{number} {receipt.index} {tree.size} {tree.root.hex()}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
