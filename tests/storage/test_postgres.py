import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import urlsplit

import asyncpg  # type: ignore[import-untyped]  # it ships no types
import pytest

from tests.servers import postgres
from tests.servers.postgres import PASSWORD, PostgresServer, postgres_uri
from tests.servers.proxy import Proxy
from touchplate.errors import SettingsError, TouchplateError, UnavailableError
from touchplate.storage.connections import Address, Link
from touchplate.storage.database import LogState, Segment
from touchplate.storage.postgres import PostgresLog

pytestmark = pytest.mark.slow

EMPTY = LogState(0, bytes(32), 1, "empty", 0)
ONE = replace(EMPTY, size=1)


@pytest.fixture
def uri(new_postgres: Callable[[], str]) -> str:
    """Give the URI of a database with an empty log."""
    uri = new_postgres()
    begin(uri)
    return uri


def begin(uri: str) -> None:
    """Make an empty log."""
    log = PostgresLog(uri, "log")
    with log.transaction() as transaction:
        transaction.store(None, EMPTY)
    log.close()


@pytest.fixture
def sql(uri: str) -> Iterator[Callable[..., list[tuple[object, ...]]]]:
    """Give a way to look into the database from outside."""
    link = Link(Address.parse(uri))
    yield lambda *query: [tuple(row) for row in link.fetch(*query)]
    link.close()


def grow(log: PostgresLog, to: int = 1) -> None:
    """Put a larger state in the place of the one that is there."""
    with log.transaction() as transaction:
        state = transaction.state()
        assert state is not None
        transaction.store(state, replace(state, size=to))


def size_of(log: PostgresLog) -> int:
    """Give the size of the stored state."""
    state = log.state()
    assert state is not None
    return state.size


def test_opened_again(uri: str) -> None:
    """What was committed is there for the next process."""
    log = PostgresLog(uri, "log")
    assert log.state() == EMPTY
    log.close()


def test_several_logs(uri: str) -> None:
    """Logs in one database have nothing in common."""
    one, other = PostgresLog(uri, "log"), PostgresLog(uri, "other-log")
    with one.transaction() as transaction, other.transaction() as transaction_of_other:
        assert transaction_of_other.state() is None
        transaction.claim([bytes(32)], 0)
        segment = Segment(0, b"r", bytes(32), bytes(40))
        transaction.store(EMPTY, ONE, [segment], {(1, 0): bytes(32)})
        transaction_of_other.store(None, EMPTY)

    assert (one.state(), other.state()) == (ONE, EMPTY)
    assert (one.find(bytes(32)), other.find(bytes(32))) == (0, None)
    assert other.segments(0, 256) == []
    assert other.tile(1, 0) is None
    with other.transaction() as transaction:
        transaction.forget(256)
    assert one.segments(0, 256) == [segment]
    one.close()
    other.close()


def test_opened_at_once(new_postgres: Callable[[], str]) -> None:
    """Of many that find no tables one makes them, and all go on."""
    uri = new_postgres()
    with ThreadPoolExecutor(12) as pool:
        logs = list(pool.map(lambda number: PostgresLog(uri, f"log-{number % 3}"), range(12)))

    for log in logs[:3]:
        with log.transaction() as transaction:
            transaction.store(None, EMPTY)
    assert [log.state() for log in logs] == [EMPTY] * 12
    for log in logs:
        log.close()


def test_newer_tables(uri: str, sql: Callable[..., object]) -> None:
    """Tables that a newer version made are left alone."""
    sql("INSERT INTO versions (version) VALUES (99)")

    with pytest.raises(SettingsError) as refused:
        PostgresLog(uri, "log")
    assert (refused.value.code, refused.value.found) == ("SETTINGS_INVALID", "99")


@pytest.mark.parametrize(("default", "ours"), [("off", "on"), ("remote_apply", "remote_apply")])
def test_durable(uri: str, default: str, ours: str) -> None:
    """A commit waits for the disk, whatever the default; what is stricter stays."""
    link = Link(Address.parse(f"{uri}&synchronous_commit={default}"))
    assert link.fetch("SHOW synchronous_commit")[0][0] == ours
    link.close()


@pytest.mark.skipif(postgres.why_not() is not None, reason=str(postgres.why_not()))
def test_not_durable() -> None:
    """A server that does not sync is refused."""
    with PostgresServer(fsync="off") as server, pytest.raises(SettingsError) as refused:
        PostgresLog(server.uri(), "log")
    assert "fsync" in str(refused.value)


def test_two_writers(uri: str) -> None:
    """Two hosts see each other's commits, and one that lost the race is told."""
    one, other = PostgresLog(uri, "log"), PostgresLog(uri, "log")
    grow(one, 1)
    with pytest.raises(UnavailableError), other.transaction() as transaction:
        transaction.store(EMPTY, replace(EMPTY, size=9))
    grow(other, 2)

    assert (size_of(one), size_of(other)) == (2, 2)
    one.close()
    other.close()


def test_locked(uri: str) -> None:
    """Who waits too long for another's transaction is told so, and may try again."""
    one, other = PostgresLog(uri, "log"), PostgresLog(uri, "log", max_wait_ms=1000)
    with one.transaction():
        with pytest.raises(UnavailableError) as refused, other.transaction():
            pass
        assert refused.value.code == "STORAGE_UNAVAILABLE"
    grow(other)
    one.close()
    other.close()


def test_stopped(uri: str) -> None:
    """A host that stands still in a transaction loses it, and its lock."""
    one, other = PostgresLog(uri, "log", max_wait_ms=2000), PostgresLog(uri, "log")

    def stand_still() -> None:
        with one.transaction() as transaction:
            transaction.store(EMPTY, replace(EMPTY, size=9))
            grow(other, 1)  # gets the lock when the first one loses it

    with pytest.raises(UnavailableError):
        stand_still()
    assert size_of(one) == 1
    grow(one, 2)
    assert size_of(other) == 2
    one.close()
    other.close()


def test_killed_backend(uri: str, sql: Callable[..., list[tuple[object, ...]]]) -> None:
    """A transaction whose connection was ended has not happened; the next one may begin."""
    log = PostgresLog(uri, "log")

    def lose() -> None:
        with log.transaction() as transaction:
            transaction.claim([bytes(32)], 0)
            ended = sql(
                "SELECT pg_terminate_backend(pid) FROM pg_locks"
                " WHERE relation = 'identities_1'::regclass AND pid <> pg_backend_pid()"
            )
            assert ended
            transaction.store(EMPTY, ONE)

    with pytest.raises(UnavailableError) as failed:
        lose()
    assert failed.value.code == "STORAGE_UNAVAILABLE"
    assert log.find(bytes(32)) is None
    grow(log)
    assert size_of(log) == 1
    log.close()


@pytest.mark.parametrize("event_loop", [False, True], ids=["thread", "event loop"])
def test_restarted_server(own_postgres: PostgresServer, event_loop: bool) -> None:
    """After a restart of the server the next call succeeds, also in the thread of an event loop."""
    uri = own_postgres.uri()
    begin(uri)
    log = PostgresLog(uri, "log")

    async def work() -> None:
        for size in (1, 2, 3):
            grow(log, size)
            assert size_of(log) == size
            own_postgres.restart()
            assert size_of(log) == size

    asyncio.run(work()) if event_loop else drive(work())
    log.close()


def drive(work: "object") -> None:
    """Run a coroutine that waits for nothing, without an event loop."""
    assert asyncio.iscoroutine(work)
    with pytest.raises(StopIteration):
        work.send(None)


def test_server_away(own_postgres: PostgresServer) -> None:
    """While the server is away every call fails as it should, and afterwards none does."""
    uri = own_postgres.uri()
    begin(uri)
    log = PostgresLog(uri, "log")
    own_postgres.end()
    calls: tuple[Callable[[], object], ...] = (
        log.state,
        lambda: log.segments(0, 256),
        lambda: log.tile(1, 0),
        lambda: log.find(bytes(32)),
        log.published,
        lambda: grow(log),
        lambda: PostgresLog(uri, "log"),
    )
    for call in calls:
        with pytest.raises(UnavailableError) as failed:
            call()
        assert failed.value.code == "STORAGE_UNAVAILABLE"
        check_no_secret(failed.value)
    own_postgres.begin()

    grow(log)
    assert size_of(log) == 1
    log.close()


def check_no_secret(error: TouchplateError) -> None:
    """Hold an error, and whatever caused it, to say nothing of the password."""
    each: BaseException | None = error
    while each is not None:
        assert PASSWORD not in f"{each!r} {each}"
        assert PASSWORD.replace(" ", "%20") not in f"{each!r} {each}"
        each = each.__cause__


def test_cut_commit(new_postgres: Callable[[], str]) -> None:
    """A commit whose answer was lost raises, and has happened."""
    direct = new_postgres()
    begin(direct)
    port, schema = urlsplit(direct).port, direct.rpartition("schema=")[2]
    assert port is not None
    with Proxy(port) as proxy:
        log = PostgresLog(postgres_uri(proxy.port, schema), "log")
        proxy.cut_answer_to(b"COMMIT")
        with pytest.raises(UnavailableError) as failed:
            grow(log)
        assert (failed.value.code, proxy.hits) == ("STORAGE_UNAVAILABLE", 1)
        assert size_of(log) == 1
        grow(log, 2)
        assert size_of(log) == 2
        log.close()


def test_several_hosts(uri: str) -> None:
    """Of several hosts in the URI one that answers is used."""
    log = PostgresLog(uri.replace("@127.0.0.1:", "@127.0.0.1:1,127.0.0.1:"), "log")
    grow(log)
    assert size_of(log) == 1
    log.close()


def test_wrong_password(new_postgres: Callable[[], str]) -> None:
    """A password that is refused is not told to anyone."""
    uri = new_postgres().replace("%20only", "%20wrong-hunter2")
    with pytest.raises(UnavailableError) as refused:
        PostgresLog(uri, "log")
    assert "hunter2" not in f"{refused.value} {refused.value.__cause__!r}"
    assert "hunter2" not in repr(Address.parse(uri))


def test_by_index(uri: str, sql: Callable[..., list[tuple[object, ...]]]) -> None:
    """An identity is looked up by its index, also by a plan made while the table was empty."""
    sql("VACUUM ANALYZE identities_1")
    plan = sql("EXPLAIN SELECT entry FROM identities_1 WHERE identity = '\\x00'::bytea")

    assert "identities_1_identity_idx" in str(plan)
    assert "Seq Scan" not in str(plan)


def test_read_only(own_postgres: PostgresServer) -> None:
    """A server that takes no writes, such as a standby, is no server for a log."""
    uri = own_postgres.uri()
    begin(uri)
    with pytest.raises(UnavailableError):
        PostgresLog(f"{uri}&default_transaction_read_only=on", "log")


def test_no_driver_types() -> None:
    """What is caught are asyncpg's roots, so that none of its errors leaves the room."""
    for name in asyncpg.exceptions.__all__:
        each = getattr(asyncpg, name)
        if issubclass(each, Exception) and not issubclass(each, Warning):
            assert issubclass(
                each, asyncpg.PostgresError | asyncpg.InterfaceError | asyncpg.InternalClientError
            ), name
