"""Waiting for entries in an asyncio loop, which is woken once for each batch.

What the loop's ready tasks append goes to the log together, before the loop looks for new events:
under load that makes batches of many entries without a delay, and an idle log commits at once.
"""

import asyncio
from collections.abc import Sequence

from touchplate.errors import TouchplateError
from touchplate.tilelog.batch import Outcome
from touchplate.tilelog.entry import Receipt, Submission
from touchplate.tilelog.log import TileLog


class LoopAppender:
    """Appends to a log from the thread of one event loop."""

    def __init__(self, log: TileLog, loop: asyncio.AbstractEventLoop) -> None:
        self._log = log
        self._loop = loop
        self._deliver = self._wake  # one value, so that the log sees equal ones
        self._gathered: list[tuple[Submission, asyncio.Future[Receipt]]] = []

    def append(self, submission: Submission) -> asyncio.Future[Receipt]:
        """Append an entry; await the receipt, or what `TileLog.append` raises."""
        future: asyncio.Future[Receipt] = self._loop.create_future()
        if not self._gathered:
            self._loop.call_soon(self._submit)
        self._gathered.append((submission, future))
        return future

    def _submit(self) -> None:
        gathered, self._gathered = self._gathered, []
        for submission, future in gathered:
            try:
                self._log.submit(submission, future, self._deliver)
            except TouchplateError as error:  # full, or frozen: whoever waits must hear of it
                if not future.done():
                    future.set_exception(error)

    def _wake(self, tickets: Sequence[tuple[asyncio.Future[Receipt], Outcome]]) -> None:
        # A loop that was closed has nobody left who waits.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_resolve, tickets)


def _resolve(tickets: Sequence[tuple[asyncio.Future[Receipt], Outcome]]) -> None:
    for future, outcome in tickets:
        if future.done():
            continue  # who waited has gone away; the entry is in the log all the same
        if isinstance(outcome, Receipt):
            future.set_result(outcome)
        else:
            future.set_exception(outcome)
