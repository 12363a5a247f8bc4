"""Read the whole log again and prove it: entries -> leaves -> tiles -> root -> checkpoint."""

from touchplate.errors import MalformedError, VerificationError
from touchplate.merkle.edge import EMPTY_EDGE, extend
from touchplate.merkle.tile import TILE_WIDTH, tile_path
from touchplate.merkle.tree import HASH_SIZE, LeafHash, leaf_hash
from touchplate.storage.database import STAMP_SIZE, LogDatabase
from touchplate.tilelog.entry import SignedCheckpoint
from touchplate.tilelog.settings import TileLogSettings
from touchplate.tilelog.tiles import Tiles, checkpoint_of, missing, parse_stamp


def check_log(settings: TileLogSettings, database: LogDatabase, tiles: Tiles) -> SignedCheckpoint:
    """Prove that every entry and every tile is there and leads to the newest checkpoint.

    Entries that are appended meanwhile are left to the next time. The checkpoint's signature is
    its reader's to check. Raises VerificationError TLOG_INVALID.
    """
    state = tiles.state()
    edge = EMPTY_EDGE
    time_ms = 0
    for index in range(-(-state.size // TILE_WIDTH)):
        width = min(TILE_WIDTH, state.size - index * TILE_WIDTH)
        growth = extend(edge, _leaves(settings, tiles, index, width))
        edge = growth.edge
        time_ms = _check_stamps(database, tiles, index, width, time_ms)
        for level, place, hashes in growth.full_tiles:
            _check_tile(tiles, level, place, hashes)
    for level, hashes in enumerate(edge.tiles):
        if hashes:
            _check_tile(tiles, level, state.size >> 8 * (level + 1), hashes)
    if edge.root() != state.root:
        raise VerificationError(
            "TLOG_INVALID",
            f"the {state.size} entries do not lead to the checkpoint's root",
            expected=state.root.hex(),
            found=edge.root().hex(),
        )
    if time_ms > state.time_ms:
        raise _invalid("an entry is younger than the checkpoint")
    return checkpoint_of(state)


def _leaves(settings: TileLogSettings, tiles: Tiles, index: int, width: int) -> list[LeafHash]:
    """Give the leaf hashes of a bundle's entries, from the entries themselves."""
    path = tile_path(settings.entries_tile, index, width)
    bundle = tiles.read_entries(index, width)
    if bundle is None:
        raise missing(path)
    try:
        leaves = [leaf_hash(settings.hashed(record)) for record in settings.split(bundle)]
    except MalformedError as error:
        raise _invalid(f"{path} is malformed: {error}") from error
    if len(leaves) != width:
        raise _invalid(f"{path} holds {len(leaves)} entries")
    return leaves


def _check_stamps(database: LogDatabase, tiles: Tiles, index: int, width: int, time_ms: int) -> int:
    """Hold times to their order and identities to the database; give the last time."""
    stamps = tiles.read_stamps(index, width)
    if stamps is None:
        raise missing(f"the stamps of bundle {index}")
    parts = [stamps[at : at + STAMP_SIZE] for at in range(0, width * STAMP_SIZE, STAMP_SIZE)]
    known = database.find_all([parse_stamp(stamp)[1] for stamp in parts])
    for place, stamp in enumerate(parts):
        entry = index * TILE_WIDTH + place
        entry_ms, identity = parse_stamp(stamp)
        if entry_ms < time_ms:
            raise _invalid(f"entry {entry} is older than the one before it")
        if known.get(identity) != entry:
            raise _invalid(f"the identity of entry {entry} leads to {known.get(identity)}")
        time_ms = entry_ms
    return time_ms


def _check_tile(tiles: Tiles, level: int, index: int, hashes: bytes) -> None:
    width = len(hashes) // HASH_SIZE
    if tiles.read_tile(level, index, width) != hashes:
        raise _invalid(f"{tile_path(level, index, width)} is missing or not what its leaves make")


def _invalid(message: str) -> VerificationError:
    return VerificationError("TLOG_INVALID", message)
