"""A log on PostgreSQL and S3 while these fail, are restarted, or are cut off."""

import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Event, Thread
from typing import Self
from urllib.parse import urlsplit

import pytest

from tests.servers.fixtures import S3_ENVIRON
from tests.servers.postgres import PostgresServer, postgres_uri
from tests.servers.proxy import UNAVAILABLE, Proxy
from tests.servers.s3 import BUCKET, s3_uri
from tests.tilelog.places import Place, fill, submission
from touchplate.errors import UnavailableError
from touchplate.merkle.tile import TILE_WIDTH
from touchplate.storage.postgres import PostgresLog
from touchplate.storage.s3 import S3Objects
from touchplate.tilelog.entry import Receipt
from touchplate.tilelog.log import TileLog

pytestmark = pytest.mark.slow

_PATIENCE_SECONDS = 60.0
_CODES = {"STORAGE_UNAVAILABLE", "LOG_BUSY"}  # both are 503 with Retry-After


@pytest.fixture
def database(new_postgres: Callable[[], str]) -> Iterator[tuple[Proxy, str]]:
    """Give a proxy before PostgreSQL, and the URI of an empty database behind it."""
    uri = new_postgres()
    port = urlsplit(uri).port
    assert port is not None
    with Proxy(port) as proxy:
        yield proxy, postgres_uri(proxy.port, uri.rpartition("schema=")[2])


@pytest.fixture
def objects(new_s3: Callable[[], str]) -> Iterator[tuple[Proxy, str]]:
    """Give a proxy before S3, and the URI of an empty store behind it."""
    endpoint = new_s3().partition("endpoint=")[2].partition("&")[0]
    port = urlsplit(endpoint).port
    assert port is not None
    with Proxy(port) as proxy:
        yield proxy, s3_uri(proxy.endpoint)


PlaceAt = Callable[[str, str], Place]


@pytest.fixture
def place_at() -> Iterator[PlaceAt]:
    """Give a maker of places with little patience for the object store.

    Ask for it last: what a test that failed left open ends before the servers and proxies do.
    """
    places: list[Place] = []

    def make(database: str, objects: str) -> Place:
        store = S3Objects(objects, S3_ENVIRON, max_wait=timedelta(seconds=4))
        places.append(Place(PostgresLog(database, "log"), store))
        return places[-1]

    yield make
    for place in places:
        place.end()


@dataclass
class Load:
    """A thread that appends one batch after the other, and keeps what came of each entry."""

    log: TileLog
    answered: dict[int, Receipt] = field(default_factory=dict)
    failed: set[int] = field(default_factory=set)
    _stop: Event = field(default_factory=Event)

    def __enter__(self) -> Self:
        self._thread = Thread(target=self._run, args=(self.log.checkpoint().size,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(_PATIENCE_SECONDS)
        assert not self._thread.is_alive()

    def wait_for(self, *, answers: int = 0, failures: int = 0) -> None:
        """Wait until so many more have been answered, or have failed."""
        answers += len(self.answered)
        failures += len(self.failed)
        self.wait_until(lambda: len(self.answered) >= answers and len(self.failed) >= failures)

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Wait until it holds, while entries are appended."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while not holds():
            assert time.monotonic() < end, f"{len(self.answered)} and {len(self.failed)} failed"
            assert self._thread.is_alive()
            time.sleep(0.01)

    def _run(self, first: int) -> None:
        while not self._stop.is_set():
            numbers = range(first, first + 20)
            first = numbers.stop
            flying = [(number, self._append(number)) for number in numbers]
            for number, future in flying:
                self._note(number, future)
            time.sleep(0.005)

    def _append(self, number: int) -> Future[Receipt]:
        try:
            return self.log.append(submission(number))
        except UnavailableError as error:
            refused: Future[Receipt] = Future()
            refused.set_exception(error)
            return refused

    def _note(self, number: int, future: Future[Receipt]) -> None:
        error = future.exception(_PATIENCE_SECONDS)
        if error is None:
            self.answered[number] = future.result()
        else:
            assert isinstance(error, UnavailableError)
            assert error.code in _CODES
            self.failed.add(number)


def check(place: Place, load: Load) -> None:
    """Prove the log whole and true to its answers; what failed can be appended now."""
    log = place.open()
    log.check()
    for number, receipt in load.answered.items():
        assert log.find(submission(number).identity) == receipt.index
    for receipt in list(load.answered.values())[::50]:
        log.check_extends(receipt.checkpoint.size, receipt.checkpoint.root)
    for number in sorted(load.failed)[:20]:
        again = log.append(submission(number)).result(_PATIENCE_SECONDS)
        assert log.find(submission(number).identity) == again.index
    place.close()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["shut down", "crashed"])
def test_database_restarted(
    own_postgres: PostgresServer,
    new_s3: Callable[[], str],
    how: signal.Signals,
    place_at: PlaceAt,
) -> None:
    """While PostgreSQL is away entries are refused; when it is back they are taken again."""
    place = place_at(own_postgres.uri(), new_s3())
    with Load(place.open()) as load:
        for _ in range(2):
            load.wait_for(answers=300)
            own_postgres.end(how)
            load.wait_for(failures=5)
            own_postgres.begin()
        load.wait_for(answers=300)

    check(place, load)


def test_commit_cut(
    database: tuple[Proxy, str], new_s3: Callable[[], str], place_at: PlaceAt
) -> None:
    """Who was not told of a commit gets an error, and the same index when he asks again."""
    proxy, uri = database
    place = place_at(uri, new_s3())
    log = place.open()
    fill(log, 10)
    proxy.cut_answer_to(b"COMMIT")
    failed = log.append(submission(10)).exception(_PATIENCE_SECONDS)
    assert isinstance(failed, UnavailableError)
    assert (failed.code, proxy.hits) == ("STORAGE_UNAVAILABLE", 1)

    again = log.append(submission(10)).result(_PATIENCE_SECONDS)
    assert (again.index, again.duplicate) == (10, True)
    assert [receipt.index for receipt in fill(log, 10)] == list(range(11, 21))
    log.check()
    place.close()


def test_connections_cut(
    database: tuple[Proxy, str], new_s3: Callable[[], str], place_at: PlaceAt
) -> None:
    """Connections that are cut at any moment cost a batch at most."""
    proxy, uri = database
    place = place_at(uri, new_s3())
    with Load(place.open()) as load:
        for _ in range(20):
            load.wait_for(answers=25)
            proxy.cut_all()

    assert len(load.failed) <= 20 * 20 * 2
    check(place, load)


def test_database_refuses(
    database: tuple[Proxy, str], new_s3: Callable[[], str], place_at: PlaceAt
) -> None:
    """A database that cannot be reached refuses entries, and takes them when it can."""
    proxy, uri = database
    place = place_at(uri, new_s3())
    with Load(place.open()) as load:
        load.wait_for(answers=50)
        proxy.refuse()
        load.wait_for(failures=50)
        proxy.heal()
        load.wait_for(answers=50)

    check(place, load)


@pytest.mark.parametrize("fault", ["503", "silence", "refusal"])
def test_objects_away(
    new_postgres: Callable[[], str],
    objects: tuple[Proxy, str],
    fault: str,
    place_at: PlaceAt,
) -> None:
    """While S3 fails entries are taken up to a bound, then refused; then S3 catches up."""
    proxy, uri = objects
    place = place_at(new_postgres(), uri)
    with Load(place.open(max_unsealed=1024)) as load:
        load.wait_for(answers=300)
        if fault == "503":
            proxy.answer(b"PUT ", UNAVAILABLE)
        elif fault == "silence":
            proxy.silence()
        else:
            proxy.refuse()
        load.wait_for(failures=20)
        assert len(load.answered) >= 1024
        proxy.heal()
        load.wait_for(answers=1000)

    check(place, load)
    assert proxy.hits or fault == "refusal"


def test_objects_answer_lost(
    new_postgres: Callable[[], str], objects: tuple[Proxy, str], place_at: PlaceAt
) -> None:
    """Tiles that were written without our hearing of it are found to be ours."""
    proxy, uri = objects
    place = place_at(new_postgres(), uri)
    to_tiles = f"PUT /{BUCKET}{urlsplit(uri).path}/log/tile/".encode()
    with Load(place.open()) as load:
        for _ in range(3):
            proxy.cut_answer_to(to_tiles)
            # Full bundles are written a second after they are full; how many entries that is
            # depends on the machine.
            load.wait_until(proxy.has_cut)
        load.wait_until(lambda: place.sealed >= TILE_WIDTH)

    assert proxy.hits == 3
    assert not load.failed
    check(place, load)
