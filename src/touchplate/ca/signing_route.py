"""POST signingCert: what happens between a request and its answer, in the event loop.

One flow for requests that come by ASGI and for those that the server answers without it. Keys in
this process sign in less time than a thread takes; where the key is elsewhere, threads wait for it.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import Final

from touchplate.ca.answer import answer_fault
from touchplate.ca.fault import NO_LOG, fault_of
from touchplate.ca.issue import Draft, Issuance, Issued
from touchplate.ca.request import SigningRequest
from touchplate.errors import TouchplateError, UnavailableError
from touchplate.formats.sct import SignedCertificateTimestamp
from touchplate.keys.signer import PrivateKeySigner
from touchplate.oidc.issuers import Prepared
from touchplate.transport.asgi import DirectHandler, Reply, Request, Response

Told = Callable[[SignedCertificateTimestamp | Exception], None]
# Gives a chain to the CT log; has `told` called in the loop, later and once, or raises.
SubmitThen = Callable[[tuple[bytes, ...], Told], None]

_HEADER: Final = b"authorization"


class SigningRoute:
    """One version of the operation: how its requests are read, and its answers written."""

    def __init__(
        self,
        issuance: Issuance,
        parse: Callable[[bytes, str], SigningRequest],
        answer: Callable[[Issued], Response],
        submit_then: SubmitThen | None,
    ) -> None:
        self._issuance = issuance
        self._parse = parse
        self._answer = answer
        self._submit_then = submit_then or partial(_submit, issuance)
        self._deadlines = _Deadlines(issuance.max_log_seconds)

    async def handle(self, request: Request) -> Response:
        """Answer a request that came by ASGI."""
        future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        authorization = request.headers.get("authorization", "")
        self._begin(authorization, request.body, partial(_settle, future))
        return await future

    def direct(self, headers: Sequence[tuple[bytes, bytes]]) -> DirectHandler:
        """Give the handler for a request with these headers."""
        found = b""
        for name, value in headers:
            if name == _HEADER:
                found = value  # the last one stands
        return partial(self._begin, found.decode("latin-1"))

    def _begin(self, authorization: str, body: bytes, reply: Reply) -> None:
        try:
            asked = self._parse(body, authorization)
            prepared = self._issuance.prepare(asked.token)
        except TouchplateError as error:
            reply(answer_fault(fault_of(error)))
            return
        if prepared.fetching is None:
            self._draft(asked, prepared, reply)
            return
        loop, draft = asyncio.get_running_loop(), partial(self._draft, asked, prepared, reply)
        prepared.fetching.add_done_callback(lambda _: loop.call_soon_threadsafe(draft))

    def _draft(self, asked: SigningRequest, prepared: Prepared, reply: Reply) -> None:
        try:
            if not isinstance(self._issuance.authority().signer, PrivateKeySigner):
                self._in_thread(asked, reply)
                return
            draft = self._issuance.draft(asked, prepared)
            if draft.chain:
                self._log(draft, reply)
            else:
                reply(self._answer(draft.finish(None)))
        except TouchplateError as error:
            reply(answer_fault(fault_of(error)))
        except Exception as error:  # noqa: BLE001  the server says what a bug is answered with
            reply(error)

    def _log(self, draft: Draft, reply: Reply) -> None:
        # What is told too late is not listened to: `reply` takes the first answer.
        self._deadlines.begin(reply)
        try:
            self._submit_then(draft.chain, partial(self._finish, draft, reply))
        except TouchplateError as error:
            self._deadlines.end(reply)
            raise UnavailableError("SERVICE_UNAVAILABLE", NO_LOG) from error

    def _finish(
        self,
        draft: Draft,
        reply: Reply,
        outcome: SignedCertificateTimestamp | Exception,
    ) -> None:
        self._deadlines.end(reply)
        try:
            if isinstance(outcome, TouchplateError):
                raise UnavailableError("SERVICE_UNAVAILABLE", NO_LOG) from outcome
            if isinstance(outcome, Exception):
                reply(outcome)
            else:
                reply(self._answer(draft.finish(outcome)))
        except TouchplateError as error:
            reply(answer_fault(fault_of(error)))
        except Exception as error:  # noqa: BLE001  as above
            reply(error)

    def _in_thread(self, asked: SigningRequest, reply: Reply) -> None:
        running = asyncio.get_running_loop().run_in_executor(None, self._issuance.issue, asked)
        running.add_done_callback(partial(self._issued, reply))

    def _issued(self, reply: Reply, done: "asyncio.Future[Issued]") -> None:
        error = None if done.cancelled() else done.exception()
        if done.cancelled():
            _too_late(reply)
        elif error is None:
            reply(self._answer(done.result()))
        elif isinstance(error, TouchplateError):
            reply(answer_fault(fault_of(error)))
        elif isinstance(error, Exception):
            reply(error)


class _Deadlines:
    """What waits for the log, for the same time each: one timer, for whoever waits longest.

    Used in the thread of one event loop at a time.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: dict[Reply, float] = {}  # until when; in that order
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, reply: Reply) -> None:
        """Answer that it is too late, unless it ends before."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._timer = loop, None
            self._waiting.clear()
        self._waiting[reply] = loop.time() + self._seconds
        if self._timer is None:
            self._timer = loop.call_later(self._seconds, self._look, loop)

    def end(self, reply: Reply) -> None:
        """Wait no more."""
        self._waiting.pop(reply, None)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        while self._waiting:
            reply, until = next(iter(self._waiting.items()))
            if until > now:
                self._timer = loop.call_later(until - now, self._look, loop)
                return
            del self._waiting[reply]
            _too_late(reply)


def _too_late(reply: Reply) -> None:
    late = UnavailableError("SERVICE_UNAVAILABLE", NO_LOG)
    reply(answer_fault(fault_of(late)))


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


def _settle(future: "asyncio.Future[Response]", found: Response | Exception) -> None:
    if future.done():
        return  # the client has gone away, or has its answer
    if isinstance(found, Exception):
        future.set_exception(found)
    else:
        future.set_result(found)
