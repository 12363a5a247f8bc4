import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tilelog.places import submission
from tests.tilelog.writer import place_in

REPOSITORY = Path(__file__).resolve().parent.parent.parent


def start(folder: Path, first: int, stop: int) -> subprocess.Popen[str]:
    """Start a process that appends to the log in the folder."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.tilelog.writer", str(folder), str(first), str(stop)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )


def answers(output: str) -> list[tuple[int, int, int, str]]:
    """Parse what writers printed; a last line that was cut off was not received."""
    whole = [line.split() for line in output[: output.rfind("\n") + 1].splitlines()]
    return [(int(number), int(index), int(size), root) for number, index, size, root in whole]


def check_answered(folder: Path, answered: list[tuple[int, int, int, str]]) -> int:
    """Prove that the log is whole and holds everything that was answered; give its size."""
    place = place_in(folder)
    log = place.open()
    size = log.check().size
    for number, index, tree_size, root in answered:
        assert log.find(submission(number).identity) == index
        entry = log.entry(index)
        assert entry is not None
        assert entry.record[2:].startswith(b"entry %d at %d, " % (number, index))
        assert tree_size > index
        log.check_extends(tree_size, bytes.fromhex(root))
    place.close()
    return size


@pytest.mark.slow
def test_two_processes(tmp_path: Path) -> None:
    """Two processes append to one log at once: one tree, contiguous indexes, all proven."""
    place_in(tmp_path).close()
    writers = [start(tmp_path, 0, 1500), start(tmp_path, 1000, 2500)]
    answered = []
    for writer in writers:
        output, _ = writer.communicate(timeout=120)
        assert writer.returncode == 0
        answered += answers(output)

    assert len(answered) == 3000
    # The 500 entries that both appended have one index each.
    assert {index for _, index, _, _ in answered} == set(range(2500))
    roots = {size: root for _, _, size, root in answered}
    assert all(roots[size] == root for _, _, size, root in answered)
    assert check_answered(tmp_path, answered[::7]) == 2500


@pytest.mark.slow
def test_killed(tmp_path: Path) -> None:
    """Killed at any moment under load, again and again, the log loses nothing it answered for."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - pytest shows it when the test fails
    moments = random.Random(seed)
    answered: list[tuple[int, int, int, str]] = []
    for _ in range(10):
        # Numbers begin again below what was answered: the retries of clients that never knew.
        first = max((number for number, *_ in answered), default=30) - 30
        writer = start(tmp_path, first, first + 100_000)
        assert writer.stdout is not None
        output = writer.stdout.readline()
        time.sleep(moments.uniform(0, 0.4))
        writer.kill()
        rest, _ = writer.communicate(timeout=60)
        answered += answers(output + rest)

    assert check_answered(tmp_path, answered[-3000:] + answered[:-3000:10]) >= len(
        {number for number, *_ in answered}
    )
