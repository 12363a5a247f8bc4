"""A PostgreSQL dump from the past: the hosts refuse it, and take the newest."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.server.test_checking import submission
from tests.servers.postgres import PASSWORD, PostgresServer, _programs
from touchplate.errors import SettingsError
from touchplate.server.build import Deployment
from touchplate.server.data import DataFolder
from touchplate.server.opening import open_deployment
from touchplate.server.settings import ServeSettings, StorageSettings, parse_origin

pytestmark = pytest.mark.slow


def open_host(folder: DataFolder, storage: StorageSettings) -> Deployment:
    """Open the instance over that storage."""
    return open_deployment(
        *(folder, parse_origin("https://sign.example.org")),
        follows=False,
        settings=ServeSettings(folder.path, storage=storage),
        now=lambda: datetime.now(UTC),
    )


def fill(deployment: Deployment, start: int, stop: int) -> None:
    """Add entries."""
    futures = [deployment.tlog.append(submission(b"%d" % n)) for n in range(start, stop)]
    for future in futures:
        future.result(60)


def test_stale_dump(own_postgres: PostgresServer, tmp_path: Path) -> None:
    """`pg_dump`, more entries, the dump put back: refused before anything is written to it.

    The dump that was taken last, with nothing after it, is taken; and its objects may be newer.
    """
    storage = StorageSettings(own_postgres.uri(), f"{tmp_path.as_uri()}/objects")
    programs = _programs()
    assert programs is not None
    assert storage.database is not None
    parts = urlsplit(storage.database)
    (schema,) = parse_qs(parts.query)["schema"]
    about = (*("-h", "127.0.0.1", "-p", str(parts.port), "-U", str(parts.username)),)

    def program(name: str, *words: str, text: str | None = None) -> str:
        done = subprocess.run(
            (str(programs / name), *about, *words),
            input=text,
            capture_output=True,
            text=True,
            check=False,
            env={"PGPASSWORD": PASSWORD},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def put_back(dump: str) -> None:
        program("psql", "-q", "-c", f"DROP SCHEMA {schema} CASCADE", "postgres")
        program("psql", "-q", "-v", "ON_ERROR_STOP=1", "postgres", text=dump)

    with DataFolder.serve(tmp_path / "data") as folder:
        deployment = open_host(folder, storage)
        fill(deployment, 0, 300)
        old = program("pg_dump", "-n", schema, "postgres")
        fill(deployment, 300, 400)
        deployment.close()
        new = program("pg_dump", "-n", schema, "postgres")

        put_back(old)
        with pytest.raises(SettingsError) as caught:
            open_host(folder, storage)
        assert caught.value.code == "STATE_BEHIND"
        put_back(new)
        deployment = open_host(folder, storage)
        assert deployment.tlog.check().size == 400
        fill(deployment, 400, 410)
        assert deployment.tlog.check().size == 410
        deployment.close()
