"""`touchplate backup`: an instance in one file, while it runs.

First each log's database, as it is at one time; then the objects that this state implies, which are
there already and never change. So the file holds a prefix of each log, and every entry that was
promised before it was begun. What comes after the state is left out: a restored log must not hold
more objects than entries. The trees of the transparency log come before the certificate log, so
that no certificate is in the first without being in the second.
"""

import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from touchplate.errors import SettingsError
from touchplate.merkle.tile import TILE_WIDTH, encode_tile_index, tile_path
from touchplate.server.archive import Header, LogMark, Writer, is_name
from touchplate.server.data import DataFolder
from touchplate.server.lineage import PREFIX, Shard, read_shards
from touchplate.server.locks import upkeep
from touchplate.server.publication import ct_origin
from touchplate.server.settings import ServeSettings, parse_origin
from touchplate.server.succession import PREFIX as DECISIONS
from touchplate.server.succession import ct_names, ct_number, read_decisions
from touchplate.server.vault import CT, TLOG
from touchplate.storage.files import refuse_existing, sync_folder
from touchplate.storage.folder import FolderObjects
from touchplate.storage.objects import ObjectStore
from touchplate.storage.snapshot import Snapshot, snapshot

_TUF: Final = "tuf/"
_TIMESTAMP: Final = ".timestamp.json"
# Below a log's name: what the database implies, and notes that are made for the copy.
_IMPLIED: Final = ("tile", "stamps", "published", "loading")
# Of the public halves of keys.
_PUBLIC: Final = ".pub"
# In the data folder: what is copied in another way, or made again.
_NOT_COPIED: Final = ("lock", "upkeep.lock", "instance.lock", "index.db")


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was made."""

    path: Path
    files: int
    bytes: int
    header: Header


# What is copied now, how many files of it are, and of how many; 0 where that is not known.
Progress = Callable[[str, int, int], None]


def back_up(
    settings: ServeSettings,
    out: Path,
    now: datetime,
    *,
    keys: bool = True,
    progress: Progress = lambda _what, _done, _count: None,
) -> Backup:
    """Write the instance to `out`, or to a file named after the time if `out` is a folder.

    Durable when this returns, mode 0600; a file that is there is not replaced. Raises FILE_EXISTS,
    SettingsError (no instance, storage elsewhere than in files), UnavailableError.
    """
    folder = DataFolder(settings.data)
    instance = folder.instance
    if instance is None or not instance.complete:
        raise SettingsError(
            "SETTINGS_INVALID",
            f"{settings.data} holds no instance",
            hint="name the instance's folder with --data DIR",
        )
    database = _folder(settings.storage.database, folder.path, "database")
    objects = _folder(settings.storage.objects, folder.path / "objects", "object store")
    path = out / f"touchplate-{now:%Y%m%dT%H%M%SZ}.tar" if out.is_dir() else out
    if path.exists():
        raise refuse_existing(path)
    work = path.parent / f".{path.name[:100]}.{secrets.token_hex(8)}"
    try:
        with upkeep(folder.path, "backup"), ExitStack() as opened:
            work.mkdir(mode=0o700)
            opened.callback(shutil.rmtree, work)
            shards = read_shards(FolderObjects(objects), instance.created_at)
            decided = read_decisions(FolderObjects(objects))
            logs: dict[str, Snapshot] = {}
            names = (*(shard.name for shard in shards), *ct_names(decided))
            for number, name in enumerate(names):
                progress("databases", number, len(names))
                source, target = database / f"{name}.db", work / f"{name}.db"
                logs[name] = opened.enter_context(snapshot(source, target))
            header = Header(instance.id, now, keys, _marks(folder, shards, logs))
            part = work / "backup.tar"
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as to:
                writer = Writer(to, header)
                _write_databases(writer, work, logs)
                _write_sealed(writer, objects, logs, progress)
                _write_others(writer, objects, logs, len(shards), len(decided), progress)
                _write_folder(writer, folder.path, keys=keys)
                files = writer.finish()
                to.flush()
                os.fsync(to.fileno())
                size = to.tell()
            os.link(part, path)
        sync_folder(path.parent)
    except FileExistsError as error:
        raise refuse_existing(path) from error
    except OSError as error:
        raise SettingsError(
            "FILE_UNREADABLE", f"{error.filename or path}: {error.strerror}"
        ) from error
    return Backup(path, files, size, header)


def _folder(uri: str | None, default: Path, what: str) -> Path:
    if uri is None:
        return default
    parts = urlsplit(uri)
    if parts.scheme != "file":
        raise SettingsError(
            "SETTINGS_INVALID",
            f"the {what} of this instance is at {parts.scheme}:, which has backups of its own",
            expected="files",
            hint="PostgreSQL: continuous archiving, or pg_dump; S3: versioning of the bucket; "
            "see docs/how-to/back-up-and-restore.md",
        )
    return Path(unquote(parts.path))


def _marks(
    folder: DataFolder, shards: tuple[Shard, ...], logs: Mapping[str, Snapshot]
) -> tuple[LogMark, ...]:
    assert folder.instance is not None  # noqa: S101  its caller has looked
    origin = parse_origin(folder.instance.url)
    origins = {shard.name: shard.origin(origin).host for shard in shards}
    return tuple(
        LogMark(
            name,
            origins.get(name) or ct_origin(origin, ct_number(name) or 1),
            log.size,
            log.root,
            folder.public_key(name).pem(),
        )
        for name, log in logs.items()
    )


def _write_databases(writer: Writer, work: Path, logs: Mapping[str, Snapshot]) -> None:
    for name, log in logs.items():
        writer.add_path(f"database/{name}.db", work / f"{name}.db")
        for run, file in log.runs.items():
            writer.add_file(f"database/{name}.db-runs/{run}", file)


def _write_sealed(
    writer: Writer, objects: Path, logs: Mapping[str, Snapshot], progress: Progress
) -> None:
    for name, log in logs.items():
        count = sum(1 for _ in _implied(name, log.sealed))
        for done, key in enumerate(_implied(name, log.sealed)):
            progress(name, done, count)
            writer.add_path(f"objects/{key}", objects / key)
        # What the copy was published at, as far as it knows.
        writer.add_bytes(f"objects/{name}/published", f"{log.size} {log.root.hex()}\n".encode())


def _write_others(
    writer: Writer,
    objects: Path,
    logs: Mapping[str, Snapshot],
    trees: int,
    decisions: int,
    progress: Progress,
) -> None:
    store = FolderObjects(objects)
    timestamp = _newest_timestamp(store)
    for seen, key in enumerate(_keys(objects)):
        progress("other objects: looked at", seen, 0)
        first, _, rest = key.partition("/")
        if first in logs and rest.partition("/")[0] in _IMPLIED:
            continue
        if first.startswith((f"{TLOG}-", f"{CT}-")) and first not in logs:
            continue  # of a tree that came after the databases were copied
        if key.startswith(PREFIX) and int(key.removeprefix(PREFIX)) > trees:
            continue  # decided after the databases were copied
        if key.startswith(DECISIONS) and int(key.removeprefix(DECISIONS)) > decisions:
            continue
        if key == f"{_TUF}timestamp.json":
            data = store.get(f"{_TUF}{timestamp}{_TIMESTAMP}") or store.get(key) or b""
            writer.add_bytes(f"objects/{key}", data)
        elif not (key.endswith(_TIMESTAMP) and _number(key) > timestamp):
            writer.add_path(f"objects/{key}", objects / key)


def _implied(name: str, sealed: int) -> Iterator[str]:
    """Give the keys of the objects in which the first `sealed` entries rest."""
    tile = "entries" if ct_number(name) is None else "data"
    for index in range(sealed // TILE_WIDTH):
        yield f"{name}/{tile_path(tile, index)}"
        yield f"{name}/stamps/{encode_tile_index(index)}"
    level = 0
    while count := sealed >> 8 * (level + 1):
        for index in range(count):
            yield f"{name}/{tile_path(level, index)}"
        level += 1


def _newest_timestamp(store: ObjectStore) -> int:
    """Give the newest timestamp's number. What it names was written before it."""
    number = 0
    while store.get(f"{_TUF}{number + 1}{_TIMESTAMP}") is not None:
        number += 1
    return number


def _number(key: str) -> int:
    text = key.removeprefix(_TUF).removesuffix(_TIMESTAMP)
    return int(text) if text.isdigit() else 0


def _keys(objects: Path) -> Iterator[str]:
    """Give the keys of all objects; files that begin with a dot are none."""
    for folder, folders, files in os.walk(objects):
        folders[:] = sorted(each for each in folders if each[0] != ".")
        for name in sorted(files):
            if name[0] != ".":
                yield (Path(folder) / name).relative_to(objects).as_posix()


def _write_folder(writer: Writer, path: Path, *, keys: bool) -> None:
    """Add the data folder's own files: what is at its top, certificates, and keys.

    Without keys their public halves are in it, by which others are refused.
    """
    found: list[Path] = [
        each
        for each in sorted(path.iterdir())
        if each.is_file()
        and each.name not in _NOT_COPIED
        and not each.name.startswith(".")
        and ".db" not in each.name
    ]
    for name in ("certificates", "keys"):
        found += sorted(
            each
            for each in (path / name).iterdir()
            if each.name[0] != "." and (keys or name != "keys" or each.suffix == _PUBLIC)
        )
    for each in found:
        name = f"data/{each.relative_to(path).as_posix()}"
        if not is_name(name):
            raise SettingsError(
                "SETTINGS_INVALID",
                f"{each} cannot be in a backup",
                expected="a name of letters, digits, `.`, `_` and `-`",
                hint="rename it, or move it out of the data folder",
            )
        writer.add_path(name, each)
