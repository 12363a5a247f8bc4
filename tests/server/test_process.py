"""The server as a process: first start, restart, and every way to end."""

import contextlib
import json
import re
import resource
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.server.conftest import until
from touchplate.clients.ca import CaClient
from touchplate.errors import UnavailableError
from touchplate.formats.certificate import SCT_LIST, Certificate
from touchplate.formats.ct import parse_leaf_index, parse_tile_leaf
from touchplate.formats.sct import parse_sct_list
from touchplate.keys.signer import generate
from touchplate.server.build import Deployment
from touchplate.server.data import DataFolder
from touchplate.server.opening import choose_origin, open_deployment
from touchplate.server.operator import mint
from touchplate.server.settings import ServeSettings
from touchplate.transport.http import HttpTransport

if TYPE_CHECKING:
    from tests.server.conftest import Load, Server, Start

pytestmark = pytest.mark.slow

EMAIL = "maker@example.com"
THREADS = 8
SECONDS = 60


@contextlib.contextmanager
def opened(data: Path) -> Iterator[Deployment]:
    """Open the folder of a server that has ended."""
    with DataFolder.serve(data) as folder:
        origin, follows = choose_origin(folder.instance, None, ("127.0.0.1", 1))
        deployment = open_deployment(
            folder,
            origin,
            follows=follows,
            settings=ServeSettings(data),
            now=lambda: datetime.now(UTC),
        )
        try:
            yield deployment
        finally:
            deployment.close()


def check_promises(data: Path, load: "Load") -> int:
    """Prove each answered entry and checkpoint from the folder; give the log's size."""
    with opened(data) as deployment:
        for answered in load.answered:
            entry = deployment.tlog.entry(answered.index)
            assert entry is not None
            assert entry.record[2:] == answered.body
            assert deployment.tlog.root_at(answered.size) == answered.root
        return deployment.tlog.check().size


def test_first_start(start: "Start", tmp_path: Path) -> None:
    """An empty folder becomes an instance, private to its owner, that says what to do next."""
    data = tmp_path / "data"
    server = start(data)
    url = server.wait_until_ready()
    _, root = server.get("/tuf/1.root.json")
    assert json.loads(root)["signed"]["version"] == 1
    assert server.stop() == 0

    said = server.read_rest()
    fingerprint = re.search(r"trust add (\S+) --fingerprint ([0-9a-f]{64})\n", said)
    assert fingerprint is not None
    assert fingerprint[1] == url
    for words in ("touchplate token --data", "touchplate sign ", "touchplate verify "):
        assert words in said
    for each in (data, *data.rglob("*")):
        mode = stat.S_IMODE(each.stat().st_mode)
        assert mode == (0o700 if each.is_dir() else 0o600), each


def test_restart(start: "Start", load: "Callable[[Server, int], Load]", tmp_path: Path) -> None:
    """A restart goes on with the same keys, the same address and the same tree."""
    first = start(tmp_path / "data")
    url = first.wait_until_ready()
    running = load(first, 1)
    until(lambda: len(running.answered) >= 3)
    _, root = first.get("/tuf/root.json")
    assert first.stop() == 0
    running.join()

    second = start(tmp_path / "data")
    assert second.wait_until_ready() == url
    assert second.get("/tuf/root.json") == (200, root)
    _, checkpoint = second.get("/checkpoint")
    assert int(checkpoint.split(b"\n")[1]) == check_sizes(running)
    assert second.stop() == 0
    assert check_promises(tmp_path / "data", running) == check_sizes(running)


def check_sizes(load: "Load") -> int:
    """Give the size that the log must have when every request was answered."""
    return len({answered.index for answered in load.answered})


def test_sigterm_under_load(
    start: "Start", load: "Callable[[Server, int], Load]", tmp_path: Path
) -> None:
    """SIGTERM lets requests under way end: what is in the log was answered, all of it."""
    server = start(tmp_path / "data")
    server.wait_until_ready()
    running = load(server, THREADS)
    until(lambda: len(running.answered) >= 50)
    assert server.stop() == 0
    running.join()

    assert running.refused == []
    assert check_promises(tmp_path / "data", running) == len(running.answered)


def test_sigkill_under_load(
    start: "Start", load: "Callable[[Server, int], Load]", tmp_path: Path
) -> None:
    """SIGKILL at any moment loses nothing that was answered."""
    size = 0
    for attempt in range(5):
        server = start(tmp_path / "data")
        server.wait_until_ready()
        running = load(server, THREADS)
        until(lambda: len(running.answered) >= 20)  # noqa: B023  called now
        time.sleep(0.037 * attempt)
        server.stop(signal.SIGKILL)
        running.join()
        assert running.refused == []
        size_now = check_promises(tmp_path / "data", running)
        assert size_now >= size + len(running.answered)
        size = size_now


def test_sigkill_while_issuing(start: "Start", tmp_path: Path) -> None:
    """Each certificate that was handed out is in the certificate log, whenever the server died."""
    data = tmp_path / "data"
    issued: list[Certificate] = []

    def keep_asking(url: str, token: str) -> None:
        client = CaClient(url, HttpTransport())
        with contextlib.suppress(UnavailableError):
            while True:
                issued.append(client.issue(token, generate("ecdsa-p256")).leaf)

    for _ in range(3):
        server = start(data)
        url = server.wait_until_ready()
        token = mint(data, EMAIL, now=datetime.now(UTC))
        threads = [threading.Thread(target=keep_asking, args=(url, token)) for _ in range(4)]
        for thread in threads:
            thread.start()
        enough = len(issued) + 20
        until(lambda: len(issued) >= enough)  # noqa: B023  called now
        server.stop(signal.SIGKILL)
        for thread in threads:
            thread.join()

    with opened(data) as deployment:
        deployment.ct.check()
        for leaf in issued:
            (sct,) = parse_sct_list(leaf.extensions[SCT_LIST].value)
            index = parse_leaf_index(sct.extensions)
            assert index is not None
            entry = deployment.ct.entry(index)
            assert entry is not None
            logged = parse_tile_leaf(entry.record).entry
            assert logged.certificate == leaf.tbs_without(SCT_LIST)
            assert logged.timestamp_ms == sct.timestamp_ms


def test_sigkill_at_first_start(start: "Start", tmp_path: Path) -> None:
    """A first start that is killed at any moment is completed by the next."""
    for attempt in range(6):
        data = tmp_path / f"data-{attempt}"
        killed = start(data)
        time.sleep(0.1 + 0.12 * attempt)
        killed.stop(signal.SIGKILL)
        server = start(data)
        server.wait_until_ready()
        assert server.get("/tuf/timestamp.json")[0] == 200
        assert server.stop() == 0


def test_full_disk(start: "Start", load: "Callable[[Server, int], Load]", tmp_path: Path) -> None:
    """While nothing more can be written entries are refused with 503; then the server goes on."""
    data = tmp_path / "data"
    server = start(data)
    server.wait_until_ready()
    running = load(server, 4)
    until(lambda: len(running.answered) >= 20)
    largest = max(each.stat().st_size for each in data.iterdir() if each.is_file())
    _, never = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (largest, never))
    until(lambda: len(running.refused) >= 20)
    assert {status for status, _ in running.refused} == {503}
    assert server.get("/checkpoint")[0] == 200
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (never, never))
    enough = len(running.answered) + 20
    until(lambda: len(running.answered) >= enough)
    assert server.stop() == 0
    running.join()

    assert "Traceback" not in server.failure()
    assert check_promises(data, running) == len(running.answered)


def test_old_database(
    start: "Start", load: "Callable[[Server, int], Load]", tmp_path: Path
) -> None:
    """After a crash, a copy of the database that lacks only the newest entries is refused."""
    data, before = tmp_path / "data", b""
    for _ in range(2):
        server = start(data)
        server.wait_until_ready()
        before = (data / "tlog.db").read_bytes()
        published = data / "objects" / "tlog" / "published"
        noted = published.read_bytes() if published.exists() else b""
        running = load(server, 1)
        while not running.answered or not published.exists() or published.read_bytes() == noted:
            time.sleep(0.01)
        server.stop(signal.SIGKILL if noted else signal.SIGTERM)
        running.join()
    for each in data.glob("tlog.db*"):
        each.unlink()
    (data / "tlog.db").write_bytes(before)
    (data / "tlog.db").chmod(0o600)

    server = start(data)
    assert "STATE_BEHIND" in server.failure()
    assert server.process.returncode == 2


def test_second_server(start: "Start", tmp_path: Path) -> None:
    """A folder on which a server runs is refused to another, which says which process has it."""
    first = start(tmp_path / "data")
    first.wait_until_ready()
    second = start(tmp_path / "data")
    assert f"process {first.process.pid}" in second.failure()
    assert second.process.returncode == 2


def test_unsafe_folder(start: "Start", tmp_path: Path) -> None:
    """A folder that others can write stops the start with a clear message."""
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o777)
    server = start(data)
    assert "DATA_FOLDER_UNSAFE" in server.failure() or "other users" in server.failure()
    assert server.process.returncode == 2


def test_another_host_name(start: "Start", tmp_path: Path) -> None:
    """A folder is served under another port, and never under another host name than its logs'."""
    data = tmp_path / "data"
    for options, url in (
        (("--url", "http://localhost:8000"), "http://localhost:8000"),
        (("--url", "https://localhost"), "https://localhost"),
        ((), "https://localhost"),
    ):
        server = start(data, *options)
        assert server.read_url() == url
        assert server.stop() == 0

    server = start(data, "--url", "https://example.org")
    assert "'localhost'" in server.failure()
    assert server.process.returncode == 2


def test_bad_http(start: "Start", tmp_path: Path) -> None:
    """Bytes that are no HTTP, and requests that end in the middle, leave the server well."""
    import socket
    from urllib.parse import urlsplit

    server = start(tmp_path / "data")
    server.wait_until_ready()
    netloc = urlsplit(server.url)
    address = (netloc.hostname or "", netloc.port or 0)
    for sent in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /api/v2/log/entries HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nab",
        b"POST /api/v2/log/entries HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\nab",
        b"POST /api/v2/log/entries HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\n",
        b"POST /api/v2/log/entries HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\n" + b"a: " + b"b" * 100_000 + b"\r\n\r\n",
    ):
        with socket.create_connection(address, timeout=SECONDS) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(65536)
            assert b" 500 " not in answer.split(b"\r\n")[0]
            assert b"Traceback" not in answer
    assert server.get("/readyz")[0] == 200
    assert server.stop() == 0
    assert "Traceback" not in server.failure()
