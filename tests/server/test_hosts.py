"""Two hosts of one instance on PostgreSQL and an S3 store: both serve, and write, the same logs."""

import os
import signal
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.server.conftest import until
from tests.server.test_ownership import copy_host
from tests.servers.fixtures import S3_ENVIRON
from tests.servers.postgres import PostgresServer
from tests.servers.s3 import S3Server
from touchplate.server.data import DataFolder
from touchplate.server.opening import choose_origin, open_deployment
from touchplate.server.settings import ServeSettings, StorageSettings

if TYPE_CHECKING:
    from tests.server.conftest import Load, Server, Start

pytestmark = pytest.mark.slow

URL = "https://sign.example.org"


def options(database: str, objects: str) -> tuple[str, ...]:
    """Give the options of every host."""
    return ("--url", URL, "--database", database, "--objects", objects)


def check_promises(data: Path, storage: StorageSettings, *loads: "Load") -> int:
    """Prove each answered entry and checkpoint from the stores; give the log's size."""
    with DataFolder.serve(data) as folder:
        origin, follows = choose_origin(folder.instance, None, ("127.0.0.1", 1))
        deployment = open_deployment(
            folder,
            origin,
            follows=follows,
            settings=ServeSettings(data, storage=storage),
            now=lambda: datetime.now(UTC),
            environ=S3_ENVIRON,
        )
        try:
            for answered in (each for load in loads for each in load.answered):
                entry = deployment.tlog.entry(answered.index)
                assert entry is not None
                assert entry.record[2:] == answered.body
                assert deployment.tlog.root_at(answered.size) == answered.root
            return deployment.tlog.check().size
        finally:
            deployment.close()


def test_two_hosts(
    start: "Start",
    load: "type[Load]",
    new_postgres: Callable[[], str],
    new_s3: Callable[[], str],
    tmp_path: Path,
) -> None:
    """Both write at once, with two workers each; one that is killed costs the other nothing."""
    storage = StorageSettings(new_postgres(), new_s3())
    assert storage.database is not None
    assert storage.objects is not None
    given = (*options(storage.database, storage.objects), "--workers", "2")
    one, two = tmp_path / "one", tmp_path / "two"
    first = start(one, *given, environ=S3_ENVIRON)
    first.wait_until_listening()
    copy_host(one, two)
    second = start(two, *given, environ=S3_ENVIRON)
    second.wait_until_listening()

    loads = [load(server, 4, again=True) for server in (first, second)]
    for each in loads:
        until(lambda: len(each.answered) > 100)  # noqa: B023  called now
    os.kill(first.workers()[0], signal.SIGKILL)
    enough = len(loads[0].answered) + 50
    until(lambda: len(loads[0].answered) > enough)
    loads[0]._again = False
    workers = first.workers()
    first.stop(signal.SIGKILL)
    loads[0].join()
    enough = len(loads[1].answered) + 100
    until(lambda: len(loads[1].answered) > enough)
    loads[1].stop()
    assert [each.refused for each in loads] == [[], []]
    assert second.get("/readyz")[0] == 200
    assert second.stop() == 0

    indexes = [answered.index for each in loads for answered in each.answered]
    assert len(set(indexes)) == len(indexes)
    until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in workers))
    assert check_promises(one, storage, *loads) >= len(indexes)
    for server in (first, second):
        assert "Traceback" not in server.failure()
        assert storage.database not in server.failure()


def test_two_first_starts(
    start: "Start", new_postgres: Callable[[], str], new_s3: Callable[[], str], tmp_path: Path
) -> None:
    """Of hosts that make a first start at the same time one wins; the others say what to do."""
    given = options(new_postgres(), new_s3())
    servers = [start(tmp_path / str(n), *given, environ=S3_ENVIRON) for n in range(3)]
    outcomes: dict[Server, str] = {}

    def wait(server: "Server") -> None:
        assert server.process.stdout is not None
        outcomes[server] = server.process.stdout.readline()

    threads = [threading.Thread(target=wait, args=(server,)) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum("serves at" in line for line in outcomes.values()) == 1
    for server, line in outcomes.items():
        if line:
            assert server.stop() == 0
        else:
            assert "belongs to another instance" in server.failure()
            assert server.process.returncode == 2


@pytest.mark.parametrize("failing", ["database", "objects"])
def test_storage_away(
    start: "Start",
    load: "type[Load]",
    own_postgres: PostgresServer,
    own_s3: S3Server,
    tmp_path: Path,
    failing: str,
) -> None:
    """While storage is away all workers answer 503 and stay alive; then they go on by themselves.

    Only a batch that fills a tile needs the object store, so without it the log goes on for a
    while, and what reads from it fails.
    """
    storage = StorageSettings(own_postgres.uri(), own_s3.uri())
    assert storage.database is not None
    assert storage.objects is not None
    given = (*options(storage.database, storage.objects), "--workers", "2")
    server = start(tmp_path / "data", *given, environ=S3_ENVIRON)
    server.wait_until_listening()
    workers = server.workers()
    running = load(server, 8)
    until(lambda: len(running.answered) > 100)
    away = own_postgres if failing == "database" else own_s3
    away.end()
    until(lambda: server.get("/readyz")[0] == 503)
    assert server.get("/healthz")[0] == 200
    if failing == "database":
        until(lambda: len(running.refused) > 10)
    away.begin()
    until(lambda: server.get("/readyz")[0] == 200)
    enough = len(running.answered) + 600
    until(lambda: len(running.answered) > enough)
    running.stop()
    assert {status for status, _ in running.refused} <= {503}
    assert running.unexplained == 0
    assert server.workers() == workers
    assert server.stop() == 0
    assert check_promises(tmp_path / "data", storage, running) >= len(running.answered)
