"""Connections to PostgreSQL for plain threads, through asyncpg.

A `Link` is one connection with an event loop of its own, which runs in whichever thread uses the
link: there is no other thread to hand work to, and so none to wait for. `Links` are several to the
same database, for those who read. `migrations` makes the tables; `postgres` is the log on them.

    postgresql://user@host,host2:5432/database?schema=touchplate&sslmode=verify-full

Everything but `schema` is asyncpg's: several hosts, of which the one that takes writes is used,
`sslmode` and `sslrootcert`, and the variables PGPASSWORD and PGPASSFILE for what is not in the URI.
"""

import asyncio
import re
import ssl
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock, Semaphore
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

import asyncpg  # type: ignore[import-untyped]  # it ships no types

from touchplate.errors import SettingsError, UnavailableError

Answer = TypeVar("Answer")
Rows = Sequence[Any]

DEFAULT_SCHEMA: Final = "touchplate"
_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,40}")
_MAX_TEXT: Final = 300  # characters of the server's own words in a message
_MAX_READERS: Final = 4  # connections of one `Links`

_CONNECT_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 20.0  # above the server's own limits, for one that has gone silent

_MAX_WAIT_MS: Final = 10_000  # for another transaction's lock

_SESSION: Final = {
    "application_name": "touchplate",
    # A host that lost its power must not hold the log's lock for the hours that TCP gives it; nor
    # one that is stopped in the middle of a transaction.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "15000",
    # Every query of ours is a look-up by an index. A table that was analysed while it was empty
    # must not have it read whole once it is large.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
    "default_transaction_isolation": "read committed",
}

# A commit that was answered is on disk, whatever the server's default; what is stricter stays.
_DURABLE: Final = """
SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit')
    WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false), current_setting('fsync')
"""

LOST: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InterfaceError,
    ConnectionError,
)
_FILES: Final = frozenset(("sslrootcert", "sslcert", "sslkey", "sslcrl"))  # options of the URI
_FAILURES: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)


@dataclass(frozen=True, slots=True)
class Address:
    """Which database, and the schema in it that holds our tables."""

    dsn: str = field(repr=False)  # may hold a password
    schema: str
    shown: str  # for messages: no user, no password

    @classmethod
    def parse(cls, uri: str) -> "Address":
        """Take the URI apart.

        Raises SettingsError SETTINGS_INVALID, which does not repeat it, and FILE_UNREADABLE.
        """
        parts = urlsplit(uri)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        schema = options.pop("schema", DEFAULT_SCHEMA)
        database = unquote(parts.path).strip("/")
        hosts = parts.netloc.rpartition("@")[2]
        if parts.scheme != "postgresql" or not hosts or not database:
            raise SettingsError(
                "SETTINGS_INVALID",
                "this is no URI of a PostgreSQL database",
                expected="postgresql://user@host/database",
                found=f"{parts.scheme}://{hosts}/{database}",
            )
        if not _SCHEMA.fullmatch(schema):
            raise SettingsError(
                "SETTINGS_INVALID",
                "the schema of a PostgreSQL URI has up to 41 lower-case letters, digits and '_'",
                found=schema,
            )
        for name in _FILES & options.keys():
            try:
                Path(options[name]).read_bytes()
            except OSError as error:
                raise SettingsError(
                    "FILE_UNREADABLE",
                    f"{name} of a PostgreSQL URI: {error.filename}: {error.strerror}",
                ) from error
        dsn = urlunsplit((*parts[:3], urlencode(options), ""))
        return cls(dsn, schema, f"postgresql://{hosts}/{database}?schema={schema}")


class Link:
    """One connection, made when it is first used. One thread at a time uses it, any thread.

    `max_wait_ms` is how long it waits for a lock, and may stand still within a transaction.
    """

    def __init__(self, address: Address, *, max_wait_ms: int = _MAX_WAIT_MS) -> None:
        self._address = address
        self._max_wait_ms = max_wait_ms
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connection: Any = None

    @property
    def is_open(self) -> bool:
        """Say whether it is connected, as far as we know."""
        return self._connection is not None

    def fetch(self, sql: str, *values: object, seconds: float = _ANSWER_SECONDS) -> Rows:
        """Run one prepared statement and give its rows."""
        rows: Rows = self._run(lambda connection: connection.fetch(sql, *values, timeout=seconds))
        return rows

    def execute(self, sql: str, *, seconds: float = _ANSWER_SECONDS) -> None:
        """Run statements without values in one round trip."""
        self._run(lambda connection: connection.execute(sql, timeout=seconds))

    def copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Append rows to a table of our schema."""
        self._run(
            lambda connection: connection.copy_records_to_table(
                table, columns=columns, records=rows
            )
        )

    def close(self) -> None:
        """Cut the connection, whatever it was doing; what was not committed has not happened."""
        connection, self._connection = self._connection, None
        loop, self._loop = self._loop, None
        if connection is not None:
            connection.terminate()
        if loop is not None:
            with suppress(*_FAILURES):
                _run_in(loop, _settle())
            loop.close()

    def _run(self, call: Any) -> Any:  # noqa: ANN401 - asyncpg has no types
        try:
            if self._connection is None:
                self._loop = self._loop or asyncio.new_event_loop()
                self._connection = _run_in(self._loop, _connect(self._address, self._max_wait_ms))
            assert self._loop is not None  # noqa: S101 - made with the connection
            return _run_in(self._loop, call(self._connection))
        except asyncpg.PostgresError as error:
            if isinstance(error, LOST):
                self.close()
            raise
        except BaseException:
            # Its state is unknown.
            self.close()
            raise


class Links:
    """Connections to one database for threads that read, made as they are needed."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._free: list[Link] = []
        self._lock = Lock()  # of the list
        self._room = Semaphore(_MAX_READERS)

    def fetch(self, sql: str, *values: object) -> Rows:
        """Run one prepared statement that may be run twice. Raises STORAGE_UNAVAILABLE.

        A connection that was lost since it was last used is replaced once.
        """
        with self._room, translated(self._address):
            link = self._take()
            try:
                was_open = link.is_open
                try:
                    return link.fetch(sql, *values)
                except LOST:
                    if not was_open:
                        raise
                    self.close()  # what cut this one has most likely cut the others
                    return link.fetch(sql, *values)
            finally:
                with self._lock:
                    self._free.append(link)

    def close(self) -> None:
        """Close those that nobody uses now."""
        with self._lock:
            free, self._free = self._free, []
        for link in free:
            link.close()

    def _take(self) -> Link:
        with self._lock:
            return self._free.pop() if self._free else Link(self._address)


@contextmanager
def translated(address: Address) -> Iterator[None]:
    """Turn what asyncpg raises into errors of ours."""
    try:
        yield
    except asyncpg.ClientConfigurationError as error:
        raise SettingsError(
            "SETTINGS_INVALID", f"{address.shown} cannot be opened: {_words(error)}"
        ) from None
    except _FAILURES as error:
        raise UnavailableError(
            "STORAGE_UNAVAILABLE", f"the database {address.shown} failed: {_words(error)}"
        ) from error


def _words(error: BaseException) -> str:
    """Give the beginning of the server's own words."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:_MAX_TEXT]


def _run_in(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Answer]) -> Answer:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return loop.run_until_complete(work)
    # This thread runs an event loop, which can hold no other one: it waits for a thread instead.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(loop.run_until_complete, work).result()


async def _connect(address: Address, max_wait_ms: int) -> Any:  # noqa: ANN401 - asyncpg has no types
    try:
        connection = await asyncpg.connect(
            address.dsn,
            timeout=_CONNECT_SECONDS,
            command_timeout=_ANSWER_SECONDS,  # of what names no other
            server_settings={
                **_SESSION,
                "search_path": address.schema,
                "lock_timeout": str(max_wait_ms),
                "idle_in_transaction_session_timeout": str(max_wait_ms),
                "statement_timeout": str(max_wait_ms + max_wait_ms // 2),
            },
            target_session_attrs="read-write",
        )
    except ssl.SSLError:
        raise  # a certificate that does not verify is a ValueError too, and not the URI's fault
    except (ValueError, TypeError) as error:
        raise asyncpg.ClientConfigurationError("an option of the URI is not valid") from error
    fsync = (await connection.fetchrow(_DURABLE))[1]
    if fsync != "on":
        await connection.close()
        raise SettingsError(
            "SETTINGS_INVALID",
            f"{address.shown} runs with fsync off: it would lose what it has confirmed",
            expected="fsync = on",
            found=f"fsync = {fsync}",
        )
    return connection


async def _settle() -> None:
    """Let the loop close what was cut."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)
