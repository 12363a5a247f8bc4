"""Freezing and rotating beside real servers: nothing is lost, nothing forks, wherever it is cut."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.server.conftest import until
from touchplate.server import lineage as lineage_room
from touchplate.server import rotation
from touchplate.server.data import DataFolder
from touchplate.server.opening import choose_origin, open_deployment
from touchplate.server.settings import ServeSettings, StorageSettings

if TYPE_CHECKING:
    from tests.server.conftest import Answered, Load, Start

pytestmark = pytest.mark.slow


def run(data: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `touchplate log …` on the folder."""
    return subprocess.run(
        (sys.executable, "-m", "touchplate.cli.__main__", "log", *words, "--data", str(data)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(data.parent)},
    )


def check_promises(data: Path, answered: "list[Answered]") -> list[int]:
    """Prove each answered entry and its checkpoint in one of the trees; give the trees' sizes."""
    with DataFolder.serve(data) as folder:
        origin, follows = choose_origin(folder.instance, None, ("127.0.0.1", 1))
        deployment = open_deployment(
            *(folder, origin),
            follows=follows,
            settings=ServeSettings(data),
            now=lambda: datetime.now(UTC),
        )
        try:
            trees = [log.tiles for log in deployment.shards.oldest_first]
            for each in answered:
                assert any(
                    each.size <= tree.committed().size
                    and tree.root_at(each.size) == each.root
                    and (entry := tree.entry(each.index)) is not None
                    and entry.record[2:] == each.body
                    for tree in trees
                )
            assert all(tree.is_frozen for tree in trees[:-1])
            return [tree.check().size for tree in trees]
        finally:
            deployment.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_rotate_under_load(
    start: "Start", load: "type[Load]", tmp_path: Path, workers: int
) -> None:
    """While clients write the log is rotated twice: no request fails, no entry is lost."""
    data = tmp_path / "data"
    server = start(data, "--workers", str(workers))
    server.wait_until_ready()
    running = load(server, 4)
    until(lambda: len(running.answered) > 100)
    for number in (2, 3):
        done = run(data, "rotate")
        assert done.returncode == 0, done.stderr
        assert f"tlog-{number} takes entries from now on" in done.stdout
        assert done.stderr == ""
        enough = len(running.answered) + 100
        until(lambda: len(running.answered) > enough)  # noqa: B023  called now
    running.stop()
    assert running.refused == []
    assert running.broken == 0
    until(lambda: len(json.loads(server.get("/readyz")[1])["shards"]) == 3)
    checked = run(data, "check")
    assert checked.returncode == 0, checked.stdout
    assert [line.split(":")[0] for line in checked.stdout.splitlines()] == [
        *("tlog", "tlog-2", "tlog-3", "ct")
    ]
    assert server.stop() == 0
    assert "Traceback" not in server.failure()
    sizes = check_promises(data, running.answered)
    assert sum(sizes) == len(running.answered)
    assert all(sizes)


def test_freeze(start: "Start", load: "type[Load]", tmp_path: Path) -> None:
    """A frozen log answers 405 in every worker; done again it changes nothing; rotating helps."""
    data = tmp_path / "data"
    server = start(data, "--workers", "2")
    server.wait_until_ready()
    running = load(server, 2)
    until(lambda: len(running.answered) > 10)
    first = run(data, "freeze")
    assert first.returncode == 0, first.stderr
    until(lambda: len(running.refused) > 20)
    running.stop()
    assert {status for status, _ in running.refused} == {405}
    assert f"tlog is frozen: {len(running.answered)} entries" in first.stdout
    assert server.get("/readyz")[0] == 200
    checkpoint = server.get("/checkpoint")[1].decode()
    assert checkpoint.splitlines()[3].startswith("Log frozen \u2014 ")

    assert run(data, "freeze").stdout == first.stdout
    assert server.get("/checkpoint")[1].decode() == checkpoint
    assert run(data, "rotate").returncode == 0
    # Each worker that was told that the log is frozen looks now and then.
    until(lambda: sum("tlog-2 takes entries" in line for line in server.errors) == 2)
    after = load(server, 2)
    until(lambda: len(after.answered) > 10)
    after.stop()
    assert after.refused == []
    assert server.stop() == 0
    assert sum(check_promises(data, [*running.answered, *after.answered])) == len(
        running.answered
    ) + len(after.answered)


@pytest.mark.parametrize("finish", ["start", "rotate"])
def test_cut_at_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finish: str) -> None:
    """Wherever a rotation ends, the next start or the next call leaves one whole lineage."""
    from tests.server.test_opening import Crash, crashing
    from touchplate.server import data as data_room
    from touchplate.storage.folder import FolderObjects
    from touchplate.storage.sqlite import SQLiteLog

    def now() -> datetime:
        return datetime.now(UTC)

    steps, done, outcomes = 0, False, set()
    while not done:
        path = tmp_path / f"{finish}{steps}"
        check_promises(path, [])
        left = [steps]
        with monkeypatch.context() as patched:
            for owner, name in (
                (data_room, "save_file"),
                (data_room, "create_signer"),
                (SQLiteLog, "transaction"),
                (FolderObjects, "put"),
                (FolderObjects, "replace"),
                (lineage_room, "freeze"),
            ):
                patched.setattr(owner, name, crashing(getattr(owner, name), left))
            try:
                rotation.rotate_log(ServeSettings(path), {}, now, None)
                done = True
            except Crash:
                pass
        if finish == "rotate" and not done:
            rotation.rotate_log(ServeSettings(path), {}, now, None)
        sizes = check_promises(path, [])
        outcomes.add(len(sizes))
        assert len(sizes) <= 2
        if finish == "rotate":
            assert len(sizes) == 2
        # It is decided or not, and a further start does not change that.
        assert check_promises(path, []) == sizes
        steps += 1
    assert steps > 8
    assert outcomes == ({1, 2} if finish == "start" else {2})


def test_killed(start: "Start", load: "type[Load]", tmp_path: Path) -> None:
    """Rotations that are killed beside a server under load: it goes on, and no entry is lost."""
    data = tmp_path / "data"
    server = start(data, "--workers", "2")
    server.wait_until_ready()
    running = load(server, 2, again=True)
    until(lambda: len(running.answered) > 20)
    for number in range(12):
        process = subprocess.Popen(
            (
                *(sys.executable, "-m", "touchplate.cli.__main__", "log", "rotate"),
                *("--data", str(data)),
            ),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(0.45 + 0.05 * number)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if number == 5:
            os.kill(server.workers()[0], signal.SIGKILL)
        enough = len(running.answered) + 5
        until(lambda: len(running.answered) > enough)  # noqa: B023  called now
    assert run(data, "rotate").returncode == 0
    enough = len(running.answered) + 5
    until(lambda: len(running.answered) > enough)
    running.stop()
    assert [status for status, _ in running.refused if status != 503] == []
    assert server.stop() == 0
    sizes = check_promises(data, running.answered)
    assert len(sizes) > 1
    assert sum(sizes) >= len(running.answered)


def test_two_hosts(tmp_path: Path) -> None:
    """A host without the new key does not follow until the key is there; it never forks."""
    from tests.server.test_ownership import copy_host
    from touchplate.errors import SettingsError, UnavailableError

    storage = StorageSettings(f"{tmp_path.as_uri()}/d", f"{tmp_path.as_uri()}/o")
    one, two = tmp_path / "one", tmp_path / "two"

    def open_host(data: Path, held: DataFolder) -> object:
        origin, follows = choose_origin(held.instance, None, ("127.0.0.1", 1))
        return open_deployment(
            *(held, origin),
            follows=follows,
            settings=ServeSettings(data, storage=storage),
            now=lambda: datetime.now(UTC),
        )

    with DataFolder.serve(one) as folder:
        open_host(one, folder).close()  # type: ignore[attr-defined]
    copy_host(one, two)
    with DataFolder.serve(two) as folder:
        second = open_host(two, folder)
        rotation.rotate_log(
            ServeSettings(one, storage=storage), {}, lambda: datetime.now(UTC), None
        )
        with pytest.raises(UnavailableError):
            second.follow()  # type: ignore[attr-defined]
        (two / "keys" / "tlog-2.pem").write_bytes((one / "keys" / "tlog-2.pem").read_bytes())
        (two / "keys" / "tlog-2.pem").chmod(0o600)
        assert second.follow()  # type: ignore[attr-defined]
        second.close()  # type: ignore[attr-defined]
    (two / "keys" / "tlog-2.pem").unlink()
    with DataFolder.serve(two) as folder, pytest.raises(SettingsError) as caught:
        open_host(two, folder)
    assert caught.value.code == "KEY_NOT_FOUND"


def test_prepare(tmp_path: Path) -> None:
    """The next rotation takes the key that was prepared; until then nothing else changes."""
    data = tmp_path / "data"
    check_promises(data, [])
    before = (data / "instance.json").read_bytes()
    prepared = run(data, "rotate", "--prepare")
    assert prepared.returncode == 0, prepared.stderr
    assert (data / "instance.json").read_bytes() == before
    key = (data / "keys" / "tlog-2.pem").read_bytes()
    assert run(data, "rotate", "--prepare").stdout == prepared.stdout
    assert run(data, "rotate").returncode == 0
    assert (data / "keys" / "tlog-2.pem").read_bytes() == key
    assert check_promises(data, []) == [0, 0]


def test_format_1(tmp_path: Path) -> None:
    """A folder that knew of no trees is taken as it is, and remembers its tree from then on."""
    data = tmp_path / "data"
    check_promises(data, [])
    about = json.loads((data / "instance.json").read_bytes())
    assert about["format"] == 2
    (shard,) = about.pop("shards")
    del about["rotating"]
    about["format"] = 1
    (data / "instance.json").write_text(json.dumps(about))
    check_promises(data, [])
    about = json.loads((data / "instance.json").read_bytes())
    assert about["format"] == 2
    assert about["shards"] == [shard]
    assert (shard["name"], shard["key"], shard["frozen_at"]) == ("tlog", "tlog", None)
    assert run(data, "rotate").returncode == 0
    old, new = json.loads((data / "instance.json").read_bytes())["shards"]
    assert (old["size"], len(bytes.fromhex(old["root"]))) == (0, 32)
    assert old["frozen_at"] is not None
    assert (new["name"], new["frozen_at"]) == ("tlog-2", None)
