"""Calls that end in time: a key store that hangs costs a thread of ours, never an answer.

No library of a key store can be interrupted from outside. So each call is made in a daemon thread,
and who asked waits for it no longer than the deadline. While every thread is held by a call that is
past it, others are refused at once: they would only wait in line.
"""

import os
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from queue import SimpleQueue
from threading import Lock, Semaphore, Thread
from typing import Any, Final, TypeVar

from touchplate.errors import UnavailableError

T = TypeVar("T")

# A key store that takes longer than this for one signature counts as gone.
SECONDS: Final = 5.0
RETRY_AFTER: Final = timedelta(seconds=2)

_Item = tuple["Future[Any]", Callable[[], Any]]


class Calls:
    """Makes calls to one key store in at most `threads` threads, each in `seconds` or not at all.

    With one thread no two calls are made at once. After a fork the child begins with none.
    """

    def __init__(self, what: str, *, threads: int, seconds: float = SECONDS) -> None:
        self._what = what
        self._threads = threads
        self._seconds = seconds
        self._reset()
        again = weakref.WeakMethod(self._reset)
        os.register_at_fork(after_in_child=lambda: _call(again))

    def _reset(self) -> None:
        self._lock = Lock()
        self._queue: SimpleQueue[_Item] = SimpleQueue()
        self._idle = Semaphore(0)
        self._count = 0
        # Thread number: when its call began.
        self._began: dict[int, float] = {}

    def run(self, function: Callable[[], T], seconds: float | None = None) -> T:
        """Give what `function` gives, and raise what it raises; UnavailableError after the time."""
        seconds = seconds or self._seconds
        if self._are_all_stuck():
            raise self._too_late()
        future: Future[T] = Future()
        self._queue.put((future, function))
        self._make_thread()
        try:
            return future.result(seconds)
        except TimeoutError as error:
            if future.cancel() or not future.done():
                raise self._too_late() from error
            # It ended at the last moment, or the call itself raised this.
            return future.result()

    def _too_late(self) -> UnavailableError:
        return UnavailableError(
            "SERVICE_UNAVAILABLE",
            f"{self._what} did not answer in {self._seconds:g} s",
            retry_after=RETRY_AFTER,
        )

    def _are_all_stuck(self) -> bool:
        began = list(self._began.values())
        if len(began) < self._threads:
            return False
        return max(began) + self._seconds < time.monotonic()

    def _make_thread(self) -> None:
        if self._idle.acquire(blocking=False):
            return
        with self._lock:
            if self._count < self._threads:
                self._count += 1
                name = f"{self._what}-{self._count}"
                Thread(target=self._work, args=(self._count,), name=name, daemon=True).start()

    def _work(self, number: int) -> None:
        queue, idle, began = self._queue, self._idle, self._began
        while True:
            future, function = queue.get()
            if future.set_running_or_notify_cancel():
                began[number] = time.monotonic()
                try:
                    result = function()
                except BaseException as error:  # noqa: BLE001  it is raised where the call came from
                    future.set_exception(error)
                else:
                    future.set_result(result)
                began.pop(number, None)
            # What it held must not live until the next call.
            del future, function
            idle.release()


def _call(method: weakref.WeakMethod[Callable[[], None]]) -> None:
    found = method()
    if found is not None:
        found()
