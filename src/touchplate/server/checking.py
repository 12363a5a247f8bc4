"""Read an instance's logs again and say what is wrong with them: `touchplate log check`.

From the data folder and the storage that its settings name, beside a running server or without
one. Nothing is written. Parts of a log are read by several processes.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import closing, contextmanager
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Final, NamedTuple, NoReturn
from urllib.parse import unquote, urlsplit

from touchplate.ctlog.check import check_record
from touchplate.entries.logged import check_logged
from touchplate.errors import MalformedError, SettingsError, VerificationError
from touchplate.formats import ct
from touchplate.formats.note import parse_note
from touchplate.merkle.tree import RootHash
from touchplate.server.data import DataFolder
from touchplate.server.lineage import Shard, read_shards
from touchplate.server.ownership import Reader, read_ct_checkpoint, read_tlog_checkpoint
from touchplate.server.publication import ct_origin
from touchplate.server.settings import ServeSettings, WitnessSettings, parse_origin
from touchplate.server.succession import ct_names, ct_number, read_decisions
from touchplate.server.vault import CT, TLOG
from touchplate.server.witnessing import load_policy
from touchplate.storage.database import LogDatabase, LogState
from touchplate.storage.objects import ObjectStore
from touchplate.storage.schemes import open_log, open_objects
from touchplate.tilelog.audit import Audit, Auditor, CheckEntry, Fault, Part, count_parts
from touchplate.tilelog.bundle import record_data, split_records
from touchplate.tilelog.imports import check_imported
from touchplate.tilelog.seal import Sealer
from touchplate.tilelog.settings import TileLogSettings
from touchplate.tilelog.tiles import Tiles

LOGS: Final = (TLOG, CT)

Progress = Callable[[str, int, int], None]
"""Name of the log, entries read, entries in all."""


class Place(NamedTuple):
    """Where a log rests, and what to do with it; goes to other processes."""

    database: str
    objects: str
    environ: dict[str, str]
    name: str
    entries: bool

    @contextmanager
    def opened(self) -> "Iterator[tuple[LogDatabase, ObjectStore, Auditor]]":
        """Open the log for reading."""
        objects = open_objects(self.objects, self.environ)
        with closing(open_log(self.database, self.name)) as database:
            auditor = Auditor(
                reading_settings(self.name),
                database,
                objects,
                check_entry=_entry_check(self.name, objects) if self.entries else None,
                is_leaf_identity=ct_number(self.name) is None,
            )
            yield database, objects, auditor


def _entry_check(name: str, objects: ObjectStore) -> CheckEntry:
    """Give what proves an entry: its own signature, and the profile of a certificate."""
    if ct_number(name) is None:
        return _check_body
    # The few issuers that all entries have.
    find = lru_cache(maxsize=64)(lambda digest: objects.get(f"{name}/issuer/{digest.hex()}"))
    return partial(check_record, find_issuer=find)


def check_logs(
    data: Path,
    settings: ServeSettings,
    environ: Mapping[str, str],
    *,
    names: tuple[str, ...] = LOGS,
    entries: bool = False,
    jobs: int = 1,
    progress: Progress = lambda _name, _done, _size: None,
) -> dict[str, Audit]:
    """Give what is wrong with each of the logs; with `entries` their own signatures too.

    Raises SettingsError if there is no instance or storage there, UnavailableError if the storage
    does not answer: then nothing is known.
    """
    folder = DataFolder(data)
    instance = folder.instance
    if instance is None or not instance.complete:
        raise SettingsError(
            "SETTINGS_INVALID",
            f"{data} holds no instance",
            hint="name the instance's folder with --data DIR",
        )
    storage = settings.storage
    database = storage.database or folder.path.as_uri()
    uri = storage.objects or (folder.path / "objects").as_uri()
    store = open_objects(uri, environ)
    trees = read_shards(store, instance.created_at)
    ct_logs = ct_names(read_decisions(store))
    of_log = {TLOG: tuple(shard.name for shard in trees), CT: ct_logs}
    found = {}
    for name in (each for log in names for each in of_log[log]):
        place = Place(database, uri, dict(environ), name, entries)
        _check_there(place)
        read = _reader(folder, name, trees)
        found[name] = _check_log(place, read, jobs, partial(progress, name))
        if settings.witness.policy is not None and name == trees[-1].name:
            found[name] = _check_witnessed(place, settings.witness, found[name])
    return found


def reading_settings(name: str) -> TileLogSettings:
    """Give what reading one of the logs takes; nothing can be signed with it."""
    is_tlog = ct_number(name) is None
    return TileLogSettings(
        name=name,
        entries_tile="entries" if is_tlog else "data",
        split=split_records if is_tlog else ct.split_data_tile,
        hashed=record_data if is_tlog else ct.leaf_of_record,
        sign=_never,
        now_ms=_never,
    )


def _never(*_: object) -> NoReturn:
    raise AssertionError("a log that is read is not signed")


def _check_body(record: bytes) -> bool:
    return check_logged(record_data(record))


def _check_there(place: Place) -> None:
    """Refuse a database that is not there: opening it would make an empty one."""
    parts = urlsplit(place.database)
    path = Path(unquote(parts.path)) / f"{place.name}.db"
    if parts.scheme == "file" and not path.is_file():
        raise SettingsError("FILE_UNREADABLE", f"there is no file {path}")


def _reader(folder: DataFolder, name: str, trees: tuple[Shard, ...]) -> Reader:
    if folder.instance is None:
        raise AssertionError("the instance is there")
    origin = parse_origin(folder.instance.url)
    key = folder.public_key(name)
    for shard in trees:
        if shard.name == name:
            return partial(read_tlog_checkpoint, shard.origin(origin).host, key)
    return partial(read_ct_checkpoint, ct_origin(origin, ct_number(name) or 1), key)


def _check_log(
    place: Place, read: Reader, jobs: int, progress: Callable[[int, int], None]
) -> Audit:
    with place.opened() as (database, objects, auditor):
        state = database.state()
        if state is None:
            return Audit(0, b"", (Fault("the database", "holds no log"),), 0, 0)
        parts: list[Part] = []
        progress(0, state.size)
        for part in _parts(place, auditor, state.size, jobs):
            parts.append(part)
            progress(sum(each.entries for each in parts), state.size)
        audit = auditor.combine(state, sorted(parts))
        tiles = Tiles(reading_settings(place.name), database, objects)
        faults = _check_checkpoints(state, database, tiles, read)
        behind = _check_published(place, database, objects, tiles)
        imported = _check_imported(place.name, objects)
        return audit._replace(faults=(*audit.faults, *faults, *behind, *imported))


def _parts(place: Place, auditor: Auditor, size: int, jobs: int) -> Iterator[Part]:
    """Give the parts as they are done, in any order."""
    count = count_parts(size)
    if min(jobs, count) < 2:
        yield from (auditor.audit_part(number, size) for number in range(count))
        return
    # A forked child would have our connections and locks.
    with ProcessPoolExecutor(min(jobs, count), get_context("spawn")) as pool:
        waiting = [pool.submit(_audit_part, place, number, size) for number in range(count)]
        try:
            for done in as_completed(waiting):
                yield done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _audit_part(place: Place, number: int, size: int) -> Part:
    """Read one part, in a process that may be another one."""
    with place.opened() as (_, _, auditor):
        return auditor.audit_part(number, size)


def _check_checkpoints(
    state: LogState, database: LogDatabase, tiles: Tiles, read: Reader
) -> Iterator[Fault]:
    """Hold the stored and the published checkpoint to the log's key and to the tree."""
    published = database.published()
    stored = [("the checkpoint", state.envelope, state.size, state.root)]
    if published is not None:
        stored.append(
            ("the published checkpoint", published.envelope, published.size, published.root)
        )
    for name, envelope, size, root in stored:
        try:
            if read(envelope) != (size, RootHash(root)):
                yield Fault(name, "is signed for another tree than it is stored for")
        except (MalformedError, VerificationError) as error:
            yield Fault(name, f"{error.code}: {error}")
    if published is not None:
        if published.size > state.size:
            yield Fault("the published checkpoint", f"is larger than the log, {published.size}")
            return
        try:
            if tiles.root_at(published.size) != published.root:
                yield Fault("the published checkpoint", "is not of a tree that this one extends")
        except (MalformedError, VerificationError) as error:
            yield Fault("the published checkpoint", f"{error.code}: {error}")


def _check_published(
    place: Place, database: LogDatabase, objects: ObjectStore, tiles: Tiles
) -> Iterator[Fault]:
    """Hold the log to what the object store says was published: a backup may be too old."""
    try:
        Sealer(reading_settings(place.name), database, objects, tiles).check_not_behind()
    except (SettingsError, VerificationError) as error:
        yield Fault("the object store", f"{error.code}: {error}")


def _check_imported(name: str, objects: ObjectStore) -> Iterator[Fault]:
    """Tell of an import that is not done: the log is whole, and not all of it."""
    try:
        check_imported(objects, name)
    except SettingsError as error:
        yield Fault("the log", str(error))


def _check_witnessed(place: Place, settings: WitnessSettings, audit: Audit) -> Audit:
    """Hold the published checkpoint to the policy, unless the log is published without, too.

    Only that of the tree that takes entries: older ones had the policies of their time.
    """
    if settings.policy is None or settings.mode != "fail-closed":
        return audit
    policy = load_policy(settings.policy)
    with closing(open_log(place.database, place.name)) as database:
        published = database.published()
    text = ""
    if published is None:
        text = "was not published through witnesses yet"
    elif published.size:  # the empty tree is published before there are witnesses
        try:
            cosigned = policy.cosignatures(parse_note(published.envelope))
            if not policy.is_met(cosigned):
                text = f"is cosigned by too few: {', '.join(sorted(cosigned)) or 'nobody'}"
        except (MalformedError, VerificationError) as error:
            text = f"{error.code}: {error}"
    if not text:
        return audit
    return audit._replace(faults=(*audit.faults, Fault("the published checkpoint", text)))
