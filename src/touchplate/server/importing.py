"""Import a log from elsewhere as the start of an instance's own: `touchplate log import`.

The instance has made its first start and has no entry yet; no server runs on it meanwhile. What
can be a source is told by its form: a URL or a folder holds tiles, a file is a dump of version 1.
"""

from array import array
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from touchplate import tlog
from touchplate.clients.tile_files import FolderFiles, http_files
from touchplate.clients.v1_dump import (
    DumpEntry,
    check_promise,
    proven_body,
    read_checkpoint,
    read_dump,
    read_lines,
)
from touchplate.errors import RefusedError, SettingsError, VerificationError
from touchplate.formats.checkpoint import (
    MAX_CHECKPOINT_BYTES,
    Checkpoint,
    open_checkpoint,
    parse_checkpoint,
)
from touchplate.formats.note import NoteVerifier, note_verifier, parse_note, parse_vkey
from touchplate.keys.public import PublicKey
from touchplate.merkle.edge import EMPTY_EDGE, extend
from touchplate.merkle.tree import EMPTY_ROOT, RootHash
from touchplate.server import vault as names
from touchplate.server.data import DataFolder, Instance
from touchplate.server.keys import KeyPlaces
from touchplate.server.opening import open_deployment, open_stores
from touchplate.server.ownership import check_database, claim_objects, read_tlog_checkpoint
from touchplate.server.settings import ServeSettings, parse_origin
from touchplate.tilelog.export import CHECKPOINT
from touchplate.tilelog.imports import Imported, import_log
from touchplate.tilelog.source import Source, SourceEntry, TileSource
from touchplate.transport.http import HttpTransport, Retrying

_STEP: Final = 4096  # entries of a dump between two looks
_BUFFER: Final = 1024 * 1024  # lines are longer than the usual one

Report = Callable[[str, int, int], None]
"""What is done (`prove` or `import`), entries done, entries in all (0: not known)."""


class Trust(NamedTuple):
    """What the source is held to. Without a key it is only held to itself."""

    vkey: str | None = None
    key: PublicKey | None = None
    # A dump's checkpoint, or the LogInfo that holds it.
    checkpoint: bytes | None = None


def import_into(
    settings: ServeSettings,
    environ: Mapping[str, str],
    now: Callable[[], datetime],
    source: str,
    trust: Trust,
    report: Report = lambda _what, _done, _size: None,
) -> Imported:
    """Import the source, or go on with an import that was cut short.

    Raises SettingsError, what `import_log` raises, and what is wrong with the source.
    """
    places = KeyPlaces.of(settings.keys, environ)
    with DataFolder.serve(settings.data, places) as folder:
        found = folder.instance
        if found is None or not found.complete:
            found = _make_instance(folder, settings, environ, now)
        key = tlog.log_key(parse_origin(found.url).host, folder.load_key(names.TLOG))

        def now_ms() -> int:
            return int(now().timestamp() * 1000)

        log = tlog.tile_log_settings(key, now_ms)
        stores = open_stores(folder, settings, environ)
        claim_objects(stores.objects, found.id, first=False)
        with closing(stores.database(log.name)) as database:
            check_database(
                database,
                log.name,
                lambda envelope: read_tlog_checkpoint(key.origin, key.signer.public_key, envelope),
            )
            opened = open_source(source, trust, report)
            return import_log(
                log,
                database,
                stores.objects,
                opened,
                progress=lambda size: report("import", size, opened.size),
            )


def _make_instance(
    folder: DataFolder,
    settings: ServeSettings,
    environ: Mapping[str, str],
    now: Callable[[], datetime],
) -> Instance:
    """Make a first start, as `serve` does: keys, chains, empty logs, the trust repository."""
    if settings.url is None:
        raise SettingsError(
            "SETTINGS_INVALID",
            f"{settings.data} holds no instance",
            hint="say under which URL it will be, and it is made: --url https://HOST",
        )
    deployment = open_deployment(
        folder, settings.url, follows=False, settings=settings, now=now, environ=environ
    )
    deployment.close()
    if folder.instance is None:
        raise AssertionError("the first start is done")
    return folder.instance


def open_source(source: str, trust: Trust, report: Report) -> Source:
    """Open a URL, a folder or a file; a file is read and proven whole first."""
    if source.startswith(("https://", "http://")):
        files = http_files(source, Retrying(HttpTransport()))
        return TileSource(files.read, _checkpoint_of(files.read, trust))
    path = Path(source)
    if path.is_dir():
        folder = FolderFiles(path)
        checkpoint = _checkpoint_of(folder.read, trust)
        return TileSource(folder.read, checkpoint, has_times=(path / "times").is_dir())
    if not path.is_file():
        raise SettingsError("FILE_UNREADABLE", f"there is no file or folder {source}")
    return DumpSource(path, trust, report)


def _checkpoint_of(read: Callable[[str, int], bytes | None], trust: Trust) -> Checkpoint:
    data = read(CHECKPOINT, MAX_CHECKPOINT_BYTES)
    if data is None:
        raise RefusedError("NOT_FOUND", "the source has no checkpoint, so it is no tile log")
    envelope = data.decode("utf-8", "replace")
    unproven = parse_checkpoint(parse_note(envelope, max_bytes=MAX_CHECKPOINT_BYTES))
    verifier: NoteVerifier | None = None
    if trust.vkey is not None:
        verifier = parse_vkey(trust.vkey)
    elif trust.key is not None:
        verifier = note_verifier(unproven.origin, trust.key)
    return unproven if verifier is None else open_checkpoint(envelope, verifier, v1=False)


class DumpSource:
    """A dump of a version 1 log in a file, read twice: all of it is proven before any counts."""

    def __init__(self, path: Path, trust: Trust, report: Report) -> None:
        """Prove the dump: that it leads to the checkpoint, and each promise, if there is a key.

        What is behind the checkpoint's size is left out. Raises TLOG_INVALID, SET_INVALID.
        """
        self._path = path
        self._most: int | None = None
        # Of each entry, as it was proven: the file might change before it is read again.
        self._times = array("q")
        signed = None
        if trust.checkpoint is not None:
            signed = read_checkpoint(trust.checkpoint, trust.key)
            self._most = signed.size
        self.size, self.root = self._prove(trust.key, report)
        if signed is not None and (self.size, self.root) != (signed.size, signed.root):
            raise VerificationError(
                "TLOG_INVALID",
                "the dump does not lead to the checkpoint",
                expected=f"{signed.root.hex()} at size {signed.size}",
                found=f"{self.root.hex()} at size {self.size}",
            )

    def root_at(self, size: int) -> RootHash:
        """Give the root of the first entries."""
        edge = EMPTY_EDGE
        entries = islice(self._read(), size)
        while chunk := list(islice(entries, _STEP)):
            edge = extend(edge, [entry.leaf for entry in chunk]).edge
        return edge.root() if edge.size == size else EMPTY_ROOT

    def entries(self, start: int) -> Iterator[SourceEntry]:
        """Give the entries from `start` on; their bodies are held to the root once more."""
        with self._path.open("rb", buffering=_BUFFER) as file:
            lines = islice(read_lines(file), start, self.size)
            for line, time in zip(lines, self._times[start:], strict=False):
                yield SourceEntry(proven_body(line), time * 1000)

    def _prove(self, key: PublicKey | None, report: Report) -> tuple[int, RootHash]:
        edge = EMPTY_EDGE
        entries = islice(self._read(), self._most)
        while chunk := list(islice(entries, _STEP)):
            if key is not None:
                for entry in chunk:
                    check_promise(entry, key)
            edge = extend(edge, [entry.leaf for entry in chunk]).edge
            self._times.extend(entry.integrated_time for entry in chunk)
            report("prove", edge.size, self._most or 0)
        return edge.size, edge.root()

    def _read(self) -> Iterator[DumpEntry]:
        with self._path.open("rb", buffering=_BUFFER) as file:
            yield from read_dump(read_lines(file))
