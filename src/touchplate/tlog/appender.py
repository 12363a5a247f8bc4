"""Appending from an event loop, whichever one is running."""

import asyncio

from touchplate.tilelog.entry import Receipt, Submission
from touchplate.tilelog.eventloop import LoopAppender
from touchplate.tilelog.log import TileLog


class Appender:
    """Appends to a log; one thread calls it, from a running event loop."""

    def __init__(self, log: TileLog) -> None:
        self._log = log
        self._loop: asyncio.AbstractEventLoop | None = None
        self._appender: LoopAppender | None = None

    def __call__(self, submission: Submission) -> asyncio.Future[Receipt]:
        """Append an entry; await the receipt. Raises and fails as `TileLog.append` does."""
        loop = asyncio.get_running_loop()
        if self._appender is None or self._loop is not loop:
            self._loop = loop
            self._appender = LoopAppender(self._log, loop)
        return self._appender.append(submission)
