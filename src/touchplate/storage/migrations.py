"""The tables in PostgreSQL, and how older ones become those of this version.

A migration is never edited once it was released: what changes is a new one at the end.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from touchplate.errors import SettingsError
from touchplate.storage.connections import Address, Link

_MIGRATIONS: Final = (
    """
CREATE TABLE logs (
    log integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    size bigint,  -- with those below NULL before the first state
    root bytea,
    time_ms bigint,
    envelope text,
    sealed bigint,
    frozen boolean
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE TABLE published (
    log integer PRIMARY KEY REFERENCES logs,
    size bigint NOT NULL,
    root bytea NOT NULL,
    time_ms bigint NOT NULL,
    envelope text NOT NULL,
    frozen boolean NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- Hashes and signatures do not get smaller by compression: EXTERNAL.
CREATE TABLE segments (
    log integer NOT NULL,
    first bigint NOT NULL,
    records bytea NOT NULL,
    hashes bytea NOT NULL,
    stamps bytea NOT NULL,
    PRIMARY KEY (log, first)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
    toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 20000);
ALTER TABLE segments
    ALTER records SET STORAGE EXTERNAL,
    ALTER hashes SET STORAGE EXTERNAL,
    ALTER stamps SET STORAGE EXTERNAL;

CREATE TABLE tiles (
    log integer NOT NULL,
    level integer NOT NULL,
    place bigint NOT NULL,
    hashes bytea NOT NULL,
    PRIMARY KEY (log, level, place)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
ALTER TABLE tiles ALTER hashes SET STORAGE EXTERNAL;
""",
)


def migrate(link: Link, address: Address) -> None:
    """Make the schema and its tables, or bring them up to date, in one transaction.

    Several processes may start at once: one does it and the others wait. Raises SettingsError
    SETTINGS_INVALID for tables of a newer version, and what asyncpg raises.
    """
    if _version(link) == len(_MIGRATIONS):
        return
    with locked(link, address):
        if not link.fetch("SELECT 1 FROM pg_namespace WHERE nspname = $1", address.schema):
            link.execute(f"CREATE SCHEMA {address.schema}")
        link.execute(
            "CREATE TABLE IF NOT EXISTS versions"
            " (version integer PRIMARY KEY, made_at timestamptz NOT NULL DEFAULT now())"
        )
        version = _version(link)
        if version > len(_MIGRATIONS):
            raise SettingsError(
                "SETTINGS_INVALID",
                f"the tables of {address.shown} are of a newer version",
                expected=f"at most {len(_MIGRATIONS)}",
                found=str(version),
            )
        for number, statements in enumerate(_MIGRATIONS[version:], version + 1):
            link.execute(statements)
            link.fetch("INSERT INTO versions (version) VALUES ($1)", number)


@contextmanager
def locked(link: Link, address: Address) -> Iterator[None]:
    """Hold a transaction in which no other process changes tables of this schema."""
    link.execute("BEGIN")
    try:
        link.fetch(
            "SELECT pg_advisory_xact_lock(hashtextextended('touchplate ' || $1::text, 0))",
            address.schema,
        )
        yield
        link.execute("COMMIT")
    except BaseException:
        link.close()
        raise


def _version(link: Link) -> int:
    """Give the version of the tables, 0 if there are none."""
    if link.fetch("SELECT to_regclass('versions') IS NULL")[0][0]:
        return 0
    version: int = link.fetch("SELECT coalesce(max(version), 0) FROM versions")[0][0]
    return version
