"""Making the search index of an instance again, beside a server that runs or without one."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime

from touchplate import tlog
from touchplate.errors import SettingsError
from touchplate.index import Index, Progress, Tree
from touchplate.server.data import DataFolder
from touchplate.server.keys import KeyPlaces
from touchplate.server.lineage import read_shards
from touchplate.server.opening import open_stores
from touchplate.server.settings import ServeSettings, parse_origin
from touchplate.storage.database import LogDatabase
from touchplate.tilelog.entry import SignedCheckpoint, StoredEntry
from touchplate.tilelog.settings import TileLogSettings
from touchplate.tilelog.tiles import Tiles, checkpoint_of


class ReadOnlyLog:
    """A tile log that nobody writes through: no threads, no sealing. Any thread may read."""

    def __init__(self, settings: TileLogSettings, database: LogDatabase, tiles: Tiles) -> None:
        self._settings = settings
        self._database = database
        self._tiles = tiles
        self.read_tile = tiles.read_tile
        self.read_entries = tiles.read_entries
        self.consistency = tiles.consistency

    def checkpoint(self) -> SignedCheckpoint:
        """Give the checkpoint that readers get: the cosigned one, if there are such."""
        published = self._database.published()
        return checkpoint_of(self._tiles.state() if published is None else published)

    def entry(self, index: int) -> StoredEntry | None:
        """Give an entry, or None if the log is not that large."""
        return self._tiles.entry(index)


def reindex(
    settings: ServeSettings,
    environ: Mapping[str, str],
    now: Callable[[], datetime],
    *,
    resume: bool,
    report: Callable[[Progress], None],
) -> tuple[Progress, ...]:
    """Make the index again from the log, or with `resume` go on with what is there.

    Every entry is read, and proven to lead to the newest checkpoint. Raises SettingsError,
    TLOG_INVALID, UnavailableError.
    """
    with _opened(settings, environ, now) as index:
        if resume:
            index.catch_up(report)
        else:
            index.rebuild(report)
        return index.progress()


@contextmanager
def _opened(
    settings: ServeSettings, environ: Mapping[str, str], now: Callable[[], datetime]
) -> Iterator[Index]:
    folder = DataFolder(settings.data, KeyPlaces.of(settings.keys, environ))
    instance = folder.instance
    if instance is None or not instance.complete:
        raise SettingsError(
            "SETTINGS_INVALID",
            f"{settings.data} holds no instance",
            hint=f"start one first: touchplate serve --data {settings.data}",
        )

    def now_ms() -> int:
        return int(now().timestamp() * 1000)

    origin = parse_origin(instance.url)
    stores = open_stores(folder, settings, environ)
    with ExitStack() as opened, closing(stores.index()) as found:
        trees = []
        for shard in read_shards(stores.objects, instance.created_at):
            key = tlog.log_key(shard.origin(origin).host, folder.load_key(shard.name))
            log_settings = tlog.tile_log_settings(key, now_ms, shard.name)
            database = opened.enter_context(closing(stores.database(shard.name)))
            tiles = Tiles(log_settings, database, stores.objects)
            trees.append(Tree(key.tree_id, ReadOnlyLog(log_settings, database, tiles)))
        yield Index(trees, found, now_ms)
