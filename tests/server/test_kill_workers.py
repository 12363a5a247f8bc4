"""What holds when processes are killed at random; `kill_workers` as a program does it longer."""

from pathlib import Path

import pytest

from tests.server import kill_workers
from tests.servers import postgres, s3

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_killed_at_random(store: str, tmp_path: Path) -> None:
    """Whichever processes are killed, nothing that was answered is lost, and nothing forks."""
    reason = postgres.why_not() or s3.why_not()
    if store == "postgres" and reason is not None:
        pytest.skip(reason)
    with kill_workers.STORES[store](tmp_path) as hosts:
        said = kill_workers.run(hosts, kills=8, seed=3)
    assert "all proven" in said
    assert "and 0 parents" not in said
