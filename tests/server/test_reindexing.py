"""`touchplate log reindex`, beside a deployment and without one."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from tests.index.bodies import body, digest, everything
from touchplate.cli.__main__ import main
from touchplate.entries.conditions import read_digest
from touchplate.errors import SettingsError, VerificationError
from touchplate.index import Progress, Query
from touchplate.merkle.tree import leaf_hash
from touchplate.server.build import Deployment
from touchplate.server.data import DataFolder
from touchplate.server.opening import open_deployment
from touchplate.server.reindexing import reindex
from touchplate.server.settings import ServeSettings, parse_origin
from touchplate.storage.index_sqlite import SQLiteIndex
from touchplate.tilelog.bundle import encode_record
from touchplate.tilelog.entry import Leaf, Submission

ENTRIES = 300


def now() -> datetime:
    """Give the time."""
    return datetime.now(UTC)


@contextmanager
def deployed(path: Path) -> Iterator[Deployment]:
    """Open the deployment of a folder."""
    settings = ServeSettings(path)
    with DataFolder.serve(path) as folder:
        origin = parse_origin("https://sign.example.org")
        opened = open_deployment(folder, origin, follows=False, settings=settings, now=now)
        with closing(opened):
            yield opened


def leaf(data: bytes, _index: int, _time_ms: int) -> Leaf:
    """Give an entry as the log holds it."""
    return Leaf(data, encode_record(data))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Give the folder of an instance with some entries."""
    path = tmp_path / "instance"
    with deployed(path) as deployment:
        bodies = [body(number) for number in range(ENTRIES)]
        for future in [
            deployment.tlog.append(Submission(leaf_hash(each), partial(leaf, each)))
            for each in bodies
        ]:
            future.result(60)
    return path


def run(path: Path, *, resume: bool, report: Callable[[Progress], None] = lambda _: None) -> int:
    """Make the index again; give how many entries it has."""
    (tree,) = reindex(ServeSettings(path), {}, now, resume=resume, report=report)
    assert tree.indexed == tree.size
    return tree.indexed


def test_from_nothing(data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """An index that was lost is made from the log, and a deployment answers from it."""
    for path in data.glob("index.db*"):
        path.unlink()

    assert main(["log", "reindex", "--data", str(data)]) == 0

    said = capfd.readouterr().out
    assert said.startswith(f"indexed {ENTRIES} entries of tree ")
    with deployed(data) as deployment:
        assert deployment.index is not None
        rows = everything(deployment.index, Query(digests=(read_digest(digest(7)),)))
        assert [row.entry for row in rows] == [7]


def test_resume(data: Path) -> None:
    """With `--resume` what is there stays; without it all is read again."""
    seen: list[Progress] = []
    assert run(data, resume=False, report=seen.append) == ENTRIES
    assert len(seen) >= 1
    seen.clear()
    assert run(data, resume=True, report=seen.append) == ENTRIES
    assert seen == []


@pytest.mark.slow
def test_beside_a_server(data: Path) -> None:
    """A server may follow meanwhile; the index is complete in the end."""
    with deployed(data) as deployment:
        assert run(data, resume=False) == ENTRIES
        assert deployment.index is not None
        assert len(everything(deployment.index, Query(kinds=("hashedrekord",)))) == ENTRIES


def test_damaged_log(data: Path) -> None:
    """A log whose entries do not lead to its checkpoint is told, and not indexed."""
    bundle = next((data / "objects" / "tlog" / "tile" / "entries").iterdir())
    bundle.write_bytes(bundle.read_bytes().replace(b"hashedrekord", b"hashedRekord", 1))

    with pytest.raises(VerificationError, match="do not lead"):
        run(data, resume=False)
    assert main(["log", "reindex", "--data", str(data)]) == 1


def test_damaged_index(data: Path) -> None:
    """An index file that is no database any more is made anew."""
    for path in data.glob("index.db*"):
        path.write_bytes(b"damaged " * 1000)

    assert run(data, resume=True) == ENTRIES
    index = SQLiteIndex(data / "index.db")
    assert index.size() > 0
    index.close()


def test_no_instance(tmp_path: Path) -> None:
    """A folder without an instance has no log."""
    tmp_path.chmod(0o700)
    with pytest.raises(SettingsError, match="no instance"):
        run(tmp_path, resume=False)
