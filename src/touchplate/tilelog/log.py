"""`TileLog`: an append-only log in tiles, with group commit.

One thread commits. While it makes one batch durable, the next one gathers; when nothing waits, an
entry is committed at once. A second thread seals what is full, a third keeps the database's index
of identities small. Reading takes none of them.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import timedelta
from threading import Condition, Lock, Thread
from typing import Any, Final, TypeVar

from touchplate.errors import RefusedError, TouchplateError, UnavailableError
from touchplate.merkle.tile import TILE_WIDTH
from touchplate.merkle.tree import EMPTY_ROOT, RootHash
from touchplate.storage.database import LogDatabase, LogState
from touchplate.storage.objects import ObjectStore
from touchplate.tilelog.batch import Outcome, Sequencer, frozen
from touchplate.tilelog.check import check_log
from touchplate.tilelog.entry import (
    IDENTITY_SIZE,
    Receipt,
    SignedCheckpoint,
    StoredEntry,
    Submission,
)
from touchplate.tilelog.publish import Publisher
from touchplate.tilelog.seal import Sealer
from touchplate.tilelog.settings import TileLogSettings
from touchplate.tilelog.tiles import Tiles, checkpoint_of, existing

Ticket = TypeVar("Ticket")
_Waiting = tuple[Submission, Any, Callable[[Any], None]]

_BUSY_RETRY: Final = timedelta(seconds=1)
_PACED: Final = 4  # from this part of `max_unsealed` on, batches wait for the object store
_SEAL_RETRY_SECONDS: Final = 1.0  # after the object store failed
# How old the note of the published size may be: a crash and an older backup of the database can
# go unnoticed only if no entry is missing but those of this last second.
_NOTE_SECONDS: Final = 1.0
_GATHERED: Final = 8
_LATE: Final = 2  # times as many bundles, and another process seals them
_TIDY_ENTRIES: Final = 8192  # new ones after which the index of identities is tidied
_TIDY_RETRY_SECONDS: Final = 10.0
_PROBE_SECONDS: Final = 1.0  # after a batch failed
_BATCH_FAILED: Final = "a batch failed"
_SEAL_FAILED: Final = "could not seal"
_TIDY_FAILED: Final = "could not tidy the index of identities"

_logger = logging.getLogger(__name__)


class TileLog:
    """A log over a database and an object store, which the caller opened and closes afterwards.

    Opening makes a new log with a checkpoint of size 0, or goes on with the one that is there; it
    raises SettingsError STATE_BEHIND if that is behind what was published, and VerificationError
    TLOG_INVALID if its tiles do not lead to its checkpoint. Any thread may call the methods, and
    any number of processes may have the same log open.
    """

    def __init__(
        self, settings: TileLogSettings, database: LogDatabase, objects: ObjectStore
    ) -> None:
        self._settings = settings
        self._database = database
        self._tiles = Tiles(settings, database, objects)
        self._sequencer = Sequencer(settings, database, self._tiles)
        self._publisher = Publisher(settings, database, self._tiles)
        self._sealer = Sealer(settings, database, objects, self._tiles)
        lock = Lock()  # guards everything below
        self._changed = Condition(lock)  # for the thread that commits
        self._grown = Condition(lock)  # for the threads that seal and tidy
        self._waiting: deque[_Waiting] = deque()
        self._closing = False
        self._told: dict[str, str] = {}  # what fails now, as the operator was told
        self._seal_failed = False
        state = self._open()
        self._publisher.begin(state)
        self._frozen = state.frozen  # as far as this process knows
        self._size = state.size  # as far as this process knows
        self._sealed = state.sealed  # entries that rest in objects
        self._forgotten = state.sealed  # entries that rest in objects only
        # Bundles that are sealed in one go when entries come fast; less than batches wait for.
        self._gathered = min(_GATHERED * TILE_WIDTH, max(TILE_WIDTH, settings.max_unsealed // 8))
        # Entries that wait when others should have sealed; then batches do not wait yet.
        self._late = min(_LATE * self._gathered, self._paced())
        self._seals = False  # whether it is for this process to seal the next ones
        self._tidied = 0  # the size at which the index of identities was tidied last
        self._noted = 0  # the size that the object store was told last, as far as we know
        self._threads = tuple(
            Thread(target=run, name=f"{settings.name}-{name}", daemon=True)
            for name, run in (
                ("commit", self._run_commits),
                ("seal", self._run_seals),
                ("tidy", self._run_tidying),
            )
        )
        for thread in self._threads:
            thread.start()

    def append(self, submission: Submission) -> Future[Receipt]:
        """Append an entry. The receipt comes once it is durable, integrated and proven.

        Raises UnavailableError LOG_BUSY at once if too many entries wait, and RefusedError
        LOG_FROZEN. The future fails with that too if another process has frozen the log, with
        STORAGE_UNAVAILABLE, or with what signing, cosigning or `build` raised.
        """
        future: Future[Receipt] = Future()
        self.submit(submission, future, _resolve)
        return future

    def submit(
        self,
        submission: Submission,
        ticket: Ticket,
        deliver: Callable[[Sequence[tuple[Ticket, Outcome]]], None],
    ) -> None:
        """Append an entry, and have the ticket come back with the receipt or the exception.

        Equal `deliver`s are called once for each batch, with all of their tickets, in the
        committing thread: an event loop is woken once and not for each entry. They must not block.
        Raises UnavailableError LOG_BUSY and RefusedError LOG_FROZEN as `append` does.
        """
        if len(submission.identity) != IDENTITY_SIZE:
            raise AssertionError("an identity has 32 bytes")
        with self._changed:
            if self._frozen:
                raise frozen()
            if self._closing:
                raise UnavailableError("LOG_BUSY", "the log is closed", retry_after=_BUSY_RETRY)
            if len(self._waiting) >= self._settings.max_waiting:
                raise UnavailableError(
                    "LOG_BUSY",
                    f"{len(self._waiting)} entries wait for the log",
                    retry_after=_BUSY_RETRY,
                )
            if self._unsealed() >= self._settings.max_unsealed:
                raise UnavailableError(
                    "LOG_BUSY",
                    f"{self._unsealed()} entries wait for the object store",
                    retry_after=_BUSY_RETRY,
                )
            self._waiting.append((submission, ticket, deliver))
            if len(self._waiting) == 1:
                self._changed.notify_all()

    def checkpoint(self) -> SignedCheckpoint:
        """Give the published checkpoint, also when another process made it.

        With cosigning it is the newest that was cosigned, else the newest there is.
        """
        return self._tiles.published()

    def committed(self) -> SignedCheckpoint:
        """Give the newest checkpoint, which witnesses may not have signed yet."""
        return checkpoint_of(self._tiles.state())

    def publish_again(self) -> SignedCheckpoint:
        """Have the newest checkpoint cosigned anew, and published; give what is published.

        For fresh cosignatures on a tree that does not grow, and for entries that were committed
        and could not be published. Without cosigning it does nothing. Raises UnavailableError;
        then the published checkpoint stays.
        """
        return self._publisher.publish_again(self._settings.now_ms())

    @property
    def is_frozen(self) -> bool:
        """Say whether the log takes no more entries, also when another process froze it."""
        return self._tiles.state().frozen

    def freeze(self, extension: str) -> SignedCheckpoint:
        """Take no more entries, in any process, and sign the checkpoint with the extension line.

        What waits in a queue is refused. A log that is frozen stays as it is: to do it again
        changes nothing, but publishes the frozen checkpoint if cosigning had failed. Gives the
        published checkpoint. Raises UnavailableError.
        """
        with self._database.transaction() as transaction:
            state = existing(transaction.state())
            if not state.frozen:
                time_ms = max(self._settings.now_ms(), state.time_ms)
                envelope = self._settings.sign(
                    state.size, RootHash(state.root), time_ms, (extension,)
                )
                before = state
                state = replace(state, time_ms=time_ms, envelope=envelope, frozen=True)
                transaction.store(before, state)
        with self._changed:
            self._frozen = True
        return self._publisher.publish(state)

    def read_tile(self, level: int, index: int, width: int = TILE_WIDTH) -> bytes | None:
        """Give the first `width` hashes of a tile, or None if the log is not that large."""
        return self._tiles.read_tile(level, index, width)

    def read_entries(self, index: int, width: int = TILE_WIDTH) -> bytes | None:
        """Give the first `width` records of an entry bundle, or None if there are fewer."""
        return self._tiles.read_entries(index, width)

    def entry(self, index: int) -> StoredEntry | None:
        """Give an entry, or None if the log is not that large."""
        return self._tiles.entry(index)

    def find(self, identity: bytes) -> int | None:
        """Give the index of the entry with this identity, or None; it may not be published yet."""
        return self._database.find(identity)

    def receipt(self, index: int) -> Receipt:
        """Prove an entry's inclusion in `checkpoint()`. Raises RefusedError NOT_FOUND."""
        return self._tiles.receipt(index)

    def consistency(self, old_size: int, new_size: int) -> tuple[bytes, ...]:
        """Give the consistency proof between two sizes, up to that of `checkpoint()`.

        Raises RefusedError NOT_FOUND.
        """
        if new_size > self._tiles.published().size:
            raise RefusedError("NOT_FOUND", f"the log has not published a tree of {new_size}")
        return self._tiles.consistency(old_size, new_size)

    def root_at(self, size: int) -> RootHash:
        """Give the root that the tree had at an earlier size. Raises RefusedError NOT_FOUND."""
        if not 0 <= size <= self._tiles.state().size:
            raise RefusedError("NOT_FOUND", f"the log never had {size} entries")
        return self._tiles.root_at(size)

    def check_extends(self, size: int, root: bytes) -> None:
        """Hold the log to a checkpoint that somebody, such as a witness, has seen.

        Raises SettingsError STATE_BEHIND: then this log must not be written to.
        """
        self._sealer.check_extends(self._tiles.state(), size, root)

    def check(self) -> SignedCheckpoint:
        """Read everything again and prove that it leads to the checkpoint, which is returned.

        Raises VerificationError TLOG_INVALID. The time is linear in the log's size.
        """
        return check_log(self._settings, self._database, self._tiles)

    def reindex(self) -> None:
        """Make the database's index of identities again from the entries' stamps.

        Writers wait meanwhile, or fail; the time is linear in the log's size. `check` proves it
        afterwards. Raises VerificationError TLOG_INVALID if an identity comes twice.
        """
        self._database.reindex(self._tiles.identities())

    @property
    def failing(self) -> str | None:
        """Say what fails now in this process, or None: appending, or sealing what was appended.

        It is what happened the last time; after a failure both are tried again each second. An
        entry that fails alone is no failure of the log.
        """
        return self._told.get(_BATCH_FAILED) or self._told.get(_SEAL_FAILED)

    def close(self) -> None:
        """Commit what waits, seal what is full, and end the threads. May be called again."""
        with self._changed:
            if self._closing:
                return
            self._closing = True
            self._changed.notify_all()
            self._grown.notify_all()
        for thread in self._threads:
            thread.join()
        try:
            self._sequencer.commit(tuple, self._sealer.seal(self._sealed))
        except TouchplateError as error:
            self._warn("sealing is left to the next start", error)

    def _open(self) -> LogState:
        state = self._sealer.check_not_behind()
        if state is not None:
            self._tiles.edge(state)
            return state
        with self._database.transaction() as transaction:
            state = transaction.state()  # another process may have been quicker
            if state is None:
                time_ms = self._settings.now_ms()
                envelope = self._settings.sign(0, EMPTY_ROOT, time_ms, ())
                state = LogState(0, EMPTY_ROOT, time_ms, envelope, 0)
                transaction.store(None, state)
        return state

    def _run_commits(self) -> None:
        while True:
            with self._changed:
                probe = _BATCH_FAILED in self._told
                due = self._changed.wait_for(self._may_commit, _PROBE_SECONDS if probe else None)
                if self._closing and not self._waiting:
                    return
                sealed = self._sealed
            if due:
                self._commit(sealed)
            else:
                self._probe()

    def _probe(self) -> None:
        """Try to write after a failure, when nobody else does: who saw `failing` may stay away."""
        try:
            with self._database.transaction() as transaction:
                state = existing(transaction.state())
                transaction.store(state, state)
        except Exception as error:  # noqa: BLE001 - as a batch that fails
            self._warn(_BATCH_FAILED, error)
        else:
            self._recovered(_BATCH_FAILED)

    def _may_commit(self) -> bool:
        """Say whether there is a transaction to be made now."""
        if self._closing or self._sealed > self._forgotten:
            return True
        # Faster than the object store for a while: let it catch up, and the batch grow, rather
        # than turn anybody away. If it is failing there is nothing to wait for.
        return bool(self._waiting) and (self._seal_failed or self._unsealed() < self._paced())

    def _paced(self) -> int:
        """Give from how many unsealed entries on batches wait for the object store."""
        return max(TILE_WIDTH, self._settings.max_unsealed // _PACED)

    def _is_time_to_seal(self) -> bool:
        """Say whether this process should seal now: it began, or whoever began is late."""
        return self._unsealed() >= (self._gathered if self._seals else self._late)

    def _unsealed(self) -> int:
        """Give how many entries of full bundles are not in objects, as far as we know."""
        return self._size - self._size % TILE_WIDTH - self._sealed

    def _commit(self, sealed: int) -> None:
        """Commit a batch of what waits, and deliver it."""
        batch: list[_Waiting] = []

        def take() -> list[Submission]:
            with self._changed:
                count = min(len(self._waiting), self._settings.max_batch)
                batch.extend(self._waiting.popleft() for _ in range(count))
            return [submission for submission, _, _ in batch]

        try:
            outcomes = self._sequencer.commit(take, sealed)
        except Exception as error:  # noqa: BLE001 - this batch fails, the log goes on
            self._warn(_BATCH_FAILED, error)
            if not batch:
                take()  # they have waited for a transaction that did not begin
            outcomes = [error] * len(batch)
        else:
            self._recovered(_BATCH_FAILED)
        indexes = [each.index for each in outcomes if isinstance(each, Receipt)]
        top = max(indexes, default=-1) + 1
        with self._changed:
            first = outcomes[0] if outcomes else None
            if isinstance(first, RefusedError) and first.code == "LOG_FROZEN":
                self._frozen = True  # by another process; the others got the same
            # If dropping the rows failed, the next batch takes them along.
            self._forgotten = max(sealed, self._sequencer.sealed)
            self._sealed = max(self._sealed, self._sequencer.sealed)
            rested = self._size == self._noted
            self._size = max(self._size, top)
            # Of several processes the one whose entries have filled the last bundle of those that
            # are sealed in one go begins with it; the others would write the same objects.
            limit = self._sealed + self._gathered
            self._seals |= min(indexes, default=top) < limit <= top
            if (
                self._is_time_to_seal()
                or (rested and top > self._noted)
                or self._size - self._tidied >= _TIDY_ENTRIES
            ):
                self._grown.notify_all()
        _deliver(batch, outcomes)

    def _run_seals(self) -> None:
        while True:
            with self._grown:
                # Bundles are sealed a few at a time, which is less work for the disk; after a while
                # those that are full are sealed all the same, and that the log grew is noted.
                self._grown.wait_for(
                    lambda: self._size > self._noted or self._unsealed() > 0 or self._closing
                )
                self._grown.wait_for(
                    lambda: self._is_time_to_seal() or self._closing,
                    timeout=_NOTE_SECONDS,
                )
                if self._closing:
                    return
                start, size = self._sealed, self._size
            try:
                sealed = self._sealer.seal(start)
            except Exception as error:  # noqa: BLE001 - the rows stay until the store is back
                self._warn(_SEAL_FAILED, error)
                with self._grown:
                    self._seal_failed = True
                    self._changed.notify_all()
                    self._grown.wait_for(lambda: self._closing, timeout=_SEAL_RETRY_SECONDS)
                continue
            self._recovered(_SEAL_FAILED)
            with self._grown:
                self._sealed = max(self._sealed, sealed)
                self._noted = max(self._noted, size)
                self._seals = self._unsealed() >= self._gathered
                self._seal_failed = False
                self._changed.notify_all()

    def _run_tidying(self) -> None:
        while True:
            with self._grown:
                self._grown.wait_for(
                    lambda: self._size - self._tidied >= _TIDY_ENTRIES or self._closing
                )
                if self._closing:
                    return
                size = self._size
            try:
                self._database.tidy()
            except Exception as error:  # noqa: BLE001 - what was not tidied serves as well
                self._warn(_TIDY_FAILED, error)
                with self._grown:
                    self._grown.wait_for(lambda: self._closing, timeout=_TIDY_RETRY_SECONDS)
                continue
            self._recovered(_TIDY_FAILED)
            with self._grown:
                self._tidied = size

    def _warn(self, what: str, error: Exception) -> None:
        """Tell the operator, once for as long as it fails in the same way.

        A disk that is full fails every batch, and may be the disk of the operator's log too. Where
        it happened matters only if it is not one of our errors.
        """
        if self._told.get(what) == str(error):
            return
        self._told[what] = str(error)
        trace = None if isinstance(error, TouchplateError) else error
        _logger.warning("%s: %s: %s", self._settings.name, what, error, exc_info=trace)

    def _recovered(self, what: str) -> None:
        if self._told.pop(what, None) is not None:
            _logger.warning("%s: no longer: %s", self._settings.name, what)


def _deliver(batch: Sequence[_Waiting], outcomes: Sequence[Outcome]) -> None:
    """Give every deliver its tickets back, in one call."""
    grouped: dict[Callable[[Any], None], list[tuple[Any, Outcome]]] = {}
    for (_, ticket, deliver), outcome in zip(batch, outcomes, strict=True):
        grouped.setdefault(deliver, []).append((ticket, outcome))
    for deliver, tickets in grouped.items():
        try:
            deliver(tickets)
        except Exception:
            # Those who wait there are lost; the log and the others are not.
            _logger.exception("delivering receipts failed")


def _resolve(tickets: Sequence[tuple[Future[Receipt], Outcome]]) -> None:
    for future, outcome in tickets:
        if not future.set_running_or_notify_cancel():
            continue
        if isinstance(outcome, Receipt):
            future.set_result(outcome)
        else:
            future.set_exception(outcome)
