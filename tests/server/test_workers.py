"""Several worker processes: what holds when any of them dies, and when their parent does."""

import os
import re
import resource
import signal
import socket
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.server.conftest import until
from tests.server.test_process import check_promises
from tests.servers.process import free_ports

if TYPE_CHECKING:
    from tests.server.conftest import Load, Start

pytestmark = pytest.mark.slow

WORKERS = ("--workers", "2")


def is_alive(pid: int) -> bool:
    """Say whether there is such a process that has not ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def check_gone(pids: Iterable[int], url: str) -> None:
    """Prove that none of the processes is left, and that the port is free."""
    until(lambda: not any(map(is_alive, pids)))
    netloc = urlsplit(url)
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind((netloc.hostname, netloc.port))
        free.listen()


def test_worker_killed_under_load(start: "Start", load: "type[Load]", tmp_path: Path) -> None:
    """SIGKILL of workers loses nothing that was answered; others answer, new ones take over."""
    server = start(tmp_path / "data", *WORKERS)
    url = server.wait_until_ready()
    first = server.workers()
    assert len(first) == 2
    # A process with other threads could not fork a sound worker.
    assert len(list(Path(f"/proc/{server.process.pid}/task").iterdir())) == 1
    running = load(server, 8, again=True)
    for _ in range(4):
        enough = len(running.answered) + 40
        until(lambda: len(running.answered) >= enough)  # noqa: B023  called now
        victim = server.workers()[-1]
        os.kill(victim, signal.SIGKILL)
        until(lambda: victim not in server.workers())  # noqa: B023  called now
        until(lambda: len(server.workers()) == 2)
    until(lambda: server.get("/readyz")[0] == 200)
    running.stop()
    assert running.refused == []
    last = server.workers()
    assert server.stop() == 0

    check_gone({*first, *last}, url)
    assert running.broken
    assert check_promises(tmp_path / "data", running) >= len(running.answered)
    assert "ended by signal 9" in server.failure()
    assert "Traceback" not in server.failure()


def test_parent_killed_under_load(start: "Start", load: "type[Load]", tmp_path: Path) -> None:
    """When the parent is killed its workers end by themselves, and the folder can be served."""
    server = start(tmp_path / "data", *WORKERS)
    url = server.wait_until_ready()
    workers = server.workers()
    running = load(server, 4)
    until(lambda: len(running.answered) > 40)
    server.stop(signal.SIGKILL)
    running.join()

    check_gone(workers, url)
    again = start(tmp_path / "data", *WORKERS)
    assert again.wait_until_ready() == url
    assert again.stop() == 0
    assert check_promises(tmp_path / "data", running) >= len(running.answered)


@pytest.mark.parametrize("whole_group", [False, True])
def test_sigterm_under_load(
    start: "Start", load: "type[Load]", tmp_path: Path, whole_group: bool
) -> None:
    """SIGTERM, to the parent or to all as systemd sends it, lets requests under way end."""
    server = start(tmp_path / "data", *WORKERS)
    url = server.wait_until_ready()
    workers = server.workers()
    running = load(server, 8)
    until(lambda: len(running.answered) > 50)
    if whole_group:
        for pid in workers:
            os.kill(pid, signal.SIGTERM)
    assert server.stop() == 0
    running.join()

    check_gone(workers, url)
    assert running.refused == []
    assert check_promises(tmp_path / "data", running) == len(running.answered)


def test_sigterm_while_starting(start: "Start", tmp_path: Path) -> None:
    """SIGTERM at any moment of a start ends it, and the next start completes it."""
    for attempt in range(5):
        server = start(tmp_path / "data", *WORKERS)
        time.sleep(0.25 + 0.15 * attempt)
        assert server.stop() in (0, -signal.SIGTERM)
        assert "Traceback" not in server.failure()
    server = start(tmp_path / "data", *WORKERS)
    server.wait_until_ready()
    assert server.stop() == 0


def test_worker_that_cannot_start(start: "Start", tmp_path: Path) -> None:
    """A worker that cannot be started again is tried later, and the others go on."""
    server = start(tmp_path / "data", *WORKERS)
    server.wait_until_ready()
    key = tmp_path / "data" / "keys" / "issuer.pem"
    key.rename(tmp_path / "key")
    os.kill(server.workers()[0], signal.SIGKILL)
    until(lambda: any("KEY_NOT_FOUND" in line for line in server.errors))
    for _ in range(10):
        assert server.get("/readyz")[0] == 200
    said = "again in ([0-9.]+) s"
    until(lambda: len(re.findall(said, "".join(server.errors))) >= 4)
    delays = [float(each) for each in re.findall(said, "".join(server.errors))]
    assert delays[:4] == [0.1, 0.2, 0.4, 0.8]
    (tmp_path / "key").rename(key)
    until(lambda: len(server.workers()) == 2)
    assert server.stop() == 0


def test_metrics_over_workers(start: "Start", tmp_path: Path) -> None:
    """Each worker gives the sum over all, and no count goes back when one dies."""
    server = start(tmp_path / "data", *WORKERS)
    server.wait_until_ready()

    def count() -> int:
        _, text = server.get("/metrics")
        found = re.search(rb'route="/ping",status="200"} (\d+)', text)
        return int(found[1]) if found else 0

    for number in range(1, 21):
        server.get("/ping")
        assert count() == number
    victim = server.workers()[0]
    os.kill(victim, signal.SIGKILL)
    until(lambda: victim not in server.workers() and len(server.workers()) == 2)
    for _ in range(5):
        assert count() == 20
    assert server.stop() == 0


def test_port_is_ours(start: "Start", tmp_path: Path) -> None:
    """No other server gets connections of this port, with workers or without."""
    server = start(tmp_path / "data", *WORKERS)
    url = server.wait_until_ready()
    for options in ((), WORKERS):
        other = start(tmp_path / "other", *options, listen=urlsplit(url).netloc)
        assert "cannot listen" in other.failure()
        assert other.process.returncode == 2
    assert server.stop() == 0


def test_second_server(start: "Start", tmp_path: Path) -> None:
    """The folder is held while any worker lives."""
    server = start(tmp_path / "data", *WORKERS)
    server.wait_until_ready()
    second = start(tmp_path / "data", *WORKERS)
    assert f"process {server.process.pid}" in second.failure()
    assert second.process.returncode == 2
    assert server.stop() == 0


def test_refused_start(start: "Start", tmp_path: Path) -> None:
    """What is wrong with an instance stops the start of workers as it does without them."""
    server = start(tmp_path / "data", *WORKERS, "--objects", "memory:")
    assert "memory: is not shared" in server.failure()
    assert server.process.returncode == 2


def test_full_disk(start: "Start", load: "type[Load]", tmp_path: Path) -> None:
    """While nothing can be written all workers answer 503; then they go on by themselves."""
    data = tmp_path / "data"
    server = start(data, *WORKERS)
    server.wait_until_ready()
    running = load(server, 8)
    until(lambda: len(running.answered) > 40)
    largest = max(each.stat().st_size for each in data.iterdir() if each.is_file())
    _, never = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    for pid in server.workers():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (largest, never))
    until(lambda: len(running.refused) > 20)
    for pid in server.workers():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (never, never))
    enough = len(running.answered) + 40
    until(lambda: len(running.answered) > enough)
    running.stop()
    assert {status for status, _ in running.refused} == {503}
    assert running.unexplained == 0
    assert server.stop() == 0
    assert check_promises(data, running) >= len(running.answered)


def write_settings(data: Path, text: str) -> None:
    """Give an instance a settings file before its first start."""
    data.mkdir(mode=0o700)
    (data / "touchplate.toml").write_text(text)
    (data / "touchplate.toml").chmod(0o600)


def hang(url: str) -> socket.socket:
    """Begin a request that does not end, and wait until the server has begun to read it."""
    netloc = urlsplit(url)
    connection = socket.create_connection((netloc.hostname or "", netloc.port or 0))
    connection.sendall(
        b"POST /api/v2/log/entries HTTP/1.1\r\nhost: x\r\n"
        b"expect: 100-continue\r\ncontent-length: 9\r\n\r\n"
    )
    assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
    connection.sendall(b"{")
    return connection


def test_drain_is_bounded(start: "Start", tmp_path: Path) -> None:
    """A request that does not end holds up the end for the time that the settings give it.

    Not for as long as a request may take otherwise, half a minute.
    """
    write_settings(tmp_path / "data", "workers = 2\ndrain_seconds = 1\n")
    server = start(tmp_path / "data")
    url = server.wait_until_ready()
    workers = server.workers()
    with hang(url):
        began = time.monotonic()
        assert server.stop() == 0
        assert 0.5 < time.monotonic() - began < 25
    check_gone(workers, url)


def test_second_signal(start: "Start", tmp_path: Path) -> None:
    """A second SIGTERM or SIGINT ends all at once, and not after half a minute, or more."""
    write_settings(tmp_path / "data", "workers = 2\ndrain_seconds = 100\n")
    server = start(tmp_path / "data")
    url = server.wait_until_ready()
    workers = server.workers()
    with hang(url):
        began = time.monotonic()
        server.process.send_signal(signal.SIGINT)
        time.sleep(1)
        assert server.process.poll() is None
        assert server.stop() == 0
        assert time.monotonic() - began < 25
    check_gone(workers, url)


def test_parent_killed_while_draining(start: "Start", tmp_path: Path) -> None:
    """Workers whose parent is gone do not outlive the time for requests under way."""
    write_settings(tmp_path / "data", "workers = 2\ndrain_seconds = 1\n")
    server = start(tmp_path / "data")
    url = server.wait_until_ready()
    workers = server.workers()
    with hang(url):
        server.stop(signal.SIGKILL)
        check_gone(workers, url)


def test_killed_at_first_start(start: "Start", tmp_path: Path) -> None:
    """A first start whose parent is killed at any moment is completed by the next."""
    for attempt in range(5):
        data = tmp_path / str(attempt)
        killed = start(data, *WORKERS)
        time.sleep(0.3 + 0.1 * attempt)
        children = killed.workers()
        killed.stop(signal.SIGKILL)
        until(lambda: not any(map(is_alive, children)))  # noqa: B023  called now
        server = start(data, *WORKERS)
        server.wait_until_ready()
        assert server.stop() == 0


def test_limits_over_workers(start: "Start", tmp_path: Path) -> None:
    """A limit on clients is one limit, whichever workers their connections reach."""
    write_settings(tmp_path / "data", "workers = 2\n[limits]\naddress = '1/h burst 10'\n")
    server = start(tmp_path / "data")
    server.wait_until_ready()
    statuses = [server.request("POST", "/api/v2/log/entries", b"{}")[0] for _ in range(30)]
    assert statuses == [400] * 10 + [429] * 20
    assert server.stop() == 0


def test_store_is_away_at_start(start: "Start", tmp_path: Path) -> None:
    """A store that does not answer ends the start with the status of what time may mend."""
    database = "postgresql://me:hunter2@127.0.0.1:1/x?connect_timeout=2"
    for options in (WORKERS, ()):
        server = start(tmp_path / "data", *options, "--database", database)
        assert "STORAGE_UNAVAILABLE" in server.failure()
        assert server.process.returncode == 3
        assert "hunter2" not in server.failure()


def test_balance(start: "Start", tmp_path: Path) -> None:
    """Connections are spread over all workers."""
    server = start(tmp_path / "data", *WORKERS)
    url = server.wait_until_ready()
    netloc = urlsplit(url)
    address = (netloc.hostname or "", netloc.port or 0)
    connections = [socket.create_connection(address) for _ in range(64)]

    def shares() -> list[int]:
        return [sum("socket:" in each for each in open_files(pid)) for pid in server.workers()]

    until(lambda: sum(shares()) >= 64)
    assert min(shares()) > 12
    for connection in connections:
        connection.close()
    assert server.stop() == 0


def open_files(pid: int) -> list[str]:
    """Give what the descriptors of a process are."""
    return [str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()]


def test_grpc_over_workers(start: "Start", tmp_path: Path) -> None:
    """Workers share the port of gRPC, and keep it from others."""
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    (port,) = free_ports(1)
    text = f"workers = 2\n[grpc]\nlisten = '127.0.0.1:{port}'\n"
    write_settings(tmp_path / "data", text)
    server = start(tmp_path / "data")
    server.wait_until_ready()
    for _ in range(8):
        with grpc.insecure_channel(
            f"127.0.0.1:{port}", (("grpc.use_local_subchannel_pool", 1),)
        ) as channel:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            assert answer.status == health_pb2.HealthCheckResponse.SERVING

    write_settings(tmp_path / "other", text)
    other = start(tmp_path / "other")
    assert f"cannot listen on 127.0.0.1:{port}" in other.failure()
    assert other.process.returncode == 2
    assert server.stop() == 0


def test_parent_killed_while_a_worker_starts(start: "Start", tmp_path: Path) -> None:
    """A worker that becomes ready after its parent's end says so in one line, and ends."""
    server = start(tmp_path / "data", *WORKERS)
    url = server.wait_until_ready()
    first = server.workers()
    os.kill(first[0], signal.SIGKILL)
    until(lambda: set(server.workers()) - set(first))
    workers = server.workers()
    server.stop(signal.SIGKILL)
    check_gone(workers, url)
    said = server.failure()
    assert "Traceback" not in said
    assert said.count("the parent process is gone: this worker ends") == 2
