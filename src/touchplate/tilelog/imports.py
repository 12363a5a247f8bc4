"""Import: a log that exists elsewhere -> proven entries -> this log, which had none.

A note in the object store says that an import has begun and whether it is done; until then no
server opens the log. The last entries are committed only if all of them lead to the root that the
source was to have, so what is done is whole.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Final, NamedTuple

from touchplate.errors import RefusedError, SettingsError, VerificationError
from touchplate.merkle.tree import RootHash, leaf_hash
from touchplate.storage.database import LogDatabase, LogState
from touchplate.storage.objects import ObjectStore
from touchplate.tilelog.batch import frozen
from touchplate.tilelog.bulk import Loaded, LoadedEntry, load
from touchplate.tilelog.bundle import encode_record
from touchplate.tilelog.entry import Leaf, StoredEntry, duplicate_identity
from touchplate.tilelog.settings import TileLogSettings
from touchplate.tilelog.source import Source
from touchplate.tilelog.tiles import Tiles, existing

BATCH: Final = 8192  # entries in one transaction
_FIRST_LINE: Final = "touchplate import 1"


class Import(NamedTuple):
    """What the note about an import says."""

    size: int  # that the log is to have
    root: bytes
    done: bool


class Imported(NamedTuple):
    """What came of an import."""

    loaded: Loaded
    later: int
    """Entries whose time was before that of the entry before them, and that got that one's."""


def import_log(
    settings: TileLogSettings,
    database: LogDatabase,
    objects: ObjectStore,
    source: Source,
    *,
    progress: Callable[[int], None] | None = None,
) -> Imported:
    """Fill a log that exists and is empty, or go on with an import that was cut short.

    Then the source may be another one, or have grown, if it begins with what is here. Nobody may
    append meanwhile. Entries without a time get that of `settings.now_ms`. Raises LOG_FROZEN;
    FILE_EXISTS if there are other entries; LIMIT_EXCEEDED for an entry that no bundle can hold;
    TLOG_INVALID if the entries lead to another root; and what the source and the storage raise.
    """
    state = existing(database.state())
    _check_may_begin(settings.name, objects, state, source)
    _write(objects, settings.name, Import(source.size, source.root, done=False))
    last = Tiles(settings, database, objects).entry(state.size - 1) if state.size else None
    entries = _Entries(database, source, state.size, last, settings.now_ms())
    loaded = load(
        _guarded(settings, source), database, objects, entries, batch=BATCH, progress=progress
    )
    after = existing(database.state())
    if (after.size, after.root) != (source.size, source.root):
        raise _other_root(source, after.size, after.root)
    _write(objects, settings.name, Import(source.size, source.root, done=True))
    return Imported(loaded, entries.later)


def find_import(objects: ObjectStore, name: str) -> Import | None:
    """Give what the note about an import into the log of this name says; None if there is none."""
    note = objects.get(_note_key(name))
    if note is None:
        return None
    try:
        first, size, root, done = note.decode().splitlines()
        if first != _FIRST_LINE or done not in ("done", "begun"):
            raise ValueError(first)
        return Import(int(size), bytes.fromhex(root), done == "done")
    except ValueError as error:
        raise SettingsError(
            "SETTINGS_INVALID", f"the object {_note_key(name)} is not one of ours"
        ) from error


def check_imported(objects: ObjectStore, name: str) -> None:
    """Refuse a log whose import is not done (SETTINGS_INVALID)."""
    found = find_import(objects, name)
    if found is not None and not found.done:
        raise SettingsError(
            "SETTINGS_INVALID",
            f"an import into the {name} log was begun and is not done",
            expected=f"{found.size} entries",
            hint="finish it with the command that began it: touchplate log import",
        )


class _Entries:
    """The source's entries as the loader takes them, made a batch at a time.

    A batch is in the database before the first entry of the next one is asked for.
    """

    def __init__(
        self,
        database: LogDatabase,
        source: Source,
        start: int,
        last: StoredEntry | None,
        now_ms: int,
    ) -> None:
        self._database = database
        self._source = source
        self._start = start
        self._time_ms = last.time_ms if last else 0
        self._now_ms = now_ms
        self.later = 0

    def __iter__(self) -> Iterator[LoadedEntry]:
        index = self._start
        entries = self._source.entries(index)
        while batch := list(islice(entries, BATCH)):
            leaves = [leaf_hash(entry.data) for entry in batch]
            known = self._database.find_all(leaves)
            for entry, leaf in zip(batch, leaves, strict=True):
                identity: bytes = leaf
                if known.setdefault(leaf, index) < index:
                    identity = duplicate_identity(leaf, index)
                time_ms = self._now_ms if entry.time_ms is None else entry.time_ms
                self.later += time_ms < self._time_ms
                self._time_ms = max(self._time_ms, time_ms)
                yield LoadedEntry(identity, Leaf(entry.data, _record(entry.data, index)), time_ms)
                index += 1


def _guarded(settings: TileLogSettings, source: Source) -> TileLogSettings:
    """Sign the states of an import, and the last one only if its root is the source's."""

    def sign(size: int, root: RootHash, time_ms: int, extensions: tuple[str, ...]) -> str:
        if size > source.size or (size == source.size and root != source.root):
            raise _other_root(source, size, root)
        return settings.sign(size, root, time_ms, extensions)

    return replace(settings, sign=sign, cosign=None)


def _check_may_begin(name: str, objects: ObjectStore, state: LogState, source: Source) -> None:
    if state.frozen:
        raise frozen()
    if not state.size:
        return
    if find_import(objects, name) is None:
        raise RefusedError(
            "FILE_EXISTS",
            f"the {name} log has {state.size} entries of its own",
            hint="import into a new instance, before its first entry",
        )
    if state.size > source.size or source.root_at(state.size) != state.root:
        raise RefusedError(
            "FILE_EXISTS",
            f"the {name} log holds {state.size} entries that the source does not begin with",
            hint="go on with the source that the import began with, or begin a new instance",
        )


def _record(data: bytes, index: int) -> bytes:
    try:
        return encode_record(data)
    except RefusedError as error:
        raise RefusedError(
            error.code,
            f"entry {index}: {error.message}",
            expected=error.expected,
            found=error.found,
            hint="no tile log can hold this log; keep its own server, and let it read only",
        ) from error


def _other_root(source: Source, size: int, root: bytes) -> VerificationError:
    return VerificationError(
        "TLOG_INVALID",
        "the entries do not lead to the root that they are to have",
        expected=f"{source.root.hex()} at size {source.size}",
        found=f"{root.hex()} at size {size}",
    )


def _note_key(name: str) -> str:
    return f"{name}/import"


def _write(objects: ObjectStore, name: str, note: Import) -> None:
    text = (_FIRST_LINE, str(note.size), note.root.hex(), "done" if note.done else "begun")
    objects.replace(_note_key(name), ("\n".join(text) + "\n").encode())
