"""Logs that move: exported, dumped, imported, and served again as they were."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from touchplate.cli.__main__ import main
from touchplate.entries import hashedrekord_v002
from touchplate.errors import SettingsError
from touchplate.formats.bundle import parse_bundle
from touchplate.keys.algorithms import by_name
from touchplate.keys.signer import generate
from touchplate.merkle.edge import EMPTY_EDGE, extend
from touchplate.merkle.tree import leaf_hash
from touchplate.server.app import App
from touchplate.server.build import Deployment
from touchplate.server.checking import check_logs
from touchplate.server.data import DataFolder
from touchplate.server.opening import open_deployment
from touchplate.server.settings import ServeSettings, parse_origin
from touchplate.storage.folder import FolderObjects
from touchplate.testing.in_process import InProcessTransport
from touchplate.tilelog.bundle import encode_record
from touchplate.tilelog.entry import Leaf, Submission

# New instances are made by the command, which has the machine's clock.
NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
URL = "https://old.example.org"
SIZE = 600
ALGORITHM = by_name("PKIX_ECDSA_P256_SHA_256")
KINDS = ("alpine", "cose", "helm", "jar", "rfc3161", "rpm", "tuf")


def bodies() -> list[bytes]:
    """Make the entries of the old log: one that can be searched, and kinds of long ago."""
    signer = generate("ecdsa-p256")
    made = []
    for number in range(SIZE):
        kind = KINDS[number % 7]
        made.append(
            b'{"apiVersion":"0.0.1","kind":"%b","spec":{"hash":%d}}' % (kind.encode(), number)
        )
    digest = sha256(b"artifact").digest()
    signature = signer.sign(b"artifact")
    made[500] = hashedrekord_v002.encode_body(
        ALGORITHM, digest, signature, signer.public_key.spki, is_certificate=False
    )
    # Not canonical, nor even JSON: what a log holds is kept as it is.
    made[501] = b' {"kind" : "jar"}\n'
    made[502] = b"\xff\x00"
    return made


BODIES = bodies()


class Clock:
    """A clock that goes on by a second each time."""

    def __init__(self, start: datetime = NOW) -> None:
        self.now = start

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@contextmanager
def running(
    path: Path, now: Callable[[], datetime] | None = None, url: str = URL
) -> Iterator[Deployment]:
    """Run an instance in this process."""
    with DataFolder.serve(path) as folder:
        deployment = open_deployment(
            *(folder, parse_origin(url)),
            follows=False,
            settings=ServeSettings(path),
            now=now or partial(datetime.now, UTC),
        )
        try:
            yield deployment
        finally:
            deployment.close()


def append(deployment: Deployment, given: list[bytes]) -> None:
    """Append bodies in their order, whatever they are."""
    for body in given:
        leaf = Leaf(body, encode_record(body))
        submission = Submission(leaf_hash(body), lambda _, __, leaf=leaf: leaf)  # type: ignore[misc]
        deployment.tlog.append(submission).result(60)


@contextmanager
def client(deployment: Deployment) -> Iterator[Callable[[str], Any]]:
    """Give a function that gets JSON from it."""
    with ThreadPoolExecutor(2) as pool:
        transport = InProcessTransport({URL: App(deployment.routes, pool)})
        try:
            yield lambda path: json.loads(transport.request("GET", URL + path).body)
        finally:
            transport.close()


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the old instance once; nobody changes it."""
    path = tmp_path_factory.mktemp("moving") / "old"
    with running(path, Clock()) as deployment:
        append(deployment, BODIES)
    return path


@pytest.fixture(scope="module")
def dump(old: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ask the old instance for what moves: log.jsonl, info.json, log.pem, answers, results."""
    out = tmp_path_factory.mktemp("dump")
    with running(old) as deployment:
        index = deployment.index
        assert index is not None
        index.catch_up()
        with client(deployment) as get:
            (out / "info.json").write_text(json.dumps(get("/api/v1/log")))
            lines = [get(f"/api/v1/log/entries?logIndex={n}") for n in range(SIZE)]
            (out / "log.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
            (out / "found.json").write_text(json.dumps(search(get)))
        key = deployment.trusted_root.tlogs[0].key
        (out / "log.pem").write_text(key.pem())
    return out


def search(get: Callable[[str], Any]) -> list[Any]:
    """Search for an artifact and for a kind; without what names the tree."""
    digest = sha256(b"artifact").hexdigest()
    found: list[Any] = []
    for query in (f"digest=sha256:{digest}", "kind=rpm&limit=100"):
        found.extend(
            {name: row[name] for name in row if name not in ("entryId", "treeId")}
            for row in get(f"/api/search?{query}")["rows"]
        )
    return found


def run(*arguments: object) -> int:
    """Run `touchplate log …`."""
    return main(["log", *map(str, arguments)])


def exported(old: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Export; give the verifier key."""
    assert run("export", "--data", old, "--out", out) == 0
    return capsys.readouterr().out.split("vkey ")[1].strip()


def check_moved(new: Path, dump: Path) -> None:
    """The new instance answers what the old one did, but for what the new key signs."""
    lines = (dump / "log.jsonl").read_text().splitlines()
    with running(new) as deployment:
        index = deployment.index
        assert index is not None
        index.catch_up()
        assert deployment.tlog.check().size == SIZE
        with client(deployment) as get:
            info = json.loads((dump / "info.json").read_text())
            here = get("/api/v1/log")
            assert (here["rootHash"], here["treeSize"]) == (info["rootHash"], SIZE)
            for number in (0, 255, 256, 500, 501, 502, SIZE - 1):
                (before,) = json.loads(lines[number]).items()
                (after,) = get(f"/api/v1/log/entries?logIndex={number}").items()
                assert before[0][-64:] == after[0][-64:]
                assert b64decode(after[1]["body"]) == BODIES[number]
                for name in ("body", "integratedTime", "logIndex"):
                    assert before[1][name] == after[1][name]
                assert before[1]["logID"] != after[1]["logID"]
            assert search(get) == json.loads((dump / "found.json").read_text())
        # It takes entries of its own, behind them.
        append(deployment, [b"new"])
        assert deployment.tlog.check().size == SIZE + 1
    found = check_logs(new, ServeSettings(new), {})
    assert [audit.faults for audit in found.values()] == [(), ()]


@pytest.mark.slow
def test_export_import(
    old: Path, dump: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Root, entries, times, answers and results are the same after export and import."""
    vkey = exported(old, tmp_path / "out", capsys)
    new = tmp_path / "new"
    assert run("import", tmp_path / "out", "--vkey", vkey, "--data", new, "--url", URL) == 0
    told = capsys.readouterr().out
    info = json.loads((dump / "info.json").read_text())
    assert told.splitlines() == [
        f"imported {SIZE} entries: size {SIZE}",
        f"root {info['rootHash']}",
    ]
    check_moved(new, dump)


@pytest.mark.slow
def test_dump(old: Path, dump: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A dump from the first API round-trips, held to checkpoint and promises."""
    new = tmp_path / "new"
    given = ["--checkpoint", dump / "info.json", "--public-key", dump / "log.pem"]
    assert run("import", dump / "log.jsonl", *given, "--data", new, "--url", URL) == 0
    assert f"imported {SIZE} entries" in capsys.readouterr().out
    # Again it is found to be done.
    assert run("import", dump / "log.jsonl", *given, "--data", new) == 0
    assert "imported 0 entries" in capsys.readouterr().out
    check_moved(new, dump)


@pytest.mark.slow
def test_longer_dump(dump: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was logged after the checkpoint was fetched is left out."""
    lines = (dump / "log.jsonl").read_bytes().splitlines(keepends=True)
    longer = tmp_path / "longer.jsonl"
    longer.write_bytes(b"".join([*lines, b"whatever comes then\n"]))
    given = ["--checkpoint", dump / "info.json", "--public-key", dump / "log.pem"]
    assert run("import", longer, *given, "--data", tmp_path / "new", "--url", URL) == 0


@pytest.mark.slow
@pytest.mark.parametrize("how", ["short", "promise", "swapped", "checkpoint"])
def test_bad_dump(dump: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str) -> None:
    """A dump that is not the log's is refused before anything of it is here."""
    lines = (dump / "log.jsonl").read_text().splitlines()
    info = json.loads((dump / "info.json").read_text())
    if how == "short":
        lines.pop()
    elif how == "promise":
        entry = json.loads(lines[3])
        next(iter(entry.values()))["integratedTime"] += 1
        lines[3] = json.dumps(entry)
    elif how == "swapped":
        one, two = json.loads(lines[3]), json.loads(lines[4])
        (first,), (second,) = one.values(), two.values()
        first["logIndex"], second["logIndex"] = 4, 3
        lines[3:5] = [json.dumps(two), json.dumps(one)]
    else:
        info["signedTreeHead"] = info["signedTreeHead"].replace("\n600\n", "\n599\n")
    (tmp_path / "log.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "info.json").write_text(json.dumps(info))
    new = tmp_path / "new"
    given = ["--checkpoint", tmp_path / "info.json", "--public-key", dump / "log.pem"]
    assert run("import", tmp_path / "log.jsonl", *given, "--data", new, "--url", URL) == 1
    codes = {"short": "TLOG_INVALID", "checkpoint": "CHECKPOINT_SIGNATURE"}
    assert codes.get(how, "SET_INVALID") in capsys.readouterr().err
    with running(new) as deployment:
        assert deployment.tlog.checkpoint().size == 0


@pytest.mark.slow
def test_dump_without_key(dump: Path, tmp_path: Path) -> None:
    """Without a key the dump is still held to itself, and the same log comes out."""
    new = tmp_path / "new"
    command = ["import", dump / "log.jsonl", "--unverified", "--data", new, "--url", URL]
    assert run(*command) == 0
    check_moved(new, dump)


class Files(SimpleHTTPRequestHandler):
    """Serves a folder, and says nothing."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder at a URL."""
    handler = partial(Files, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_url(old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A tile log is imported from its URL; its entries are then as old as their import."""
    vkey = exported(old, tmp_path / "out", capsys)
    new = tmp_path / "new"
    with served(tmp_path / "out") as url:
        assert run("import", url + "/", "--vkey", vkey, "--data", new, "--url", URL) == 0
    with running(new) as deployment:
        assert deployment.tlog.check().size == SIZE
        entry = deployment.tlog.entry(0)
    assert entry is not None
    assert abs(entry.time_ms / 1000 - time.time()) < 600


@pytest.mark.slow
def test_damaged_url(old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bundle that is not the tree's ends the import; nothing is served until it is complete."""
    vkey = exported(old, tmp_path / "out", capsys)
    bundle = tmp_path / "out" / "tile" / "entries" / "001"
    good = bundle.read_bytes()
    bundle.write_bytes(good[:-1] + b"?")
    new = tmp_path / "new"
    command = ("import", tmp_path / "out", "--vkey", vkey, "--data", new, "--url", URL)
    assert run(*command) == 1
    assert "TLOG_INVALID" in capsys.readouterr().err
    with pytest.raises(SettingsError, match="not done"), running(new):
        pass
    assert run("check", "--data", new, "--log", "tlog") == 1
    assert "not done" in capsys.readouterr().out

    bundle.write_bytes(good)
    assert run(*command) == 0
    with running(new) as deployment:
        assert deployment.tlog.check().size == SIZE


def test_key(old: Path, dump: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A checkpoint of another key, or nothing to hold it to, is refused."""
    out, new = tmp_path / "out", tmp_path / "new"
    exported(old, out, capsys)
    command = ("import", out, "--data", new, "--url", URL)
    other = tmp_path / "other.pem"
    other.write_text(generate("ecdsa-p256").public_key.pem())
    assert run(*command, "--public-key", other) == 1
    assert "CHECKPOINT_KEYHINT" in capsys.readouterr().err
    assert run(*command) == 2
    assert "--unverified" in capsys.readouterr().err
    assert run(*command, "--unverified", "--public-key", other) == 2
    assert run("import", dump / "log.jsonl", "--data", new, "--vkey", "x+y+z") == 2
    assert run("import", dump / "log.jsonl", "--data", new, "--public-key", other) == 2
    assert run(*command, "--checkpoint", dump / "info.json", "--unverified") == 2
    assert run(*command, "--public-key", dump / "log.pem") == 0


def test_no_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that is no log, and a source that is not there, are named."""
    (tmp_path / "empty").mkdir()
    new = ("--unverified", "--data", tmp_path / "new", "--url", URL)
    assert run("import", tmp_path / "empty", *new) == 1
    assert "NOT_FOUND" in capsys.readouterr().err
    assert run("import", tmp_path / "nothing", *new) == 2
    assert run("import", tmp_path / "empty", "--unverified", "--data", tmp_path / "newer") == 2
    assert "--url" in capsys.readouterr().err


def test_beside_a_server(old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An instance that runs is exported, and not imported into."""
    copy = tmp_path / "copy"
    shutil.copytree(old, copy)
    with running(copy) as deployment:
        exported(copy, tmp_path / "out", capsys)
        append(deployment, [b"later"])
        exported(copy, tmp_path / "out", capsys)
        assert run("import", tmp_path / "out", "--unverified", "--data", copy) == 2
        assert "another server runs" in capsys.readouterr().err
    assert (tmp_path / "out" / "checkpoint").read_text().split("\n")[1] == str(SIZE + 1)
    assert run("import", tmp_path / "out", "--unverified", "--data", copy) == 1
    assert "of its own" in capsys.readouterr().err


def test_own_folder(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An export does not go into the instance itself."""
    for out in (old, old / "objects"):
        assert run("export", "--data", old, "--out", out) == 2
        assert "own folder" in capsys.readouterr().err


@pytest.mark.slow
def test_trees(old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After a rotation each tree is exported on its own, and what was imported is the first."""
    vkey = exported(old, tmp_path / "out", capsys)
    new = tmp_path / "new"
    assert run("import", tmp_path / "out", "--vkey", vkey, "--data", new, "--url", URL) == 0
    assert run("rotate", "--data", new) == 0
    with running(new) as deployment:
        append(deployment, [b"new"])
        first, second = (log.key.tree_id for log in deployment.shards.oldest_first)
        with client(deployment) as get:
            (entry,) = get(f"/api/v1/log/entries?logIndex={SIZE}").values()
            assert b64decode(entry["body"]) == b"new"
            assert get("/api/v1/log")["inactiveShards"][0]["treeSize"] == SIZE
    capsys.readouterr()
    for out, options, size in (
        ("newest", (), 1),
        ("first", ("--tree", first), SIZE),
        ("second", ("--tree", second), 1),
    ):
        assert run("export", "--data", new, "--out", tmp_path / out, *options) == 0
        assert f"at size {size}," in capsys.readouterr().out
    assert run("export", "--data", new, "--out", tmp_path / "none", "--tree", "5") == 1
    assert str(first) in capsys.readouterr().err


def test_real_entries(
    conformance: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Entries of public logs are dumped and imported byte for byte."""
    lines: list[str] = []
    leaves: list[bytes] = []
    for path in sorted(conformance.glob("bundle-verify/happy-path*/bundle.sigstore.json")):
        for entry in parse_bundle(path.read_bytes()).entries:
            if not entry.body:
                continue
            leaf = leaf_hash(entry.body)
            members = {
                "body": b64encode(entry.body).decode(),
                "integratedTime": entry.integrated_time,
                "logID": entry.log_id.hex(),
                "logIndex": len(lines),
            }
            lines.append(json.dumps({leaf.hex(): members}))
            leaves.append(leaf)
    assert lines
    (tmp_path / "real.jsonl").write_text("\n".join(lines))
    new = tmp_path / "new"
    command = ("import", tmp_path / "real.jsonl", "--unverified", "--data", new, "--url", URL)
    assert run(*command) == 0
    assert extend(EMPTY_EDGE, leaves).edge.root().hex() in capsys.readouterr().out
    assert run("check", "--entries", "--data", new) == 0


def run_for(seconds: float, *command: object) -> int:
    """Run `touchplate log …`, killed by the system wherever it is after so much processor time."""
    program = (
        "import signal, sys; signal.setitimer(signal.ITIMER_PROF, float(sys.argv[1]));"
        "from touchplate.cli.__main__ import main; sys.exit(main(['log', *sys.argv[2:]]))"
    )
    return subprocess.run(
        [sys.executable, "-c", program, str(seconds), *map(str, command)],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    ).returncode


@pytest.mark.slow
def test_killed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Imports and exports that are killed again and again end in the same log."""
    dump, new, out = tmp_path / "dump.jsonl", tmp_path / "new", tmp_path / "out"
    leaves = []
    with dump.open("w") as file:
        for number in range(30_000):
            body = b'{"kind":"rpm","n":%d}' % number
            leaves.append(leaf_hash(body))
            members = {
                "body": b64encode(body).decode(),
                "integratedTime": number,
                "logID": "ab" * 32,
                "logIndex": number,
            }
            file.write(json.dumps({leaves[-1].hex(): members}) + "\n")
    root = extend(EMPTY_EDGE, leaves).edge.root().hex()
    imported = ("import", dump, "--unverified", "--data", new, "--url", URL)
    export = ("export", "--data", new, "--out", out)
    kills = 0
    for command in (imported, export):
        # Seconds of processor time: how far it comes by then does not depend on the load here.
        for seconds in (0.4 * 1.3**attempt for attempt in range(30)):
            status = run_for(seconds, *command)
            if status == 0:
                break
            assert status == -signal.SIGPROF
            kills += 1
        else:
            pytest.fail("it never ended")
        assert run(*command) == 0  # what is done stays so
        assert root in capsys.readouterr().out
    assert kills > 2
    assert run("check", "--data", new, "--log", "tlog") == 0
    again = tmp_path / "again"
    assert run("import", out, "--unverified", "--data", again, "--url", URL) == 0
    assert root in capsys.readouterr().out
    assert FolderObjects(out).get("times/000") is not None
