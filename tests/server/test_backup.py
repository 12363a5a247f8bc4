"""Backups: a prefix of each log that can be served again; anything else is refused."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.server.conftest import until
from tests.server.test_checking import submission
from tests.server.test_opening import START, opened
from touchplate.errors import MalformedError, RefusedError, SettingsError, TouchplateError
from touchplate.server.backup import Backup, back_up
from touchplate.server.checking import check_logs
from touchplate.server.locks import upkeep
from touchplate.server.restoring import Restored, restore
from touchplate.server.rotation import rotate_log
from touchplate.server.settings import ServeSettings, StorageSettings
from touchplate.tilelog.tiles import Tiles
from touchplate.transport.http import HttpTransport

if TYPE_CHECKING:
    from tests.server.conftest import Answered, Load, Start

SIZE = 600


def fill(path: Path, start: int, stop: int) -> str:
    """Add entries; give the checkpoint after them."""
    with opened(path) as deployment:
        futures = [deployment.tlog.append(submission(b"%d" % n)) for n in range(start, stop)]
        for future in futures:
            future.result(60)
        return deployment.tlog.checkpoint().envelope


def take(path: Path, out: Path, *, keys: bool = True) -> Backup:
    """Back the folder up."""
    return back_up(ServeSettings(path), out, START, keys=keys)


def put_back(file: Path, path: Path, *published: Path) -> Restored:
    """Restore to a folder."""
    return restore(file, path, [str(each) for each in published], HttpTransport())


def is_whole(path: Path) -> bool:
    """Say whether `log check` finds nothing."""
    return not any(audit.faults for audit in check_logs(path, ServeSettings(path), {}).values())


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an instance with two trees of the log, both with sealed bundles, and a backup of it."""
    path = tmp_path_factory.mktemp("backup") / "data"
    fill(path, 0, SIZE)
    rotate_log(ServeSettings(path), {}, lambda: START, None)
    fill(path, SIZE, SIZE + 300)
    (path / "touchplate.toml").write_text("workers = 1\n")
    (path / "touchplate.toml").chmod(0o600)
    take(path, path.parent / "backup.tar")
    return path


@pytest.fixture
def file(original: Path) -> Path:
    """Give the backup."""
    return original.parent / "backup.tar"


@pytest.mark.slow
def test_round_trip(original: Path, file: Path, tmp_path: Path) -> None:
    """What is restored is whole, private, and the same instance; it goes on where it was."""
    path = tmp_path / "new" / "data"
    restored = put_back(file, path)
    assert [(log.name, log.size) for log in restored.header.logs] == [
        *(("tlog", SIZE), ("tlog-2", 300), ("ct", 0))
    ]
    assert restored.behind == ()
    assert file.stat().st_mode & 0o777 == 0o600
    assert all(each.stat().st_mode & 0o077 == 0 for each in path.rglob("*"))
    assert is_whole(path)
    for name in ("instance.json", "touchplate.toml", "keys/tlog-2.pem", "certificates/ca.pem"):
        assert (path / name).read_bytes() == (original / name).read_bytes()
    with opened(path) as deployment, opened(original) as before:
        assert deployment.repository.fingerprint == before.repository.fingerprint
        assert deployment.trusted_root == before.trusted_root
        assert deployment.tlog.append(submission(b"more")).result(60).index == 300
        assert deployment.health.failures() == {}
    assert is_whole(path)


def test_progress(original: Path, tmp_path: Path) -> None:
    """It tells of each log how many of its files are copied, and of how many."""
    told: list[tuple[str, int, int]] = []
    settings = ServeSettings(original)
    back_up(settings, tmp_path / "b.tar", START, progress=lambda *each: told.append(each))

    assert [each for each in told if each[0] == "databases"] == [
        ("databases", number, 3) for number in range(3)
    ]
    # Bundles, stamps and tiles of what is full: two of the first tree, one of the second.
    for name, count in (("tlog", 6), ("tlog-2", 3)):
        assert [each for each in told if each[0] == name] == [
            (name, number, count) for number in range(count)
        ]


def test_to_a_folder(original: Path, tmp_path: Path) -> None:
    """In a folder the file is named after the time; the second one is refused."""
    made = take(original, tmp_path)
    assert made.path == tmp_path / f"touchplate-{START:%Y%m%dT%H%M%SZ}.tar"
    assert made.bytes == made.path.stat().st_size
    with pytest.raises(RefusedError) as caught:
        take(original, tmp_path)
    assert caught.value.code == "FILE_EXISTS"
    assert [each.name for each in tmp_path.iterdir()] == [made.path.name]


def test_without_keys(original: Path, tmp_path: Path) -> None:
    """Without its keys nothing secret is in it, and it serves once they are put back."""
    made = take(original, tmp_path / "b.tar", keys=False)
    content = made.path.read_bytes()
    assert b"PRIVATE KEY" not in content
    path = tmp_path / "data"
    assert not put_back(made.path, path).header.keys
    assert {each.suffix for each in path.glob("keys/*")} <= {".pub"}
    with pytest.raises(SettingsError) as caught, opened(path):
        pass
    assert caught.value.code == "KEY_NOT_FOUND"
    shutil.copytree(original / "keys", path / "keys", dirs_exist_ok=True)
    with opened(path) as deployment:
        assert deployment.health.failures() == {}


def test_not_empty(file: Path, tmp_path: Path) -> None:
    """A folder with anything in it is left alone; an empty one is used."""
    path = tmp_path / "data"
    path.mkdir()
    (path / "x").touch()
    with pytest.raises(RefusedError) as caught:
        put_back(file, path)
    assert caught.value.code == "FILE_EXISTS"
    assert [each.name for each in path.iterdir()] == ["x"]
    (path / "x").unlink()
    put_back(file, path)
    assert (path / "instance.json").exists()


@pytest.mark.slow
def test_damaged(file: Path, tmp_path: Path) -> None:
    """A backup that was cut short or changed in any file is refused, and leaves nothing."""
    content = file.read_bytes()
    places: list[tuple[int, int]] = []
    with tarfile.open(file) as tar:
        # One of each kind.
        for member in tar:
            if member.size:
                places.append((member.offset_data, member.size))  # noqa: PERF401  readable
    step = max(1, len(places) // 12)
    spoiled = [content[:at] for at in (0, 100, 5000, len(content) // 2, places[-1][0] + 10)]
    for at, size in (*places[::step], places[-1]):
        changed = bytearray(content)
        changed[at + size // 2] ^= 1
        spoiled.append(bytes(changed))
    for number, each in enumerate(spoiled):
        damaged = tmp_path / f"{number}.tar"
        damaged.write_bytes(each)
        with pytest.raises(MalformedError) as caught:
            put_back(damaged, tmp_path / "data")
        assert caught.value.code == "BACKUP_INVALID", number
        damaged.unlink()
        assert list(tmp_path.iterdir()) == []


def members(file: Path) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """Read the members of a tar."""
    with tarfile.open(file) as tar:
        for member in tar:
            found = tar.extractfile(member)
            yield member, b"" if found is None else found.read()


def rewrite(file: Path, out: Path, extra: tarfile.TarInfo, data: bytes) -> None:
    """Add a member to a backup, with a manifest that knows of it."""
    with tarfile.open(out, "w") as tar:
        for member, content in members(file):
            text = content
            if member.name == "manifest.txt":
                tar.addfile(extra, io.BytesIO(data))
                line = f"{sha256(data).hexdigest()}  {len(data)}  {extra.name}\n"
                text = content + line.encode()
                member.size = len(text)
            tar.addfile(member, io.BytesIO(text))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "objects/../../evil",
        "/objects/evil",
        "../evil",
        "objects/.evil",
        "objects//evil",
        "other/evil",
        "data",
        "data/instance.json",
    ],
)
def test_hostile_names(file: Path, tmp_path: Path, name: str) -> None:
    """A backup that somebody made up writes nowhere but where backups write."""
    extra = tarfile.TarInfo(name)
    extra.size = 4
    rewrite(file, tmp_path / "evil.tar", extra, b"evil")
    with pytest.raises(MalformedError) as caught:
        put_back(tmp_path / "evil.tar", tmp_path / "inner" / "data")
    assert caught.value.code == "BACKUP_INVALID"
    assert list((tmp_path / "inner").iterdir()) == []
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_hostile_kinds(file: Path, tmp_path: Path, kind: bytes) -> None:
    """Links and devices are in no backup."""
    extra = tarfile.TarInfo("objects/link")
    extra.type, extra.linkname = kind, "/etc/passwd"
    rewrite(file, tmp_path / "evil.tar", extra, b"")
    with pytest.raises(MalformedError):
        put_back(tmp_path / "evil.tar", tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_header_of_another_format(file: Path, tmp_path: Path) -> None:
    """A backup of a later format is refused by name; so is a tar that is none."""
    later = tmp_path / "later.tar"
    with tarfile.open(later, "w") as tar:
        for member, content in members(file):
            text = content.replace(b'"format": 1', b'"format": 9')
            tar.addfile(member, io.BytesIO(text))
    with pytest.raises(MalformedError, match="format 9"):
        put_back(later, tmp_path / "data")


@pytest.mark.slow
def test_stale_and_published(tmp_path: Path) -> None:
    """A backup that is behind what others saw is restored, and no server writes to it."""
    path, file, seen = tmp_path / "data", tmp_path / "b.tar", tmp_path / "seen"
    fill(path, 0, 10)
    take(path, file)
    seen.write_text(fill(path, 10, 20))
    for target, published, is_behind in (
        (tmp_path / "1", (seen,), True),
        (tmp_path / "2", (), False),
    ):
        assert bool(put_back(file, target, *published).behind) == is_behind
        if is_behind:
            with pytest.raises(SettingsError) as caught, opened(target):
                pass
            assert caught.value.code == "STATE_BEHIND"
            audits = check_logs(target, ServeSettings(target), {})
            assert "STATE_BEHIND" in dict(audits["tlog"].faults)["the object store"]
        else:
            with opened(target) as deployment:
                assert deployment.tlog.checkpoint().size == 10
    # The newest state satisfies it.
    take(path, tmp_path / "new.tar")
    assert put_back(tmp_path / "new.tar", tmp_path / "3", seen).behind == ()


@pytest.mark.slow
def test_fork_and_published(tmp_path: Path) -> None:
    """A tree of the same size, but another one, is behind too."""
    path, file = tmp_path / "data", tmp_path / "b.tar"
    fill(path, 0, 10)
    take(path, file)
    put_back(file, tmp_path / "fork")
    fill(tmp_path / "fork", 100, 110)
    take(tmp_path / "fork", tmp_path / "fork.tar")
    seen = tmp_path / "seen"
    seen.write_text(fill(path, 10, 15))
    assert put_back(tmp_path / "fork.tar", tmp_path / "again", seen).behind
    with pytest.raises(SettingsError) as caught, opened(tmp_path / "again"):
        pass
    assert caught.value.code == "STATE_BEHIND"


def test_published_by_another(file: Path, tmp_path: Path) -> None:
    """A checkpoint that no log of the backup has signed stops the restoring."""
    seen = tmp_path / "seen"
    seen.write_text(fill(tmp_path / "other", 0, 1))
    with pytest.raises(SettingsError) as caught:
        put_back(file, tmp_path / "data", seen)
    assert caught.value.code == "STATE_BEHIND"
    assert not (tmp_path / "data").exists()


def test_stale_database(original: Path, file: Path, tmp_path: Path) -> None:
    """An older database below newer objects is refused: they say what was published."""
    path, old = tmp_path / "data", tmp_path / "old"
    put_back(file, path)
    put_back(file, old)
    fill(path, 5000, 5010)
    for each in path.glob("tlog-2.db*"):
        shutil.rmtree(each) if each.is_dir() else each.unlink()
    for each in old.glob("tlog-2.db*"):
        (shutil.copytree if each.is_dir() else shutil.copy2)(each, path / each.name)
    with pytest.raises(SettingsError) as caught, opened(path):
        pass
    assert caught.value.code == "STATE_BEHIND"
    assert (original / "tlog-2.db").exists()


def test_stale_objects(original: Path, file: Path, tmp_path: Path) -> None:
    """A store that has forgotten a tree which this host knows is refused before it is written."""
    path = tmp_path / "data"
    put_back(file, path)
    (path / "objects" / "tlog" / "shards" / "2").unlink()
    with pytest.raises(SettingsError) as caught, opened(path):
        pass
    assert caught.value.code == "STATE_BEHIND"
    assert original.exists()


def test_one_at_a_time(original: Path, tmp_path: Path) -> None:
    """No backup is made while the log is rotated, and the other way round."""
    with upkeep(original, "test"):
        with pytest.raises(SettingsError):
            take(original, tmp_path / "b.tar")
        with pytest.raises(SettingsError):
            rotate_log(ServeSettings(original), {}, lambda: START, None)


def test_elsewhere(original: Path, tmp_path: Path) -> None:
    """What is not in files has backups of its own, and is not half copied."""
    for storage in (
        StorageSettings(database="postgresql://user:secret@db/x"),
        StorageSettings(objects="s3://bucket/prefix"),
    ):
        with pytest.raises(SettingsError) as caught:
            back_up(ServeSettings(original, storage=storage), tmp_path / "b.tar", START)
        assert "secret" not in str(caught.value)
        assert list(tmp_path.iterdir()) == []


def test_disk_full(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backup that cannot be completed leaves nothing behind."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TouchplateError):
        take(original, tmp_path / "b.tar")
    assert list(tmp_path.iterdir()) == []


def run(*words: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run `touchplate`."""
    return subprocess.run(
        (sys.executable, "-m", "touchplate.cli.__main__", *words),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(home)},
    )


@pytest.mark.slow
def test_killed(original: Path, tmp_path: Path) -> None:
    """A backup that is killed leaves no file of its name; the next one is made, and restored."""
    path, out = tmp_path / "data", tmp_path / "b.tar"
    shutil.copytree(original, path)
    blocked = path / "objects" / "blocked"
    os.mkfifo(blocked)  # the backup waits for it, after the logs
    command = (sys.executable, "-m", "touchplate.cli.__main__", "backup")
    with subprocess.Popen([*command, "--data", str(path), "--out", str(out)]) as killed:
        try:
            until(lambda: any(each.stat().st_size for each in tmp_path.glob(".b.tar.*/backup.tar")))
            with pytest.raises(SettingsError, match="under way"):
                take(path, tmp_path / "meanwhile.tar")
        finally:
            killed.kill()
    assert killed.returncode == -signal.SIGKILL
    blocked.unlink()
    assert not out.exists()
    (left,) = tmp_path.glob(".b.tar.*")
    assert left.stat().st_mode & 0o777 == 0o700

    made = take(path, out)
    restored = put_back(out, tmp_path / "restored")
    assert [(log.name, log.size) for log in restored.header.logs] == [
        *(("tlog", SIZE), ("tlog-2", 300), ("ct", 0))
    ]
    assert made.bytes == out.stat().st_size
    assert is_whole(tmp_path / "restored")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_under_load(start: "Start", load: "type[Load]", tmp_path: Path, workers: int) -> None:
    """While clients write: each receipt given before a backup began is in it; it serves again."""
    data = tmp_path / "data"
    server = start(data, "--workers", str(workers))
    server.wait_until_ready()
    running = load(server, 4)
    promised: list[list[Answered]] = []
    for number in range(4):
        enough = len(running.answered) + 400
        until(lambda: len(running.answered) > enough)  # noqa: B023  called now
        if number == 2:
            assert run("log", "rotate", "--data", str(data), home=tmp_path).returncode == 0
        promised.append(list(running.answered))
        out = tmp_path / f"{number}.tar"
        made = run("backup", "--data", str(data), "--out", str(out), home=tmp_path)
        assert made.returncode == 0, made.stderr
    running.stop()
    assert running.refused == []
    assert server.stop() == 0
    for number, answered in enumerate(promised):
        path = tmp_path / f"restored{number}"
        done = run(
            *("restore", str(tmp_path / f"{number}.tar"), "--data", str(path)), home=tmp_path
        )
        assert done.returncode == 0, done.stderr
        checked = run("log", "check", "--data", str(path), home=tmp_path)
        assert checked.returncode == 0, checked.stdout
        with opened(path, datetime.now(UTC)) as deployment:
            trees = [log.tiles for log in deployment.shards.oldest_first]
            assert len(trees) == (2 if number > 1 else 1)
            for each in answered:
                assert any(_has(tree._tiles, each) for tree in trees)
    again = start(tmp_path / "restored3")
    again.wait_until_ready()
    more = load(again, 2)
    until(lambda: len(more.answered) > 20)
    more.stop()
    assert more.refused == []
    assert len(json.loads(again.get("/readyz")[1])["shards"]) == 2
    assert again.stop(signal.SIGTERM) == 0


def _has(tree: Tiles, answered: "Answered") -> bool:
    entry = tree.entry(answered.index)
    return (
        answered.size <= tree.state().size
        and entry is not None
        and entry.record[2:] == answered.body
        and tree.root_at(answered.size) == answered.root
    )
