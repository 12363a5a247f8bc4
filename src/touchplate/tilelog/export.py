"""Export: read -> prove -> files -> checkpoint. The log as a folder that any web server can serve.

A C2SP tile log: `tile/L/N`, `tile/entries/N`, partial ones for the size of the checkpoint, and
`checkpoint`, which is written last. Beside them `times/N` holds what C2SP has no place for
(docs/reference/formats/exported-log.md), and `progress` says how far an export came.
"""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from touchplate.errors import MalformedError, RefusedError, VerificationError
from touchplate.formats.checkpoint import (
    MAX_CHECKPOINT_BYTES,
    Checkpoint,
    encode_checkpoint,
    parse_checkpoint,
)
from touchplate.formats.note import Note, parse_note
from touchplate.merkle.edge import EMPTY_EDGE, Edge, extend, levels_of
from touchplate.merkle.tile import TILE_WIDTH, encode_tile_index, partial_width, tile_path
from touchplate.merkle.tree import EMPTY_ROOT, leaf_hash
from touchplate.storage.database import STAMP_SIZE
from touchplate.storage.objects import ObjectStore
from touchplate.tilelog.entry import SignedCheckpoint
from touchplate.tilelog.settings import TileLogSettings
from touchplate.tilelog.tiles import Tiles, missing

CHECKPOINT: Final = "checkpoint"
PROGRESS: Final = "progress"
TIME_SIZE: Final = 8  # bytes of one entry's time
_STEP: Final = 64  # bundles that are written together, and then noted


class Exported(NamedTuple):
    """What came of an export."""

    checkpoint: Checkpoint
    added: int  # entries that the folder did not have


def times_path(index: int, width: int = TILE_WIDTH) -> str:
    """Give the path of the times of a bundle's entries."""
    return f"times/{encode_tile_index(index, width)}"


def export(
    settings: TileLogSettings,
    tiles: Tiles,
    checkpoint: SignedCheckpoint,
    out: ObjectStore,
    *,
    progress: Callable[[int], None] | None = None,
) -> Exported:
    """Write what the tree of this checkpoint has and `out` has not; the log may grow meanwhile.

    Entries are proven to lead to the checkpoint before it is written. An export that was cut short
    goes on where it was, and one to the files of a smaller tree of this log adds to them; files of
    another log, or of a larger tree, raise FILE_EXISTS. `progress` gets the number of entries
    that rest there. Raises VerificationError TLOG_INVALID, UnavailableError.
    """
    signed = parse_checkpoint(parse_note(checkpoint.envelope, max_bytes=MAX_CHECKPOINT_BYTES))
    begun = _begun(tiles, signed, out)
    start = begun - begun % TILE_WIDTH
    edge = _edge_at(tiles, start)
    files: dict[str, bytes] = {}
    full = checkpoint.size // TILE_WIDTH
    for index in range(start // TILE_WIDTH, full):
        records, more = _bundle(settings, tiles, index, TILE_WIDTH)
        files |= more
        growth = extend(edge, [leaf_hash(settings.hashed(record)) for record in records])
        files |= {tile_path(level, at): hashes for level, at, hashes in growth.full_tiles}
        edge = growth.edge
        if (index + 1) % _STEP == 0 or index + 1 == full:
            out.put_all(files)
            files = {}
            text = encode_checkpoint(signed.origin, edge.size, edge.root())
            out.replace(PROGRESS, text.encode())
            if progress is not None:
                progress(edge.size)
    if width := checkpoint.size % TILE_WIDTH:
        records, files = _bundle(settings, tiles, full, width)
        edge = extend(edge, [leaf_hash(settings.hashed(record)) for record in records]).edge
    if edge.root() != checkpoint.root:
        raise VerificationError(
            "TLOG_INVALID",
            f"the {checkpoint.size} entries do not lead to the checkpoint's root",
            expected=checkpoint.root.hex(),
            found=edge.root().hex(),
            hint="find what is wrong: touchplate log check",
        )
    out.put_all(files | _partial_tiles(edge))
    out.replace(CHECKPOINT, checkpoint.envelope.encode())
    return Exported(signed, checkpoint.size - begun)


def _begun(tiles: Tiles, checkpoint: Checkpoint, out: ObjectStore) -> int:
    """Give the size of the tree whose files are there, once it is known to be one of this log."""
    size = 0
    for there in _trees_of(out):
        if there.origin != checkpoint.origin or there.size > checkpoint.size:
            raise _another(there, checkpoint)
        if (tiles.root_at(there.size) if there.size else EMPTY_ROOT) != there.root:
            raise _another(there, checkpoint)
        size = max(size, there.size)
    return size


def _trees_of(out: ObjectStore) -> Iterator[Checkpoint]:
    """Give the trees that the folder says it has: the published one, and how far files came."""
    try:
        if (envelope := out.get(CHECKPOINT)) is not None:
            yield parse_checkpoint(parse_note(envelope.decode(), max_bytes=MAX_CHECKPOINT_BYTES))
        if (text := out.get(PROGRESS)) is not None:
            # Our own note to ourselves: nobody signed it.
            yield parse_checkpoint(Note(text.decode(), ()))
    except (MalformedError, UnicodeDecodeError) as error:
        raise RefusedError(
            "FILE_EXISTS",
            f"the folder holds files that no export has written: {error}",
            hint="name an empty folder, or the one of an earlier export of this log",
        ) from error


def _another(there: Checkpoint, checkpoint: Checkpoint) -> RefusedError:
    return RefusedError(
        "FILE_EXISTS",
        "the folder holds another log, or more of this one",
        expected=f"{checkpoint.origin} at size {checkpoint.size} or less",
        found=f"{there.origin} at size {there.size}, root {there.root.hex()}",
        hint="name another folder",
    )


def _edge_at(tiles: Tiles, size: int) -> Edge:
    if not size:
        return EMPTY_EDGE
    parts = []
    for level in range(levels_of(size)):
        width = partial_width(level, size)
        parts.append(tiles.read_hashes(level, size >> 8 * (level + 1), width) if width else b"")
    return Edge.of_tiles(size, parts)


def _bundle(
    settings: TileLogSettings, tiles: Tiles, index: int, width: int
) -> tuple[list[bytes], dict[str, bytes]]:
    """Give a bundle's records, and its files without the tile."""
    path = tile_path(settings.entries_tile, index, width)
    data = tiles.read_entries(index, width)
    stamps = tiles.read_stamps(index, width)
    if data is None or stamps is None:
        raise missing(path)
    records = settings.split(data)
    if len(records) != width:
        raise VerificationError("TLOG_INVALID", f"{path} holds {len(records)} entries")
    times = b"".join(stamps[at : at + TIME_SIZE] for at in range(0, width * STAMP_SIZE, STAMP_SIZE))
    return records, {path: data, times_path(index, width): times}


def _partial_tiles(edge: Edge) -> dict[str, bytes]:
    """Give the partial tiles of a tree, that of level 0 too."""
    return {
        tile_path(level, edge.size >> 8 * (level + 1), partial_width(level, edge.size)): hashes
        for level, hashes in enumerate(edge.tiles)
        if hashes
    }
