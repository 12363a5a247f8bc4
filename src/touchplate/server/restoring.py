"""`touchplate restore`: an instance from the file that `touchplate backup` wrote.

Everything is put beside the new folder first, held to the manifest and to what is known to have
been published, and gets its name last. A log that is behind what was published is restored so that
it can be read, with a note that lets no server write to it: a checkpoint is never taken back.
"""

import os
import secrets
import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from touchplate.errors import MalformedError, RefusedError, SettingsError, TouchplateError
from touchplate.formats.checkpoint import MAX_CHECKPOINT_BYTES
from touchplate.keys.public import load_public_key_pem
from touchplate.merkle.tree import EMPTY_ROOT, RootHash
from touchplate.server.archive import Header, LogMark, Reader
from touchplate.server.checking import reading_settings
from touchplate.server.ownership import read_ct_checkpoint, read_tlog_checkpoint
from touchplate.server.succession import ct_number
from touchplate.storage.files import sync_folder
from touchplate.storage.folder import FolderObjects
from touchplate.storage.sqlite import SQLiteLog
from touchplate.tilelog.tiles import Tiles
from touchplate.transport.http import Transport

_PLACES: Final = {"data": "", "database": "", "objects": "objects"}


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored."""

    header: Header
    # What is behind what was published, in words; servers refuse to start then.
    behind: tuple[str, ...]


def restore(file: Path, data: Path, published: Sequence[str], transport: Transport) -> Restored:
    """Restore a backup to `data`, a folder that is empty or not there.

    `published` are files or URLs of checkpoints of this instance's logs, as they are known to
    others. Raises FILE_EXISTS, FILE_UNREADABLE, BACKUP_INVALID, STATE_BEHIND (a checkpoint that no
    log of the backup has signed), UnavailableError; then `data` is as it was.
    """
    checkpoints = [_read_checkpoint(each, transport) for each in published]
    data = data.absolute()
    try:
        if data.exists() and (not data.is_dir() or any(data.iterdir())):
            raise RefusedError(
                "FILE_EXISTS", f"{data} is not empty", hint="restore to a folder of its own"
            )
        data.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        work = data.with_name(f".{data.name[:100]}.{secrets.token_hex(8)}")
        work.mkdir(mode=0o700)
        try:
            with file.open("rb") as source:
                reader = Reader(source)
                _unpack(reader, work)
            _check_complete(reader.header, work)
            behind = [_hold(reader.header, work, each) for each in checkpoints]
            # Once for all files; the name is given after that.
            os.sync()
            work.rename(data)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise
        sync_folder(data.parent)
    except OSError as error:
        raise SettingsError(
            "FILE_UNREADABLE", f"{error.filename or file}: {error.strerror}"
        ) from error
    return Restored(reader.header, tuple(filter(None, behind)))


def _unpack(reader: Reader, work: Path) -> None:
    for member in reader.members():
        first, _, rest = member.name.partition("/")
        path = work / _PLACES[first] / rest
        for folder in reversed(path.parents):
            if folder.is_relative_to(work):
                folder.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as target:
            for chunk in member.chunks:
                target.write(chunk)


def _check_complete(header: Header, work: Path) -> None:
    """Hold each database to the header, and its tiles to its root."""
    for log in header.logs:
        if not (work / f"{log.name}.db").is_file():
            raise _not_whole(f"the database of {log.name} is not in it")
        with closing(SQLiteLog(work / f"{log.name}.db")) as database:
            state = database.state()
            if state is None or (state.size, state.root) != (log.size, log.root):
                raise _not_whole(f"the database of {log.name} is not as the header says")
            tiles = Tiles(reading_settings(log.name), database, FolderObjects(work / "objects"))
            try:
                tiles.edge(state)
            except TouchplateError as error:
                raise _not_whole(f"{log.name}: {error}") from error


def _not_whole(text: str) -> MalformedError:
    return MalformedError("BACKUP_INVALID", f"the backup cannot be used: {text}")


def _hold(header: Header, work: Path, checkpoint: str) -> str | None:
    """Hold the log of a checkpoint to it; if it is behind leave the note, and say so."""
    log, size, root = _open(header, checkpoint)
    objects = FolderObjects(work / "objects")
    if size <= log.size:
        with closing(SQLiteLog(work / f"{log.name}.db")) as database:
            tiles = Tiles(reading_settings(log.name), database, objects)
            if (tiles.root_at(size) if size else EMPTY_ROOT) == root:
                return None
    objects.replace(f"{log.name}/published", f"{size} {root.hex()}\n".encode())
    return f"{log.name} was published at size {size}, and this backup has size {log.size}" + (
        "" if size > log.size else " with another root there"
    )


def _open(header: Header, checkpoint: str) -> tuple[LogMark, int, RootHash]:
    """Find the log that signed the checkpoint."""
    for log in header.logs:
        read = read_tlog_checkpoint if ct_number(log.name) is None else read_ct_checkpoint
        try:
            size, root = read(log.origin, load_public_key_pem(log.key), checkpoint)
        except TouchplateError:
            continue
        return log, size, root
    raise SettingsError(
        "STATE_BEHIND",
        "no log in this backup has signed the published checkpoint",
        expected=", ".join(sorted({log.origin for log in header.logs})),
        found=checkpoint.partition("\n")[0][:100],
        hint="the log was rotated after the backup, or the checkpoint is of another instance",
    )


def _read_checkpoint(place: str, transport: Transport) -> str:
    if place.startswith(("https://", "http://")):
        response = transport.request("GET", place, max_bytes=MAX_CHECKPOINT_BYTES)
        if response.status != 200:
            raise SettingsError("FILE_UNREADABLE", f"{place} answers {response.status}")
        return response.body.decode("utf-8", "replace")
    try:
        with Path(place).open("rb") as file:
            return file.read(MAX_CHECKPOINT_BYTES + 1).decode("utf-8", "replace")
    except OSError as error:
        raise SettingsError("FILE_UNREADABLE", f"{place}: {error.strerror}") from error
