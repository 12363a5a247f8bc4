"""Issuing in an event loop: the requests of one turn go through each step together.

All tokens are read, then all checked, then all proofs, then all precertificates are signed and
given to the log; what the log has told in one turn is signed together too. Keys in this process
sign in less time than a thread takes; where the key is elsewhere, threads wait for it.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import TypeVar

from touchplate.ca.fault import NO_LOG
from touchplate.ca.issue import Draft, Issuance, Issued
from touchplate.ca.request import SigningRequest
from touchplate.errors import TouchplateError, UnavailableError
from touchplate.formats.sct import SignedCertificateTimestamp
from touchplate.keys.signer import PrivateKeySigner
from touchplate.oidc.issuers import Prepared
from touchplate.transport.turn import Turn

# What the log says of a chain: its promise, or why there is none.
Promised = SignedCertificateTimestamp | Exception
Told = Callable[[Promised], None]
# Gives a chain to the CT log; has `told` called in the loop, later and once, or raises.
SubmitThen = Callable[[tuple[bytes, ...], Told], None]
# Called in the loop; what comes after the first outcome is not to be listened to.
Done = Callable[[Issued | Exception], None]


class KeysAwaitedError(Exception):
    """The keys of a token's issuer are being fetched; for who waits for them by itself."""

    def __init__(self, prepared: Prepared, fetching: "Future[None]") -> None:
        super().__init__()
        self.prepared = prepared
        self.fetching = fetching


Before = TypeVar("Before")
After = TypeVar("After")


class Desk:
    """Takes requests, in the thread of one event loop at a time."""

    def __init__(self, issuance: Issuance, submit_then: SubmitThen | None = None) -> None:
        """Issue as `issuance` says; `submit_then` is a quicker way into the log than its own."""
        self._issuance = issuance
        self._submit_then = submit_then or partial(_submit, issuance)
        self._deadlines = _Deadlines(issuance.max_log_seconds)
        self._asked = Turn(partial(self._prepare, self._wait_for_keys))
        self._asked_outside = Turn(partial(self._prepare, _say_that_keys_are_awaited))
        self._prepared = Turn(self._issue)
        self._told = Turn(_finish)

    def issue(self, request: SigningRequest, done: Done) -> None:
        """Issue a certificate, and have `done` called later."""
        self._asked.add((request, done))

    def issue_outside(self, request: SigningRequest, done: Done) -> None:
        """Do the same for who waits for an issuer's keys by itself: told KeysAwaitedError."""
        self._asked_outside.add((request, done))

    def issue_prepared(self, request: SigningRequest, prepared: Prepared, done: Done) -> None:
        """Do the same for a token that was prepared, and that nothing is waited for."""
        self._prepared.add(((request, prepared), done))

    def _prepare(
        self,
        wait: Callable[[SigningRequest, Prepared, "Future[None]", Done], None],
        asked: list[tuple[SigningRequest, Done]],
    ) -> None:
        ready = []
        for (request, prepared), done in _each(
            asked, lambda request: (request, self._issuance.prepare(request.token))
        ):
            if prepared.fetching is None:
                ready.append(((request, prepared), done))
            else:
                wait(request, prepared, prepared.fetching, done)
        self._issue(ready)

    def _wait_for_keys(
        self, request: SigningRequest, prepared: Prepared, fetching: "Future[None]", done: Done
    ) -> None:
        loop = asyncio.get_running_loop()
        go_on = partial(self.issue_prepared, request, prepared, done)
        fetching.add_done_callback(partial(_call_in, loop, go_on))

    def _issue(self, ready: list[tuple[tuple[SigningRequest, Prepared], Done]]) -> None:
        issuance = self._issuance
        here = []
        for (asked, signer), done in _each(
            ready, lambda asked: (asked, issuance.authority().signer)
        ):
            if isinstance(signer, PrivateKeySigner):
                here.append((asked, done))
            else:
                self._in_thread(asked[0], done)
        identified = _each(here, lambda asked: issuance.identify(*asked))
        proven = _each(identified, issuance.prove)
        for draft, done in _each(proven, issuance.sign):
            if draft.chain:
                self._log(draft, done)
            else:
                _finish([((draft, None), done)])

    def _log(self, draft: Draft, done: Done) -> None:
        self._deadlines.begin(done)
        try:
            self._submit_then(draft.chain, partial(self._tell, draft, done))
        except Exception as error:  # noqa: BLE001  whoever waits must hear of it
            self._tell(draft, done, error)

    def _tell(self, draft: Draft, done: Done, outcome: Promised) -> None:
        self._deadlines.end(done)
        self._told.add(((draft, outcome), done))

    def _in_thread(self, request: SigningRequest, done: Done) -> None:
        running = asyncio.get_running_loop().run_in_executor(None, self._issuance.issue, request)
        running.add_done_callback(partial(_issued, done))


def _say_that_keys_are_awaited(
    _: SigningRequest, prepared: Prepared, fetching: "Future[None]", done: Done
) -> None:
    done(KeysAwaitedError(prepared, fetching))


def _finish(told: list[tuple[tuple[Draft, Promised | None], Done]]) -> None:
    for issued, done in _each(told, _finish_one):
        done(issued)


def _finish_one(told: tuple[Draft, Promised | None]) -> Issued:
    draft, outcome = told
    if isinstance(outcome, TouchplateError):
        raise _no_log() from outcome
    if isinstance(outcome, Exception):
        raise outcome
    return draft.finish(outcome)


def _each(
    waiting: Iterable[tuple[Before, Done]], step: Callable[[Before], After]
) -> list[tuple[After, Done]]:
    """Take a step with each; who fails is told, and the others go on."""
    taken = []
    for value, done in waiting:
        try:
            taken.append((step(value), done))
        except Exception as error:  # noqa: BLE001  the server says what a bug is answered with
            done(error)
    return taken


def _issued(done: Done, running: "asyncio.Future[Issued]") -> None:
    error = None if running.cancelled() else running.exception()
    if running.cancelled():
        done(_no_log())
    elif error is None:
        done(running.result())
    elif isinstance(error, Exception):
        done(error)


def _no_log() -> UnavailableError:
    return UnavailableError("SERVICE_UNAVAILABLE", NO_LOG)


class _Deadlines:
    """What waits for the log, for the same time each: one timer, for whoever waits longest.

    Used in the thread of one event loop at a time.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: dict[Done, float] = {}  # until when; in that order
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, done: Done) -> None:
        """Say that it is too late, unless it ends before."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._timer = loop, None
            self._waiting.clear()
        self._waiting[done] = loop.time() + self._seconds
        if self._timer is None:
            self._timer = loop.call_later(self._seconds, self._look, loop)

    def end(self, done: Done) -> None:
        """Wait no more."""
        self._waiting.pop(done, None)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        while self._waiting:
            done, until = next(iter(self._waiting.items()))
            if until > now:
                self._timer = loop.call_later(until - now, self._look, loop)
                return
            del self._waiting[done]
            done(_no_log())


class DoorToDesk:
    """The way of other threads to a desk: what many ask for costs the loop one waking."""

    def __init__(self, desk: Desk, loop: asyncio.AbstractEventLoop) -> None:
        """Take the desk and the loop that it works in."""
        self._desk = desk
        self._loop = loop
        self._asked: deque[Callable[[], None]] = deque()
        self._is_woken = False

    def issue(self, request: SigningRequest, done: Done) -> None:
        """Issue as `Desk.issue_outside`, from any thread; `done` is called in the loop."""
        self._ask(partial(self._desk.issue_outside, request, done))

    def issue_prepared(self, request: SigningRequest, prepared: Prepared, done: Done) -> None:
        """Issue as `Desk.issue_prepared`, likewise."""
        self._ask(partial(self._desk.issue_prepared, request, prepared, done))

    def _ask(self, call: Callable[[], None]) -> None:
        self._asked.append(call)
        # Whoever sees that it is woken already was before `_take` looks.
        if not self._is_woken:
            self._is_woken = True
            self._loop.call_soon_threadsafe(self._take)

    def _take(self) -> None:
        self._is_woken = False
        while self._asked:
            self._asked.popleft()()


def _call_in(loop: asyncio.AbstractEventLoop, call: Callable[[], None], _: object) -> None:
    loop.call_soon_threadsafe(call)


def _submit(issuance: Issuance, chain: tuple[bytes, ...], told: Told) -> None:
    """Give a chain to the log, where there is no quicker way into it."""
    loop = asyncio.get_running_loop()

    def tell(done: "Future[SignedCertificateTimestamp]") -> None:
        error = CancelledError() if done.cancelled() else done.exception()
        if error is None:
            loop.call_soon_threadsafe(told, done.result())
        elif isinstance(error, Exception):
            loop.call_soon_threadsafe(told, error)

    issuance.submit(chain).add_done_callback(tell)
