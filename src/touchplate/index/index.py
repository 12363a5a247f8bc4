"""`Index`: one for all trees of the log. It follows, answers, and is made again.

Of many processes over one database one follows at a time, by a lease; the others read what it
wrote. Two that follow at once do the work twice and nothing worse.
"""

import logging
import secrets
from collections.abc import Callable, Sequence
from datetime import timedelta
from threading import Event, Thread
from time import sleep
from typing import Final, NamedTuple

from touchplate.errors import TouchplateError, UnavailableError
from touchplate.index.candidates import Budget, BudgetSpentError, candidates
from touchplate.index.cursor import Cursor, encode_cursor, parse_cursor
from touchplate.index.follow import Follower
from touchplate.index.query import DEFAULT_LIMIT, Query
from touchplate.index.search import Page, Part, Tree, order, search_tree
from touchplate.index.settings import IndexSettings
from touchplate.index.texts import V1, hasher
from touchplate.storage.index import IndexDatabase

MAX_V1: Final = 10_001
"""Entries that a search by v1 keys gives: one more than that API answers."""
MAX_V1_SCANNED: Final = 1_000_000

_RETRY: Final = timedelta(seconds=1)  # after a failure
_MAX_REST: Final = timedelta(seconds=1)  # between two steps of work

_logger = logging.getLogger(__name__)


class Progress(NamedTuple):
    """How far one tree is indexed."""

    tree_id: int
    indexed: int  # entries
    size: int  # of the newest checkpoint
    behind_ms: int  # since when the first entry that is not indexed has been in the log, else 0


class Index:
    """The search index of the log's trees, oldest first. Any thread may call the methods.

    The caller opened the database and closes it after the index. `now_ms` is the clock (Unix).
    """

    def __init__(
        self,
        trees: Sequence[Tree],
        database: IndexDatabase,
        now_ms: Callable[[], int],
        settings: IndexSettings | None = None,
    ) -> None:
        self._trees = tuple(trees)
        self._database = database
        self._now_ms = now_ms
        self._settings = settings or IndexSettings()
        self._make = hasher(database.salt())
        self._holder = secrets.token_hex(8)
        # Whether it leads, and until when that need not be asked again.
        self._known = dict.fromkeys(self._trees, (False, 0))
        self._closing = Event()
        self._thread: Thread | None = None

    def add(self, tree: Tree) -> None:
        """Follow a further tree, the newest one."""
        self._known[tree] = False, 0
        self._trees = (*self._trees, tree)

    def start(self) -> None:
        """Follow the log in a thread of its own, until the index is closed."""
        self._thread = Thread(target=self._run, name="index", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread; another process may follow at once."""
        self._closing.set()
        if self._thread is None:
            return
        self._thread.join()
        self._thread = None
        try:
            for tree, (leads, _) in self._known.items():
                if leads:
                    self._database.lead(tree.name, self._holder, self._now_ms(), 0)
        except UnavailableError as error:
            _logger.warning("the index is followed again in %s: %s", self._settings.lease, error)

    def catch_up(self, report: Callable[[Progress], None] | None = None) -> None:
        """Index all that the log has now, in this thread; another process may do a part of it.

        Raises VerificationError TLOG_INVALID, UnavailableError.
        """
        for tree in self._trees:
            follower = self._follower(tree)
            while follower.step():
                if report is not None:
                    report(self._progress(tree))

    def rebuild(self, report: Callable[[Progress], None] | None = None) -> None:
        """Make the index again from the log. If it is interrupted, `catch_up` goes on with it.

        Raises as `catch_up` does.
        """
        for tree in self._trees:
            self._database.drop(tree.name)
        self.catch_up(report)

    def progress(self) -> tuple[Progress, ...]:
        """Say how far each tree is indexed."""
        return tuple(map(self._progress, self._trees))

    def size(self) -> int:
        """Give the bytes of the index."""
        return self._database.size()

    def search(
        self,
        query: Query,
        *,
        cursor: str | None = None,
        limit: int = DEFAULT_LIMIT,
        proofs: bool = False,
    ) -> Page:
        """Give one page of what matches; the page's `cursor` leads to the next one.

        A page is of one tree. Pages that follow each other by cursors hold every entry that matched
        when the first one was asked for, once each. Raises REQUEST_MALFORMED for a cursor of
        another query, TLOG_INVALID, UnavailableError.
        """
        fingerprint = query.fingerprint()
        trees = order(self._trees, newest_first=query.newest_first)
        place: int | None = None
        if cursor:
            begins = parse_cursor(cursor, fingerprint)
            numbers = [tree.tree_id for tree in trees]
            # A tree that is gone has no more entries: its place is not known, so begin anew there.
            if begins.tree_id in numbers:
                trees = trees[numbers.index(begins.tree_id) :]
                place = begins.entry
        for number, tree in enumerate(trees):
            part = search_tree(
                tree,
                self._database,
                self._make,
                query,
                offset=self._offset(tree),
                place=place,
                limit=limit,
                proofs=proofs,
                max_scanned=self._settings.max_scanned,
            )
            place = None
            following = self._following(part, tree, trees[number + 1 :], query)
            if part.rows or part.go_on is not None or following is None:
                next_cursor = following and encode_cursor(following, fingerprint)
                return Page(part.rows, part.checkpoint, next_cursor)
        return Page((), None, None)

    def find_v1(self, keys: tuple[str, ...], all_of: bool) -> list[tuple[int, int]]:  # noqa: FBT001 - the seam of API v1
        """Give (tree id, index) of the entries with all, or any, of these v1 keys, newest first.

        At most MAX_V1. Eventually consistent, as that API is.
        """
        terms = [self._make(V1, key.lower()) for key in keys]
        conditions = [(term,) for term in terms] if all_of else [tuple(terms)]
        found: list[tuple[int, int]] = []
        for tree in reversed(self._trees):
            entries = candidates(
                self._database,
                tree.name,
                conditions if terms else [()],
                0,
                self._database.next(tree.name),
                newest_first=True,
                budget=Budget(MAX_V1_SCANNED),
            )
            try:
                for entry in entries:
                    found.append((tree.tree_id, entry))
                    if len(found) == MAX_V1:
                        return found
            except BudgetSpentError:
                return found
        return found

    def _following(
        self, part: Part, tree: Tree, later: Sequence[Tree], query: Query
    ) -> Cursor | None:
        """Give where to go on after a part: in its tree, else where the next one begins."""
        if part.go_on is not None:
            return Cursor(tree.tree_id, part.go_on)
        if not later:
            return None
        newest = self._database.next(later[0].name) if query.newest_first else 0
        return Cursor(later[0].tree_id, newest)

    def _offset(self, tree: Tree) -> int:
        """Give the first virtual index of a tree: the sizes of those before it."""
        before = self._trees[: self._trees.index(tree)]
        return sum(each.log.checkpoint().size for each in before)

    def _progress(self, tree: Tree) -> Progress:
        size = tree.log.checkpoint().size
        indexed = min(size, self._database.next(tree.name))
        behind_ms = 0
        if indexed < size:
            entry = tree.log.entry(indexed)
            behind_ms = max(0, self._now_ms() - entry.time_ms) if entry is not None else 0
        return Progress(tree.tree_id, indexed, size, behind_ms)

    def _follower(self, tree: Tree) -> Follower:
        return Follower(tree, self._database, self._settings.max_batch, _give_way)

    def _run(self) -> None:
        followers: list[tuple[Tree, Follower]] = []
        told = ""
        while not self._closing.is_set():
            # Trees are added while it runs.
            followers += [(each, self._follower(each)) for each in self._trees[len(followers) :]]
            began_ms, worked = self._now_ms(), False
            try:
                for tree, follower in followers:
                    worked |= self._leads(tree) and follower.step()
                rest = self._rest(self._now_ms() - began_ms) if worked else self._settings.poll
            except TouchplateError as error:
                # What cannot be indexed now is tried again; the operator is told once.
                if told != str(error):
                    _logger.warning("the index cannot follow the log: %s: %s", error.code, error)
                told, rest = str(error), _RETRY
            else:
                told = ""
            self._closing.wait(rest.total_seconds())

    def _rest(self, worked_ms: int) -> timedelta:
        """Give how long to leave the processor to requests, and let entries gather, after work.

        A step costs about as much as thirty entries, however few it finds.
        """
        behind = sum(
            each.log.checkpoint().size - self._database.next(each.name) for each in self._trees
        )
        if behind > self._settings.max_lag:
            return timedelta()
        # Whatever the clock does.
        rest = timedelta(milliseconds=worked_ms)
        return min(max(self._settings.poll, rest), _MAX_REST)

    def _leads(self, tree: Tree) -> bool:
        """Say whether this process follows the tree now.

        It asks again when half of its time is up; if somebody else has it, after a quarter.
        """
        now_ms = self._now_ms()
        lease_ms = self._settings.lease // timedelta(milliseconds=1)
        leads, until_ms = self._known[tree]
        if now_ms < until_ms <= now_ms + lease_ms:
            return leads
        leads = self._database.lead(tree.name, self._holder, now_ms, now_ms + lease_ms)
        self._known[tree] = leads, now_ms + lease_ms // (2 if leads else 4)
        return leads


def _give_way() -> None:
    """Let threads that answer requests have the interpreter; costs 50 us even if none waits."""
    sleep(0)
