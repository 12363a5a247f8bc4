"""PostgreSQL and S3 over TLS: who answers is held to the certificates that the URI names."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.servers import postgres, s3
from tests.servers.fixtures import S3_ENVIRON
from tests.servers.postgres import PostgresServer, postgres_uri
from tests.servers.s3 import S3Server
from tests.servers.tls import Authority
from tests.tilelog.places import Place, fill
from touchplate.errors import SettingsError, UnavailableError
from touchplate.storage.connections import Address, Link
from touchplate.storage.schemes import open_log, open_objects

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(postgres.why_not() is not None, reason=str(postgres.why_not())),
    pytest.mark.skipif(s3.why_not() is not None, reason=str(s3.why_not())),
]


@pytest.fixture(scope="module")
def authority() -> Authority:
    """Give who has certified the servers."""
    return Authority()


@pytest.fixture
def ca(authority: Authority, tmp_path: Path) -> Path:
    """Give the file of its certificate."""
    path = tmp_path / "ca.pem"
    path.write_bytes(authority.pem)
    return path


@pytest.fixture
def other_ca(tmp_path: Path) -> Path:
    """Give the file of another authority's certificate, which has the same name."""
    path = tmp_path / "other.pem"
    path.write_bytes(Authority().pem)
    return path


@pytest.fixture(scope="module")
def database(authority: Authority) -> Iterator[PostgresServer]:
    """Give a PostgreSQL."""
    with PostgresServer(authority.issue("127.0.0.1")) as server:
        yield server


@pytest.fixture(scope="module")
def objects(authority: Authority) -> Iterator[S3Server]:
    """Give an S3 server."""
    with S3Server(authority) as server:
        yield server


def verified(uri: str, ca: Path) -> str:
    """Give a database's URI that demands its certificate."""
    return f"{uri}&sslmode=verify-full&sslrootcert={quote(str(ca))}"


def test_log(database: PostgresServer, objects: S3Server, ca: Path) -> None:
    """A log rests in both, and no connection to the database is in the clear."""
    uri = verified(database.uri(), ca)
    store = open_objects(f"{objects.uri()}&ca={quote(str(ca))}", S3_ENVIRON)
    place = Place(open_log(uri, "log"), store)
    log = place.open()
    fill(log, 600)
    link = Link(Address.parse(uri))
    rows = link.fetch(
        "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
        " WHERE backend_type = 'client backend'"
    )
    link.close()
    place.close()

    assert [tuple(row) for row in rows] == [(True,)]
    assert store.get("log/tile/entries/001") is not None


def test_database_of_another_authority(database: PostgresServer, other_ca: Path) -> None:
    """A database that another authority has certified is not spoken to."""
    with pytest.raises(UnavailableError, match="certificate verify failed") as refused:
        open_log(verified(database.uri(), other_ca), "log")
    assert refused.value.code == "STORAGE_UNAVAILABLE"


def test_database_of_another_name(authority: Authority, ca: Path) -> None:
    """A certificate for another host is no proof, unless the URI asks for the authority only."""
    with PostgresServer(authority.issue("db.example.org")) as server:
        with pytest.raises(UnavailableError, match="IP address mismatch"):
            open_log(verified(server.uri(), ca), "log")

        log = open_log(verified(server.uri(), ca).replace("verify-full", "verify-ca"), "log")
        assert log.state() is None
        log.close()


@pytest.mark.parametrize("mode", ["require", "verify-full"])
def test_database_without_tls(own_postgres: PostgresServer, ca: Path, mode: str) -> None:
    """A database that does not speak TLS is refused where the URI asks for it."""
    with pytest.raises(UnavailableError) as refused:
        open_log(verified(own_postgres.uri(), ca).replace("verify-full", mode), "log")
    assert refused.value.code == "STORAGE_UNAVAILABLE"


def test_objects_of_another_authority(objects: S3Server, other_ca: Path) -> None:
    """An object store that another authority has certified is not spoken to."""
    for uri in (objects.uri(), f"{objects.uri()}&ca={quote(str(other_ca))}"):
        with pytest.raises(UnavailableError) as refused:
            open_objects(uri, S3_ENVIRON)
        assert refused.value.code == "STORAGE_UNAVAILABLE"


def test_objects_without_tls(objects: S3Server, ca: Path) -> None:
    """A URI that says http: is not answered by a server that speaks TLS only."""
    uri = f"{objects.uri()}&ca={quote(str(ca))}"
    open_objects(uri, S3_ENVIRON)

    with pytest.raises(UnavailableError):
        open_objects(uri.replace("https:", "http:"), S3_ENVIRON)


def test_file_of_certificates(tmp_path: Path) -> None:
    """A file of the database's certificates that cannot be read is the operator's to mend."""
    with pytest.raises(SettingsError, match=r"sslrootcert .*/missing: No such file") as refused:
        open_log(verified(postgres_uri(1), tmp_path / "missing"), "log")
    assert refused.value.code == "FILE_UNREADABLE"
