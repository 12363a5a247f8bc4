"""Worker processes: forked from a parent that has one thread, watched, and started again.

Forked and not spawned: a worker then starts in the time that its deployment takes to open, shares
the parent's memory and its lock on the data folder, and gets settings and pipes without being told
of them. That is safe because the parent never starts a thread, an event loop or a library that
does: what opens a deployment runs in a child of its own (`call_in_child`).

Each worker holds one end of a pipe whose other end only the parent has, so the death of the parent,
however it comes, is seen by all of them. The lock on the folder is theirs too: no other server can
begin before the last one has ended.
"""

import json
import logging
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from threading import Thread
from typing import Final, NoReturn

from touchplate import errors
from touchplate.errors import TouchplateError

log = logging.getLogger("touchplate.server")

# A worker that ends sooner than this after it began is started again later each time.
STABLE_SECONDS: Final = 60
FIRST_DELAY: Final = 0.1
MAX_DELAY: Final = 30.0
# Beside the time for requests under way: closing logs, a last sealing.
GRACE_SECONDS: Final = 15
ENDING: Final = frozenset({signal.SIGTERM, signal.SIGINT})

_FAILED: Final = 3  # exit status of a child that said what is wrong


class Signals:
    """The parent's signals, as something to wait for beside pipes."""

    def __init__(self) -> None:
        self._wake, self._woken = socket.socketpair()
        for end in (self._wake, self._woken):
            end.setblocking(False)  # noqa: FBT003  as in socket

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Take SIGTERM, SIGINT, SIGCHLD and SIGHUP from their usual handlers."""
        numbers = (*ENDING, signal.SIGCHLD, signal.SIGHUP)
        before = {each: signal.signal(each, lambda _number, _frame: None) for each in numbers}
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(-1)
            for each, handler in before.items():
                signal.signal(each, handler)
            self.close()

    def wait(self, pipe: int, seconds: float | None) -> tuple[set[int], bool]:
        """Wait for a signal or something to read; give the signals, and whether `pipe` is ready."""
        ready, _, _ = select.select([self._woken.fileno(), pipe], [], [], seconds)
        came: set[int] = set()
        with suppress(BlockingIOError):
            came.update(self._woken.recv(4096))
        return came, pipe in ready

    def close(self) -> None:
        """Close both ends."""
        self._wake.close()
        self._woken.close()

    def fork(self, run: Callable[[], int]) -> int:
        """Run `run` in a child, whose exit status it gives; give the child's process id.

        The child begins with the usual signal handlers, and with none of ours lost on the way.
        """
        numbers = {*ENDING, signal.SIGCHLD, signal.SIGHUP}
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
        try:
            sys.stdout.flush()
            sys.stderr.flush()
            pid = os.fork()
            if pid == 0:
                _run_child(self, run, blocked)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        return pid


def _run_child(signals: Signals, run: Callable[[], int], mask: Iterable[int]) -> NoReturn:
    """Be the child: it never returns into the parent's code, whatever happens."""
    status = 70
    try:
        signal.set_wakeup_fd(-1)
        signals.close()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # Told to read files again before it has read them for the first time.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        # Ctrl-C reaches every process of the terminal; the parent tells its children.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        status = run()
    except BaseException:
        log.exception("a worker process failed")
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
            logging.shutdown()
        os._exit(status)


def call_in_child(signals: Signals, function: Callable[[], str]) -> str | None:
    """Give what `function` gives in a process of its own; None if we were told to end meanwhile.

    Its errors are raised here as they were there; that process leaves no thread in this one.
    """
    reading, writing = os.pipe()
    lifeline, held = os.pipe()

    def run() -> int:
        os.close(reading)
        os.close(held)
        # Without us there is nobody to hear the answer: ends as if it had been killed too.
        Thread(target=_end_with, args=(lifeline,), daemon=True).start()
        try:
            answer: dict[str, object] = {"answer": function()}
        except TouchplateError as error:
            answer = {
                "branch": type(error).__name__,
                "code": error.code,
                "message": error.message,
                **{each: getattr(error, each) for each in ("expected", "found", "hint")},
            }
        # Broken: the parent is gone, and the thread above has not ended us yet.
        with suppress(BrokenPipeError), os.fdopen(writing, "w") as pipe:
            json.dump(answer, pipe)
        return 0

    pid = signals.fork(run)
    os.close(writing)
    try:
        said = _read_all(signals, reading)
    finally:
        for each in (reading, lifeline, held):
            os.close(each)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    if said is None:
        return None
    if not said:
        raise AssertionError("the process that opens the deployment failed")
    answer = json.loads(said)
    if "answer" in answer:
        return str(answer["answer"])
    raise _error_of(answer)


def _end_with(lifeline: int) -> None:
    """End this process when the other end of the pipe is gone."""
    os.read(lifeline, 1)
    os._exit(_FAILED)


def _error_of(answer: dict[str, str | None]) -> TouchplateError:
    branch = getattr(errors, answer.pop("branch") or "")
    code, message = answer.pop("code"), answer.pop("message")
    if issubclass(branch, errors.UnavailableError):
        raise branch(code, message, hint=answer["hint"])
    made = branch(code, message, **answer)
    assert isinstance(made, TouchplateError)  # noqa: S101  for the type checker
    return made


def _read_all(signals: Signals, pipe: int) -> bytes | None:
    said = b""
    while True:
        came, ready = signals.wait(pipe, None)
        if came & ENDING:
            return None
        if ready:
            part = os.read(pipe, 65536)
            if not part:
                return said
            said += part


@dataclass(frozen=True, slots=True)
class Worker:
    """What a worker is given: its number, its hold on the parent, and how to say it is ready."""

    number: int
    lifeline: int
    _ready: int

    def tell_ready(self) -> None:
        """Tell the parent that this worker answers.

        If the parent is gone nobody hears it: the lifeline has ended then, and who watches it ends.
        """
        with suppress(BrokenPipeError):
            os.write(self._ready, bytes((self.number,)))


@dataclass(slots=True)
class _Place:
    """One worker's place: the process in it now, or when the next one begins."""

    pid: int = 0
    began: float = 0.0
    due: float = 0.0
    delay: float = 0.0


class Supervisor:
    """Runs `count` workers until SIGTERM or SIGINT, and starts again each one that ends."""

    def __init__(
        self, run: Callable[[Worker], None], count: int, signals: Signals, drain_seconds: float
    ) -> None:
        self._run = run
        self._places = [_Place() for _ in range(count)]
        self._signals = signals
        self._drain_seconds = drain_seconds
        self._ready, self._tell = os.pipe()
        # Nobody writes to it: it ends when the last holder of the other end, we, does.
        self._lifeline, self._held = os.pipe()
        self._kill_at: float | None = None

    def supervise(self, greet: Callable[[], None]) -> None:
        """Run until told to end; `greet` is called once all workers have been ready."""
        waiting = set(range(len(self._places)))
        try:
            while True:
                now = time.monotonic()
                if self._kill_at is None:
                    self._start_due(now)
                elif not any(place.pid for place in self._places):
                    return
                elif now >= self._kill_at:
                    self._send(signal.SIGKILL)
                    self._kill_at = now + 1
                came, ready = self._signals.wait(self._ready, self._pause(now))
                if ready:
                    began = set(os.read(self._ready, 4096))
                    if waiting and waiting <= began:
                        greet()
                    waiting -= began
                if came & ENDING:
                    self._end()
                if signal.SIGHUP in came:
                    self._send(signal.SIGHUP)
                self._reap()
        finally:
            self._send(signal.SIGKILL)
            for pipe in (self._ready, self._tell, self._lifeline, self._held):
                os.close(pipe)

    def _start_due(self, now: float) -> None:
        for number, place in enumerate(self._places):
            if not place.pid and now >= place.due:
                try:
                    place.pid = self._signals.fork(partial(self._be, number))
                except OSError as error:
                    # No memory or no process left for us just now: the other workers go on.
                    self._delay(place, now, stable=False)
                    log.error(  # noqa: TRY400  the operator's to mend
                        "worker %d was not started: %s; again in %.1f s", number, error, place.delay
                    )
                else:
                    place.began = now

    @staticmethod
    def _delay(place: _Place, now: float, *, stable: bool) -> None:
        """Say when the next process of a place begins: later each time that the last one failed."""
        place.delay = FIRST_DELAY if stable else min(MAX_DELAY, 2 * place.delay or FIRST_DELAY)
        place.due = now + place.delay

    def _be(self, number: int) -> int:
        """Be a worker; give its exit status."""
        os.close(self._held)
        os.close(self._ready)
        try:
            self._run(Worker(number, self._lifeline, self._tell))
        except TouchplateError as error:
            log.error("worker %d: %s: %s", number, error.code, error)  # noqa: TRY400  ours to tell
            return _FAILED
        return 0

    def _pause(self, now: float) -> float | None:
        """Give how long nothing is to be done without a signal."""
        times = [place.due for place in self._places if not place.pid]
        if self._kill_at is not None:
            times = [self._kill_at]
        return max(0.0, min(times) - now) if times else None

    def _end(self) -> None:
        """Tell the workers to end: the first time after requests under way, then at once."""
        if self._kill_at is None:
            # HTTP has its time, then gRPC.
            self._kill_at = time.monotonic() + 2 * self._drain_seconds + GRACE_SECONDS
            self._send(signal.SIGTERM)
        else:
            self._send(signal.SIGQUIT)

    def _send(self, number: signal.Signals) -> None:
        for place in self._places:
            if place.pid:
                with suppress(ProcessLookupError):
                    os.kill(place.pid, number)

    def _reap(self) -> None:
        now = time.monotonic()
        for number, place in enumerate(self._places):
            if not place.pid:
                continue
            pid, status = os.waitpid(place.pid, os.WNOHANG)
            if not pid:
                continue
            place.pid = 0
            self._delay(place, now, stable=now - place.began >= STABLE_SECONDS)
            if self._kill_at is None:
                code = os.waitstatus_to_exitcode(status)
                how = f"by signal {-code}" if code < 0 else f"with status {code}"
                log.error(
                    "worker %d (process %d) ended %s; again in %.1f s",
                    *(number, pid, how, place.delay),
                )
