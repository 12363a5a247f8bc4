"""The log's trees: frozen ones, which never change, and the active one, which takes entries.

To clients of API v2 each is a log of its own. API v1 numbers entries over all of them: the virtual
index of an entry is its index in its tree, plus the sizes of the trees before it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from threading import Lock
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


@dataclass(frozen=True, slots=True)
class _Trees:
    """The trees at one time, exchanged as a whole."""

    active: TransparencyLog
    frozen: tuple[TransparencyLog, ...]
    # The first virtual index of each tree, by its id.
    offsets: Mapping[int, int]
    by_tree: Mapping[int, TransparencyLog]


class Shards:
    """The trees, the frozen ones oldest first. Any thread may call the methods.

    The order and sizes of the frozen trees decide every virtual index, for ever. So a tree takes
    entries only once the one before it is frozen.
    """

    def __init__(self, active: TransparencyLog, frozen: Iterable[TransparencyLog] = ()) -> None:
        """Take the trees; raises SETTINGS_INVALID if two have the same tree id."""
        self.successor: Callable[[], TransparencyLog | None] | None = None
        """Opens the tree after the active one, which it has frozen; None: there is none.

        Called by one thread at a time. Raises UnavailableError.
        """
        self._lock = Lock()  # of who exchanges the trees
        first, *later = (*frozen, active)
        self._trees = _Trees(first, (), {first.key.tree_id: 0}, {first.key.tree_id: first})
        for log in later:
            self._trees = _succeeded(self._trees, log)

    @property
    def active(self) -> TransparencyLog:
        """Give the tree that takes entries, unless all are frozen."""
        return self._trees.active

    @property
    def frozen(self) -> tuple[TransparencyLog, ...]:
        """Give the trees before it, oldest first."""
        return self._trees.frozen

    @property
    def oldest_first(self) -> tuple[TransparencyLog, ...]:
        """Give all trees in the order of their virtual indexes."""
        trees = self._trees
        return (*trees.frozen, trees.active)

    @property
    def newest_first(self) -> tuple[TransparencyLog, ...]:
        """Give the active tree, then the frozen ones, oldest first: the order of v1's lookups."""
        trees = self._trees
        return (trees.active, *trees.frozen)

    def follow(self, log: TransparencyLog | None = None) -> bool:
        """Take up the tree that comes after `log`, or after the active one.

        Says whether there is one. Raises UnavailableError; then all is as it was.
        """
        with self._lock:
            if log is not None and log is not self.active:
                return True
            following = self.successor() if self.successor else None
            if following is None:
                return False
            self._trees = _succeeded(self._trees, following)
            return True

    def tree(self, tree_id: int) -> TransparencyLog | None:
        """Give the tree with this id, or None."""
        return self._trees.by_tree.get(tree_id)

    def named(self, host: str) -> TransparencyLog | None:
        """Give the newest tree whose origin this is, or None."""
        for log in reversed(self.oldest_first):
            if log.key.origin == host:
                return log
        return None

    def found(self, log: TransparencyLog, receipt: Receipt) -> Found:
        """Give an entry of `log` its virtual index."""
        return Found(log, receipt, self._trees.offsets[log.key.tree_id] + receipt.index)

    def read(self, virtual_index: int) -> Found | None:
        """Give the entry with this virtual index; one beyond the frozen trees is in the active."""
        trees = self._trees
        log, offset = trees.active, trees.offsets[trees.active.key.tree_id]
        for older in reversed(trees.frozen):
            if virtual_index >= offset:
                break
            log, offset = older, trees.offsets[older.key.tree_id]
        receipt = log.read(virtual_index - offset)
        return None if receipt is None else self.found(log, receipt)

    def find(self, leaf: bytes, tree_id: int | None = None) -> Found | None:
        """Give the entry with this leaf hash in the tree named, or in the first that has it."""
        return next(iter(self._hits(leaf, tree_id, at_most=1)), None)

    def find_all(self, leaf: bytes) -> tuple[Found, ...]:
        """Give the entry of each tree that has this leaf hash, of the active one first."""
        return self._hits(leaf, None, at_most=len(self._trees.by_tree))

    def _hits(self, leaf: bytes, tree_id: int | None, at_most: int) -> tuple[Found, ...]:
        hits: list[Found] = []
        for log in self.newest_first:
            if tree_id in (None, log.key.tree_id) and len(hits) < at_most:
                receipt = log.find(leaf)
                if receipt is not None:
                    hits.append(self.found(log, receipt))
        return tuple(hits)


def _succeeded(trees: _Trees, log: TransparencyLog) -> _Trees:
    """Give the trees with `log` after the active one, which is frozen by now."""
    tree_id, before = log.key.tree_id, trees.active
    if tree_id in trees.offsets:
        raise SettingsError(
            "SETTINGS_INVALID", "two trees of the log have the same id", found=str(tree_id)
        )
    # Of what is committed: witnesses may not have signed the last entries yet.
    offset = trees.offsets[before.key.tree_id] + before.tiles.committed().size
    return replace(
        trees,
        active=log,
        frozen=(*trees.frozen, before),
        offsets={**trees.offsets, tree_id: offset},
        by_tree={tree_id: log, **trees.by_tree},
    )
