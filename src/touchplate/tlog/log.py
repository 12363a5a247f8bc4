"""The transparency log: append -> sequence -> integrate -> checkpoint, and reading back.

One tree serves both APIs. The identity of an entry is its leaf hash, so the v1 UUID finds it and
the same body twice, by whichever API, is one entry.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from touchplate.entries.admission import Admitted
from touchplate.errors import MalformedError, RefusedError, TouchplateError, VerificationError
from touchplate.merkle.tile import TILE_WIDTH, tile_width
from touchplate.merkle.tree import leaf_hash
from touchplate.tilelog.bundle import encode_record, record_data, split_records
from touchplate.tilelog.entry import Leaf, Receipt, SignedCheckpoint, Submission
from touchplate.tilelog.log import TileLog
from touchplate.tilelog.settings import TileLogSettings
from touchplate.tlog.key import LogKey
from touchplate.tlog.settings import TlogSettings

MAX_INDEX = 2**63 - 1
HASH_SIZE = 32

# As upstream names them. The last one must stay 0.
NEW_V1_ENTRIES: Final = "rekor_new_entries"
NEW_ENTRIES: Final = {
    "hashedrekord": "rekor_v2_new_hashedrekord_entries",
    "dsse": "rekor_v2_new_dsse_entries",
}
PROOF_FAILURES: Final = "rekor_v2_inclusion_proof_failure_total"
COUNTERS: Final = (NEW_V1_ENTRIES, *NEW_ENTRIES.values(), PROOF_FAILURES)


def tile_log_settings(
    key: LogKey, now_ms: Callable[[], int], name: str = "tlog"
) -> TileLogSettings:
    """Give the settings of the `TileLog` that `TransparencyLog` runs on."""
    return TileLogSettings(
        name=name,
        entries_tile="entries",
        split=split_records,
        hashed=record_data,
        sign=key.sign_checkpoint,
        now_ms=now_ms,
    )


@dataclass(frozen=True, slots=True)
class V1Checkpoint:
    """A tree with the checkpoint that v1 clients read."""

    size: int
    root: bytes
    envelope: str


class TransparencyLog:
    """The log as its two APIs see it. Any thread may call the methods."""

    def __init__(self, key: LogKey, tiles: TileLog, settings: TlogSettings | None = None) -> None:
        """Take the name and key, the tile log beneath (see `tile_log_settings`), and settings."""
        self.key = key
        self.tiles = tiles
        self.settings = settings or TlogSettings()
        self.limit: Callable[[bytes], None] | None = None
        """Called with the body of each entry before it is appended; raises TooOftenError."""
        self.count: Callable[[str], None] | None = None
        """Called with the name of one of `COUNTERS` when it goes up by one."""
        self._v1_checkpoint = V1Checkpoint(-1, b"", "")

    def submission(self, admitted: Admitted) -> Submission:
        """Give what to append for an entry that was admitted.

        Raises RefusedError LIMIT_EXCEEDED for a leaf above 65,535 bytes, before it is queued, and
        what `limit` raises.
        """
        if self.limit is not None:
            self.limit(admitted.body)
        leaf = Leaf(admitted.body, encode_record(admitted.body))
        return Submission(leaf_hash(admitted.body), lambda _index, _time_ms: leaf)

    def note_appended(self, admitted: Admitted, receipt: Receipt) -> None:
        """Count a new entry of API v2."""
        if self.count is not None and not receipt.duplicate:
            self.count(NEW_ENTRIES[admitted.kind])

    def note_appended_v1(self, receipt: Receipt) -> None:
        """Count a new entry of API v1."""
        if self.count is not None and not receipt.duplicate:
            self.count(NEW_V1_ENTRIES)

    def note_failure(self, error: TouchplateError) -> None:
        """Count an entry that was not appended because its own proof did not hold."""
        if self.count is not None and isinstance(error, VerificationError):
            self.count(PROOF_FAILURES)

    def find(self, leaf: bytes) -> Receipt | None:
        """Give the entry with this leaf hash, proven in the newest checkpoint."""
        index = self.tiles.find(leaf)
        return None if index is None else self.read(index)

    def read(self, index: int) -> Receipt | None:
        """Give the entry at this index, proven in the newest checkpoint."""
        if index > MAX_INDEX:
            return None
        try:
            return self.tiles.receipt(index)
        except RefusedError as error:
            if error.code != "NOT_FOUND":
                raise
            return None

    def leaf_hashes(self, indexes: Iterable[int]) -> list[bytes]:
        """Give the leaf hashes at these indexes, without those beyond the log's size."""
        size = self.tiles.checkpoint().size
        hashes: list[bytes] = []
        tile, number = b"", -1
        for index in sorted(index for index in indexes if 0 <= index < size):
            if index // TILE_WIDTH != number:
                number = index // TILE_WIDTH
                tile = self.tiles.read_tile(0, number, tile_width(0, number, size)) or b""
            start = index % TILE_WIDTH * HASH_SIZE
            hashes.append(tile[start : start + HASH_SIZE])
        return hashes

    def v1_checkpoint(self, checkpoint: SignedCheckpoint) -> V1Checkpoint:
        """Give the same tree as v1 clients read it, signed once for each size."""
        signed = self._v1_checkpoint
        if (signed.size, signed.root) != (checkpoint.size, checkpoint.root):
            envelope = self.key.sign_v1_checkpoint(checkpoint.size, checkpoint.root)
            # Another thread may do the same: either one is good.
            signed = V1Checkpoint(checkpoint.size, checkpoint.root, envelope)
            self._v1_checkpoint = signed
        return signed

    def consistency(self, old_size: int, new_size: int) -> tuple[tuple[bytes, ...], bytes]:
        """Prove that the tree of `new_size` extends that of `old_size`; also give the newest root.

        Raises REQUEST_MALFORMED if the log has no such trees.
        """
        newest = self.tiles.checkpoint()
        if old_size > new_size:
            raise MalformedError(
                "REQUEST_MALFORMED",
                f"firstSize({old_size}) must be less than lastSize({new_size})",
            )
        if new_size > newest.size:
            raise MalformedError(
                "REQUEST_MALFORMED",
                f"the tree size requested({new_size}) was greater than what is currently "
                f"observable({newest.size})",
            )
        return self.tiles.consistency(old_size, new_size), newest.root
