"""Appending from an event loop, whichever one is running."""

import asyncio
from threading import get_ident

from touchplate.tilelog.entry import Receipt, Submission
from touchplate.tilelog.eventloop import Done, LoopAppender
from touchplate.tilelog.log import TileLog


class Appender:
    """Appends to a log; one thread calls it, from a running event loop."""

    def __init__(self, log: TileLog) -> None:
        self._log = log
        self._thread = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._appender: LoopAppender | None = None

    def __call__(self, submission: Submission) -> asyncio.Future[Receipt]:
        """Append an entry; await the receipt. Raises and fails as `TileLog.append` does."""
        return self._of_this_loop().append(submission)

    def then(self, submission: Submission, done: Done) -> None:
        """Append an entry and have `done` called in the loop (`LoopAppender.append_then`)."""
        self._of_this_loop().append_then(submission, done)

    def _of_this_loop(self) -> LoopAppender:
        appender, loop, thread = self._appender, self._loop, get_ident()
        # asyncio's own way to ask is a system call for each entry before Python 3.12.
        if appender is None or loop is None or thread != self._thread or not loop.is_running():
            self._thread = thread
            self._loop = asyncio.get_running_loop()
            appender = self._appender = LoopAppender(self._log, self._loop)
        return appender
