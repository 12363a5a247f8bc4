"""Fixtures of the real servers; `tests/conftest.py` makes them known to every test.

- `new_postgres()` gives a postgresql: URI with a schema that nobody has used
- `new_s3()` gives an s3: URI with a prefix that nobody has used; `S3_ENVIRON` has its credentials
- `new_token()` gives a PKCS#11 token that nobody has used, in this process
- `own_hsm` gives one in a process of its own, `own_kms` an AWS KMS
- `own_postgres`, `own_s3` give a server of the test's own, to be stopped, killed and restarted

The first two share one server each among all workers of a test run (`keeper`), started when the
first test asks. Where a server cannot be started the test is skipped, with the reason.
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers import hsm, kms, postgres, s3
from tests.servers.hsm import HsmServer, Token
from tests.servers.keeper import join
from tests.servers.kms import KmsServer
from tests.servers.postgres import PostgresServer, postgres_uri
from tests.servers.s3 import S3Server, s3_uri

S3_ENVIRON = s3.ENVIRON


@pytest.fixture(scope="session")
def shared_servers(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Give the folder by which the workers of one test run find their servers."""
    folder = tmp_path_factory.getbasetemp()
    return (folder if worker_id == "master" else folder.parent) / "servers"


@pytest.fixture(scope="session")
def new_postgres(shared_servers: Path) -> Iterator[Callable[[], str]]:
    """Give a maker of URIs of empty databases on the shared server."""
    _skip(postgres.why_not())
    membership = join("postgres", shared_servers)
    yield lambda: postgres_uri(membership.about["port"])
    membership.leave()


@pytest.fixture(scope="session")
def new_s3(shared_servers: Path) -> Iterator[Callable[[], str]]:
    """Give a maker of URIs of empty object stores on the shared server."""
    _skip(s3.why_not())
    membership = join("s3", shared_servers)
    yield lambda: s3_uri(membership.about["endpoint"])
    membership.leave()


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """Give a server that the test may do anything to."""
    _skip(postgres.why_not())
    with PostgresServer() as server:
        yield server


@pytest.fixture
def own_s3() -> Iterator[S3Server]:
    """Give a server that the test may do anything to."""
    _skip(s3.why_not())
    with S3Server() as server:
        yield server


@pytest.fixture(scope="session")
def softhsm_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give the folder of the tokens of this process: SoftHSM reads its place when it begins."""
    _skip(hsm.why_not())
    folder = tmp_path_factory.mktemp("softhsm")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(hsm.configuration(folder)))
        yield folder


@pytest.fixture
def new_token(softhsm_folder: Path) -> Callable[[], Token]:
    """Give a maker of tokens in this process."""
    return lambda: hsm.make_token(softhsm_folder)


@pytest.fixture(scope="session")
def hsm_socket() -> Iterator[Path]:
    """Give the socket of the tokens of this process, in a folder whose name is short enough."""
    with tempfile.TemporaryDirectory(prefix="touchplate-hsm-") as folder:
        yield Path(folder) / "s"


@pytest.fixture
def own_hsm(
    tmp_path: Path, hsm_socket: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[HsmServer]:
    """Give a token in a process that the test may do anything to."""
    _skip(hsm.why_no_server())
    folder = tmp_path / "hsm"
    folder.mkdir()
    with HsmServer(folder, hsm_socket) as server:
        monkeypatch.setenv("P11_KIT_SERVER_ADDRESS", server.address)
        yield server


@pytest.fixture(scope="session")
def shared_kms() -> Iterator[KmsServer]:
    """Give an AWS KMS whose keys may be made, and not be harmed."""
    _skip(kms.why_not())
    with KmsServer() as server:
        yield server


@pytest.fixture
def own_kms() -> Iterator[KmsServer]:
    """Give an AWS KMS that the test may do anything to."""
    _skip(kms.why_not())
    with KmsServer() as server:
        yield server


def _skip(reason: str | None) -> None:
    if reason is not None:
        pytest.skip(reason)
