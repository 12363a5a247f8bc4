"""Following one tree: entries -> leaves -> root, consistent with the checkpoint -> postings.

Nothing is indexed that does not lead to a signed checkpoint: the leaf hashes are computed from the
entries themselves, the tree that they make is extended from the edge of what is indexed, and a
consistency proof binds it to the newest checkpoint. An edge that was read wrongly cannot lead there
either.
"""

import logging
from collections.abc import Callable
from typing import Final

from touchplate.entries.terms import terms
from touchplate.errors import MalformedError, VerificationError
from touchplate.index.search import Tree, read_hashes
from touchplate.index.texts import Hash, hasher, terms_of
from touchplate.merkle.edge import EMPTY_EDGE, Edge, extend, levels_of
from touchplate.merkle.proof import check_consistency
from touchplate.merkle.tile import TILE_WIDTH, partial_width, tile_path
from touchplate.merkle.tree import LeafHash, RootHash, leaf_hash
from touchplate.storage.index import IndexDatabase, encode_entry
from touchplate.tilelog.bundle import record_data, split_records
from touchplate.tilelog.entry import SignedCheckpoint

# A pause costs what runs then the caches, and us when we go on; requests wait 3 ms for it.
_PAUSE_ENTRIES: Final = 96

_logger = logging.getLogger(__name__)


class Follower:
    """Brings the index of one tree up to its checkpoint. One thread uses it."""

    def __init__(
        self, tree: Tree, database: IndexDatabase, max_batch: int, pause: Callable[[], None]
    ) -> None:
        """Read at most `max_batch` entries at a time; `pause` is called each few milliseconds."""
        self._tree = tree
        self._database = database
        self._make: Hash = hasher(database.salt())
        self._max_batch = max(TILE_WIDTH, max_batch - max_batch % TILE_WIDTH)
        self._pause = pause
        self._edge = EMPTY_EDGE  # as far as this process knows

    def step(self) -> bool:
        """Index the next entries; say whether there were any.

        Raises VerificationError TLOG_INVALID if they do not lead to the checkpoint: they are then
        not indexed. An index of another tree than the log's, which was restored from a backup or
        exchanged, begins again.
        """
        name, log = self._tree.name, self._tree.log
        # In this order: whoever indexed them had a checkpoint of as many entries.
        first, root = self._database.tip(name)
        checkpoint = log.checkpoint()
        if not self._is_of_this_tree(first, root, checkpoint):
            _logger.warning("the index of tree %s is of another tree: it begins again", name)
            self._database.drop(name)
            self._edge = EMPTY_EDGE
            return True
        if first == checkpoint.size:
            return False
        # Whole bundles, or all that there is.
        stop = min(checkpoint.size, first - first % TILE_WIDTH + self._max_batch)
        leaves, postings = self._read(first, stop)
        edge, root = self._extend(leaves, checkpoint)
        if self._database.add(name, first, stop, postings, root):
            self._edge = edge
        while self._database.tidy(name, self._pause):
            pass
        return True

    def _read(self, first: int, stop: int) -> tuple[list[LeafHash], list[bytes]]:
        """Give the leaf hashes and the postings of the entries [first, stop)."""
        leaves: list[LeafHash] = []
        postings: list[bytes] = []
        for bundle in range(first // TILE_WIDTH, -(-stop // TILE_WIDTH)):
            start = bundle * TILE_WIDTH
            records = self._records(bundle, min(TILE_WIDTH, stop - start))
            for index, record in enumerate(records[max(0, first - start) :], max(first, start)):
                body = record_data(record)
                leaves.append(leaf_hash(body))
                entry = encode_entry(index)
                postings += [term + entry for term in terms_of(terms(body), self._make)]
                if not index % _PAUSE_ENTRIES:
                    self._pause()
        return leaves, postings

    def _records(self, bundle: int, width: int) -> list[bytes]:
        path = tile_path("entries", bundle, width)
        data = self._tree.log.read_entries(bundle, width)
        if data is None:
            raise VerificationError("TLOG_INVALID", f"{path} is missing")
        try:
            records = split_records(data)
        except MalformedError as error:
            raise VerificationError("TLOG_INVALID", f"{path} is malformed: {error}") from error
        if len(records) != width:
            raise VerificationError("TLOG_INVALID", f"{path} holds {len(records)} entries")
        return records

    def _is_of_this_tree(self, size: int, root: bytes, checkpoint: SignedCheckpoint) -> bool:
        """Say whether the indexed entries are those of the log; loads their edge if need be."""
        if size > checkpoint.size:
            return False
        if self._edge.size != size:
            self._edge = self._load_edge(size)
        found = self._edge.root()
        if not size or found == root:
            return True
        # A log whose tiles are damaged must not cost it its index too.
        self._edge = EMPTY_EDGE
        self._check(size, found, checkpoint)
        return False

    def _extend(
        self, leaves: list[LeafHash], checkpoint: SignedCheckpoint
    ) -> tuple[Edge, RootHash]:
        """Prove that the leaves go on from what is indexed, towards the checkpoint."""
        growth = extend(self._edge, leaves)
        self._check(growth.edge.size, growth.root(), checkpoint)
        return growth.edge, growth.root()

    def _check(self, size: int, root: RootHash, checkpoint: SignedCheckpoint) -> None:
        proof = self._tree.log.consistency(size, checkpoint.size)
        try:
            check_consistency(size, checkpoint.size, proof, root, checkpoint.root)
        except VerificationError as error:
            raise VerificationError(
                "TLOG_INVALID",
                f"the entries up to {size} do not lead to the checkpoint of size {checkpoint.size}",
                expected=error.expected,
                found=error.found,
                hint="find what is wrong: touchplate log check",
            ) from error

    def _load_edge(self, size: int) -> Edge:
        tiles = []
        for level in range(levels_of(size)):
            width = partial_width(level, size)
            index = size >> 8 * (level + 1)
            tiles.append(read_hashes(self._tree, level, index, width) if width else b"")
        return Edge.of_tiles(size, tiles)
