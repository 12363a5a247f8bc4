"""The log's trees: frozen ones, which never change, and the active one, which takes entries.

To clients of API v2 each is a log of its own. API v1 numbers entries over all of them: the virtual
index of an entry is its index in its tree, plus the sizes of the trees before it.
"""

from collections.abc import Iterable
from typing import NamedTuple

from touchplate.errors import SettingsError
from touchplate.tilelog.entry import Receipt
from touchplate.tlog.log import TransparencyLog


class Found(NamedTuple):
    """An entry and the tree that holds it. It is promised and proven with that tree's key."""

    log: TransparencyLog
    receipt: Receipt
    virtual_index: int

    @property
    def entry_id(self) -> str:
        """Give the 80 hex digits that name the entry: the tree id and the leaf hash."""
        return f"{self.log.key.tree_id:016x}{self.receipt.leaf_hash.hex()}"


class Shards:
    """The trees, the frozen ones oldest first. Any thread may call the methods.

    The order and sizes of the frozen trees decide every virtual index, for ever.
    """

    def __init__(self, active: TransparencyLog, frozen: Iterable[TransparencyLog] = ()) -> None:
        """Take the trees; raises SETTINGS_INVALID if two have the same tree id."""
        self.active = active
        self.frozen = tuple(frozen)
        self._offsets: dict[int, int] = {}
        offset = 0
        for log in self.frozen:
            self._place(log, offset)
            offset += log.tiles.checkpoint().size
        self._place(active, offset)
        self._by_tree = {log.key.tree_id: log for log in self.newest_first}

    @property
    def newest_first(self) -> tuple[TransparencyLog, ...]:
        """Give the active tree, then the frozen ones, oldest first: the order of v1's lookups."""
        return (self.active, *self.frozen)

    def tree(self, tree_id: int) -> TransparencyLog | None:
        """Give the tree with this id, or None."""
        return self._by_tree.get(tree_id)

    def found(self, log: TransparencyLog, receipt: Receipt) -> Found:
        """Give an entry of `log` its virtual index."""
        return Found(log, receipt, self._offsets[log.key.tree_id] + receipt.index)

    def read(self, virtual_index: int) -> Found | None:
        """Give the entry with this virtual index; one beyond the frozen trees is in the active."""
        log, offset = self.active, self._offsets[self.active.key.tree_id]
        for older in reversed(self.frozen):
            if virtual_index >= offset:
                break
            log, offset = older, self._offsets[older.key.tree_id]
        receipt = log.read(virtual_index - offset)
        return None if receipt is None else self.found(log, receipt)

    def find(self, leaf: bytes, tree_id: int | None = None) -> Found | None:
        """Give the entry with this leaf hash in the tree named, or in the first that has it."""
        return next(iter(self._hits(leaf, tree_id, at_most=1)), None)

    def find_all(self, leaf: bytes) -> tuple[Found, ...]:
        """Give the entry of each tree that has this leaf hash, of the active one first."""
        return self._hits(leaf, None, at_most=len(self._by_tree))

    def _hits(self, leaf: bytes, tree_id: int | None, at_most: int) -> tuple[Found, ...]:
        hits: list[Found] = []
        for log in self.newest_first:
            if tree_id in (None, log.key.tree_id) and len(hits) < at_most:
                receipt = log.find(leaf)
                if receipt is not None:
                    hits.append(self.found(log, receipt))
        return tuple(hits)

    def _place(self, log: TransparencyLog, offset: int) -> None:
        tree_id = log.key.tree_id
        if tree_id in self._offsets:
            raise SettingsError(
                "SETTINGS_INVALID", "two trees of the log have the same id", found=str(tree_id)
            )
        self._offsets[tree_id] = offset
