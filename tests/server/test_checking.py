"""`touchplate log check` on the folder of an instance: each kind of damage is found and named."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from touchplate.cli.__main__ import main
from touchplate.entries import hashedrekord_v002
from touchplate.errors import SettingsError, UnavailableError
from touchplate.keys.algorithms import by_name
from touchplate.keys.signer import PrivateKeySigner, generate
from touchplate.merkle.tree import leaf_hash
from touchplate.server.checking import check_logs, reading_settings
from touchplate.server.data import DataFolder
from touchplate.server.opening import open_deployment
from touchplate.server.settings import ServeSettings, StorageSettings, parse_origin
from touchplate.storage.folder import FolderObjects
from touchplate.storage.sqlite import SQLiteLog
from touchplate.tilelog.audit import Audit
from touchplate.tilelog.bulk import LoadedEntry, load
from touchplate.tilelog.bundle import encode_record
from touchplate.tilelog.entry import Leaf, Submission

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ORIGIN = parse_origin("https://sign.example.org")
ALGORITHM = by_name("PKIX_ECDSA_P256_SHA_256")
SIZE = 600  # two bundles in objects, 88 entries in the database
FORGED = 7  # the entry whose signature is of something else

Check = Callable[..., Audit]


def body(signer: PrivateKeySigner, number: int) -> bytes:
    """Make the body of an entry; one of them holds another artifact's signature."""
    signed = b"artifact %d" % number
    signature = signer.sign(b"another" if number == FORGED else signed)
    return hashedrekord_v002.encode_body(
        ALGORITHM, sha256(signed).digest(), signature, signer.public_key.spki, is_certificate=False
    )


def submission(data: bytes) -> Submission:
    """Submit a body as the transparency log does."""
    leaf = Leaf(data, encode_record(data))
    return Submission(leaf_hash(data), lambda _, __: leaf)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an instance with 600 entries once."""
    path = tmp_path_factory.mktemp("instance") / "data"
    signer = generate("ecdsa-p256")
    with DataFolder.serve(path) as folder:
        deployment = open_deployment(
            folder, ORIGIN, follows=False, settings=ServeSettings(path), now=lambda: NOW
        )
        futures = [
            deployment.tlog.append(submission(body(signer, number))) for number in range(SIZE)
        ]
        assert {future.result(60).index for future in futures} == set(range(SIZE))
        deployment.close()
    return path


@pytest.fixture
def data(original: Path, tmp_path: Path) -> Path:
    """Give a copy that the test may spoil."""
    path = tmp_path / "data"
    shutil.copytree(original, path)
    return path


def audit(data: Path, *, entries: bool = False, jobs: int = 1) -> Audit:
    """Check the transparency log."""
    settings = ServeSettings(data)
    return check_logs(data, settings, {}, names=("tlog",), entries=entries, jobs=jobs)["tlog"]


def faults(data: Path) -> dict[str, str]:
    """Give what is wrong with it."""
    return dict(audit(data).faults)


def flip(path: Path, at: int) -> None:
    """Change one octet of a file that is read only."""
    path.chmod(0o600)
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def update(data: Path, statement: str, *values: object) -> None:
    """Change the log's database."""
    with sqlite3.connect(data / "tlog.db") as connection:
        connection.execute(statement, values)
    connection.close()


def test_whole(data: Path) -> None:
    """Both logs of an instance are whole, and reading them writes nothing."""

    def read() -> dict[Path, bytes]:
        # SQLite tidies its own files when they are closed.
        files = [path for path in data.rglob("*") if path.is_file() and ".db" not in path.name]
        return {path: path.read_bytes() for path in files}

    before = read()
    found = check_logs(data, ServeSettings(data), {})

    assert {name: (each.size, each.faults) for name, each in found.items()} == {
        "tlog": (SIZE, ()),
        "ct": (0, ()),
    }
    assert read() == before


def test_entries(data: Path) -> None:
    """With `entries` each signature is checked; the one that is of something else is named."""
    found = audit(data, entries=True)
    assert [fault.place for fault in found.faults] == [f"entry {FORGED}"]
    assert found.faults[0].text.startswith("SIGNATURE_INVALID")
    assert found.signed == SIZE - 1


def test_entry_changed(data: Path) -> None:
    """A changed entry bundle is named by the entry that differs."""
    flip(data / "objects" / "tlog" / "tile" / "entries" / "001", 20)
    assert "entry 256" in faults(data)


def test_tile_changed(data: Path) -> None:
    """A changed tile is named by the entry whose hash differs."""
    flip(data / "objects" / "tlog" / "tile" / "0" / "000", 32 * 9)
    assert faults(data).keys() == {"entry 9"}


@pytest.mark.parametrize("name", ["tile/entries/000", "tile/0/001", "stamps/000"])
def test_lost(data: Path, name: str) -> None:
    """A lost object is the one fault."""
    path = data / "objects" / "tlog" / name
    path.parent.chmod(0o700)
    path.unlink()
    found = audit(data)
    assert len(found.faults) == 1
    assert "missing" in found.faults[0].text


def test_other_key(data: Path) -> None:
    """A checkpoint that another key signed is not this log's."""
    shutil.copyfile(data / "keys" / "ct.pub", data / "keys" / "tlog.pub")
    assert "CHECKPOINT_KEYHINT" in faults(data)["the checkpoint"]


def test_checkpoint_of_another_tree(data: Path) -> None:
    """A checkpoint that was signed for another tree than the stored one is named."""
    update(data, "UPDATE state SET size = size - 1")
    found = faults(data)
    assert found["the checkpoint"] == "is signed for another tree than it is stored for"
    assert "the root" in found


def test_published(data: Path) -> None:
    """The published checkpoint must be of this log, and of a tree that it extends."""
    state = SQLiteLog(data / "tlog.db")
    now = state.state()
    state.close()
    assert now is not None
    row = (now.size, now.root, now.time_ms, now.envelope, 0)
    update(data, "INSERT INTO published VALUES (1, ?, ?, ?, ?, ?)", *row)
    assert faults(data) == {}
    update(data, "UPDATE published SET root = ?", bytes(32))
    assert "is not of a tree" in faults(data)["the published checkpoint"]
    update(data, "UPDATE published SET size = 601")
    assert "larger than the log" in faults(data)["the published checkpoint"]


def test_old_backup(data: Path) -> None:
    """A log that is behind what the object store says was published is named."""
    path = data / "objects" / "tlog" / "published"
    path.chmod(0o600)
    path.write_text(f"{SIZE + 1} {'00' * 32}\n")
    assert "STATE_BEHIND" in faults(data)["the object store"]


def test_not_there(tmp_path: Path, data: Path) -> None:
    """Without an instance, or its database, nothing is checked and nothing is made."""
    empty = tmp_path / "empty"
    empty.mkdir(mode=0o700)
    with pytest.raises(SettingsError, match="holds no instance"):
        audit(empty)
    assert list(empty.iterdir()) == []
    for path in data.glob("tlog.db*"):
        if path.is_file():
            path.unlink()
    with pytest.raises(SettingsError, match=r"no file .*tlog\.db"):
        audit(data)
    assert not (data / "tlog.db").exists()


def test_unavailable(data: Path) -> None:
    """A storage that does not answer is no damage: nothing is known."""
    settings = ServeSettings(
        data, storage=StorageSettings(database="postgresql://127.0.0.1:1/touchplate")
    )
    with pytest.raises(UnavailableError):
        check_logs(data, settings, {}, names=("tlog",))


def test_command(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command says that it is whole, then what is wrong, for people and for programs."""
    words = ["log", "check", "--data", str(data), "--log", "tlog"]
    assert main(words) == 0
    assert capsys.readouterr().out.startswith(f"tlog: whole: {SIZE} entries, root ")
    assert main([*words, "--entries"]) == 1
    said = capsys.readouterr().out
    assert f"tlog: entry {FORGED}: SIGNATURE_INVALID" in said
    assert "tlog: DAMAGED: 1 fault in" in said
    assert main([*words, "--entries", "--json", "--jobs", "1"]) == 1
    (log,) = json.loads(capsys.readouterr().out)["logs"]
    assert (log["name"], log["whole"], log["size"]) == ("tlog", False, SIZE)
    assert log["faults"][0]["place"] == f"entry {FORGED}"


@pytest.mark.parametrize("jobs", ["0", "x", "257", "-1"])
def test_usage(data: Path, jobs: str) -> None:
    """A number of jobs that is none is a wrong command line."""
    assert main(["log", "check", "--data", str(data), "--jobs", jobs]) == 2


def test_settings_and_storage(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No instance is status 2, no storage status 3."""
    assert main(["log", "check", "--data", str(tmp_path / "none")]) == 2
    config = tmp_path / "settings.toml"
    config.write_text('[storage]\ndatabase = "postgresql://127.0.0.1:1/touchplate"\n')
    config.chmod(0o600)
    assert main(["log", "check", "--data", str(data), "--config", str(config)]) == 3
    assert "STORAGE_UNAVAILABLE" in capsys.readouterr().err


@pytest.fixture
def large(data: Path) -> Path:
    """Give an instance with 70,000 entries more: two parts."""
    database = SQLiteLog(data / "tlog.db")
    settings = reading_settings("tlog")
    with DataFolder.serve(data) as folder:
        deployment = open_deployment(
            folder, ORIGIN, follows=False, settings=ServeSettings(data), now=lambda: NOW
        )
        signing = deployment.tlog._settings
        deployment.close()
    assert signing.name == settings.name

    def entries() -> Iterator[LoadedEntry]:
        for number in range(70_000):
            content = b"entry %d" % number
            leaf = Leaf(content, encode_record(content))
            yield LoadedEntry(leaf_hash(content), leaf, 1_900_000_000_000)

    load(signing, database, FolderObjects(data / "objects"), entries())
    database.close()
    return data


@pytest.mark.slow
def test_several_processes(large: Path) -> None:
    """A large log is read by several processes, which find the same; progress reaches the end."""
    seen: list[int] = []

    def progress(name: str, done: int, size: int) -> None:
        assert (name, size) == ("tlog", SIZE + 70_000)
        seen.append(done)

    found = check_logs(large, ServeSettings(large), {}, names=("tlog",), jobs=2, progress=progress)
    whole = found["tlog"]
    assert whole.faults == ()
    assert (seen[0], seen[-1]) == (0, SIZE + 70_000)
    assert seen == sorted(seen)

    flip(large / "objects" / "tlog" / "tile" / "0" / "270", 0)
    flip(large / "objects" / "tlog" / "tile" / "1" / "000", 0)
    damaged = audit(large, jobs=2)
    assert [fault.place for fault in damaged.faults] == [f"entry {270 * 256}", "tile/1/000"]
    assert audit(large, jobs=1) == damaged


def test_beside_a_server(data: Path) -> None:
    """The check runs beside a server that holds the folder and takes entries."""
    signer = generate("ecdsa-p256")
    with DataFolder.serve(data) as folder:
        deployment = open_deployment(
            folder, ORIGIN, follows=False, settings=ServeSettings(data), now=lambda: NOW
        )
        futures = [
            deployment.tlog.append(submission(body(signer, number)))
            for number in range(FORGED + 1, 300)
        ]
        found = audit(data)
        last = [future.result(60) for future in futures][-1]
        deployment.close()
    assert found.faults == ()
    assert SIZE <= found.size <= last.checkpoint.size
    assert audit(data).size == last.checkpoint.size


def test_environment_is_used(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TOUCHPLATE_DATA names the folder, as for every verb."""
    monkeypatch.setitem(os.environ, "TOUCHPLATE_DATA", str(data))
    assert main(["log", "check"]) == 0
