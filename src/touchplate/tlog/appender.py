"""Appending from an event loop, whichever one is running, to whichever tree takes entries."""

import asyncio
from collections.abc import Callable
from functools import partial
from threading import get_ident

from touchplate.errors import RefusedError
from touchplate.tilelog.batch import Outcome
from touchplate.tilelog.entry import Receipt, Submission
from touchplate.tilelog.eventloop import LoopAppender
from touchplate.tlog.log import TransparencyLog
from touchplate.tlog.shards import Shards

# Called in the loop with the tree, and the receipt or what `TileLog.append` raises.
Told = Callable[[TransparencyLog, Outcome], None]


class Appender:
    """Appends to the active tree; one thread calls it, from a running event loop.

    An entry that finds its tree frozen goes to the one that comes after it, if there is one: so
    none is lost when the log is rotated.
    """

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._thread = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._log: TransparencyLog | None = None
        self._appender: LoopAppender | None = None

    def __call__(self, submission: Submission) -> asyncio.Future[tuple[TransparencyLog, Receipt]]:
        """Append an entry; await its tree and receipt. Raises and fails as `TileLog.append`."""
        future = asyncio.get_running_loop().create_future()
        self.then(submission, partial(_settle, future))
        return future

    def then(self, submission: Submission, told: Told) -> None:
        """Append an entry and have `told` called in the loop, later and once."""
        log = self._shards.active
        self._of_this_loop(log).append_then(submission, partial(self._tell, log, submission, told))

    def _tell(
        self, log: TransparencyLog, submission: Submission, told: Told, outcome: Outcome
    ) -> None:
        if not isinstance(outcome, RefusedError) or outcome.code != "LOG_FROZEN":
            told(log, outcome)
            return
        # Opening the next tree takes files or a network: not in the loop.
        following = asyncio.get_running_loop().run_in_executor(None, self._shards.follow, log)
        following.add_done_callback(partial(self._followed, log, submission, told, outcome))

    def _followed(
        self,
        log: TransparencyLog,
        submission: Submission,
        told: Told,
        outcome: Outcome,
        following: asyncio.Future[bool],
    ) -> None:
        if following.cancelled():
            told(log, outcome)
        elif isinstance(failure := following.exception(), Exception):
            told(log, failure)
        elif following.result():
            self.then(submission, told)
        else:
            told(log, outcome)

    def _of_this_loop(self, log: TransparencyLog) -> LoopAppender:
        appender, loop, thread = self._appender, self._loop, get_ident()
        # asyncio's own way to ask is a system call for each entry before Python 3.12.
        if (
            appender is None
            or loop is None
            or log is not self._log
            or thread != self._thread
            or not loop.is_running()
        ):
            self._thread, self._log = thread, log
            self._loop = asyncio.get_running_loop()
            appender = self._appender = LoopAppender(log.tiles, self._loop)
        return appender


def _settle(
    future: asyncio.Future[tuple[TransparencyLog, Receipt]], log: TransparencyLog, outcome: Outcome
) -> None:
    if future.done():
        return  # who waited has gone away; the entry is in the log all the same
    if isinstance(outcome, Receipt):
        future.set_result((log, outcome))
    else:
        future.set_exception(outcome)
