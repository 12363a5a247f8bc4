"""Waiting for entries in an asyncio loop, which is woken once for each batch.

What the loop's ready tasks append goes to the log together, before the loop looks for new events:
under load that makes batches of many entries without a delay, and an idle log commits at once.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial

from touchplate.errors import TouchplateError
from touchplate.tilelog.batch import Outcome
from touchplate.tilelog.entry import Receipt, Submission
from touchplate.tilelog.log import TileLog

# Called in the loop with the receipt, or with what `TileLog.append` raises.
Done = Callable[[Outcome], None]

_logger = logging.getLogger(__name__)


class LoopAppender:
    """Appends to a log from the thread of one event loop."""

    def __init__(self, log: TileLog, loop: asyncio.AbstractEventLoop) -> None:
        self._log = log
        self._loop = loop
        self._deliver = self._wake  # one value, so that the log sees equal ones
        self._gathered: list[tuple[Submission, Done]] = []

    def append(self, submission: Submission) -> asyncio.Future[Receipt]:
        """Append an entry; await the receipt, or what `TileLog.append` raises."""
        future: asyncio.Future[Receipt] = self._loop.create_future()
        self.append_then(submission, partial(_settle, future))
        return future

    def append_then(self, submission: Submission, done: Done) -> None:
        """Append an entry and have `done` called, later and once."""
        if not self._gathered:
            self._loop.call_soon(self._submit)
        self._gathered.append((submission, done))

    def _submit(self) -> None:
        gathered, self._gathered = self._gathered, []
        for submission, done in gathered:
            try:
                self._log.submit(submission, done, self._deliver)
            except TouchplateError as error:  # full, or frozen: whoever waits must hear of it
                _tell_all(((done, error),))

    def _wake(self, tickets: Sequence[tuple[Done, Outcome]]) -> None:
        # A loop that was closed has nobody left who waits.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_tell_all, tickets)


def _tell_all(tickets: Sequence[tuple[Done, Outcome]]) -> None:
    for done, outcome in tickets:
        try:
            done(outcome)
        except Exception:
            # The others of the batch wait for theirs.
            _logger.exception("telling of an entry failed")


def _settle(future: asyncio.Future[Receipt], outcome: Outcome) -> None:
    if future.done():
        return  # who waited has gone away; the entry is in the log all the same
    if isinstance(outcome, Receipt):
        future.set_result(outcome)
    else:
        future.set_exception(outcome)
