import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.servers.s3 import ENVIRON
from tests.tilelog.kill_many import Stores, Writers, check_answered, kill_many
from tests.tilelog.writer import place_at

pytestmark = pytest.mark.slow


@pytest.fixture(params=["sqlite+folder", "postgres+s3"])
def stores(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Stores:
    """Give empty stores that several processes may open."""
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    if request.param == "sqlite+folder":
        return Stores(f"file://{tmp_path}", f"file://{tmp_path}/objects")
    new_postgres: Callable[[], str] = request.getfixturevalue("new_postgres")
    new_s3: Callable[[], str] = request.getfixturevalue("new_s3")
    return Stores(new_postgres(), new_s3())


def test_two_processes(stores: Stores, tmp_path: Path) -> None:
    """Two processes append to one log at once: one tree, contiguous indexes, all proven."""
    place_at(*stores).close()
    writers = Writers(stores, tmp_path)
    for slot in (1, 2):
        writers.start(slot, 1500)
    for slot in (1, 2):
        assert writers.running[slot].process.wait(240) == 0
        writers.collect(slot)
    answered = writers.answered

    assert len(answered) == 3000
    # The 150 entries that both appended have one index each.
    assert {answer.at for answer in answered} == set(range(2850))
    roots = {answer.size: answer.root for answer in answered}
    assert all(roots[answer.size] == answer.root for answer in answered)
    assert check_answered(stores, answered) == 2850


def test_killed(stores: Stores, tmp_path: Path) -> None:
    """Killed at any moment under load, again and again, the log loses nothing it answered for."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - pytest shows it when the test fails
    answered = kill_many(stores, tmp_path, kills=10, processes=2, moments=random.Random(seed))

    assert check_answered(stores, answered) >= len({answer.number for answer in answered}) > 0
