"""Opening tile logs over a deployment's stores, and the trees of the transparency log.

Each log is checked before it is used: that its database is this deployment's, and that what its
checkpoint says was signed by the key that goes on signing.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from touchplate import tlog
from touchplate.server import vault as names
from touchplate.server.lineage import Shard
from touchplate.server.ownership import Reader, check_database, read_tlog_checkpoint
from touchplate.server.settings import LogSettings, Origin, ServeSettings
from touchplate.server.vault import Vault
from touchplate.server.witnessing import Keeper, Witnessing, open_witnessing
from touchplate.storage.database import LogDatabase
from touchplate.storage.index import IndexDatabase
from touchplate.storage.objects import ObjectStore
from touchplate.tilelog.imports import check_imported
from touchplate.tilelog.log import TileLog
from touchplate.tilelog.settings import TileLogSettings


@dataclass(frozen=True, slots=True)
class Stores:
    """Where the deployment's state rests. `database` opens the one of a log, by its name."""

    objects: ObjectStore
    database: Callable[[str], LogDatabase]
    # Opens the search index's.
    index: Callable[[], IndexDatabase]


@dataclass(frozen=True, slots=True)
class Logs:
    """Opens tile logs over the deployment's stores; they end with `opened`."""

    opened: ExitStack
    stores: Stores
    settings: LogSettings

    def open(
        self, settings: TileLogSettings, read: Reader, witnessing: Witnessing | None = None
    ) -> TileLog:
        """Open the log; `read` opens a checkpoint that our key signed."""
        database = self.stores.database(settings.name)
        self.opened.callback(database.close)
        check_imported(self.stores.objects, settings.name)
        check_database(database, settings.name, read)
        settings = replace(settings, max_waiting=self.settings.max_waiting)
        if witnessing is not None:
            settings = replace(settings, cosign=witnessing.of(database))
        log = TileLog(settings, database, self.stores.objects)
        self.opened.callback(log.close)
        if witnessing is not None:
            keeper = Keeper(partial(witnessing.publish_if_due, log, database))
            self.opened.callback(keeper.close)
        return log


class Trees:
    """Opens trees of the transparency log, each with its own keys."""

    def __init__(
        self,
        logs: Logs,
        vault: Vault,
        origin: Origin,
        settings: ServeSettings,
        now: Callable[[], datetime],
        count: Callable[[str], None],
    ) -> None:
        self._logs = logs
        self._vault = vault
        self._origin = origin
        self._witness = settings.witness
        self._now = now
        self._count = count
        self.limit: Callable[[bytes], None] | None = None
        given = logs.settings
        self._settings = tlog.TlogSettings(
            algorithms=given.algorithms,
            duplicate_is_conflict=given.duplicates == "conflict",
            accept_dsse_v002=given.dsse_v002,
            kinds=given.kinds,
            endpoints=given.endpoints,
            attestations=given.attestations,
            max_attestation_bytes=given.max_attestation_bytes,
        )

    def open(self, shard: Shard) -> tlog.TransparencyLog:
        """Open a tree. Raises KEY_NOT_FOUND if its key is not on this host."""
        signer = self._vault.key(shard.name, names.KINDS[names.TLOG])
        witnessing = open_witnessing(self._logs.opened, self._witness, self._now)
        for_witnesses = None
        if witnessing is not None:
            witnessing.count = self._count
            kind = names.LATER_KINDS[names.TLOG_ED25519]
            for_witnesses = self._vault.later_key(names.for_witnesses(shard.name), kind)
        key = tlog.log_key(shard.origin(self._origin).host, signer, for_witnesses=for_witnesses)
        read = partial(read_tlog_checkpoint, key.origin, key.signer.public_key)
        settings = tlog.tile_log_settings(key, in_ms(self._now), shard.name)
        log = tlog.TransparencyLog(key, self._logs.open(settings, read, witnessing), self._settings)
        log.limit, log.count = self.limit, self._count
        return log


def in_ms(now: Callable[[], datetime]) -> Callable[[], int]:
    """Give a clock in milliseconds since 1970."""
    return lambda: int(now().timestamp() * 1000)
