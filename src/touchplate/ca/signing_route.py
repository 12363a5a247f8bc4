"""POST signingCert: a request is read, goes to the desk, and is answered.

One flow for requests that come by ASGI and for those that the server answers without it.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from touchplate.ca.answer import answer_fault
from touchplate.ca.desk import Desk
from touchplate.ca.fault import fault_of
from touchplate.ca.issue import Issued
from touchplate.ca.request import SigningRequest
from touchplate.errors import TouchplateError
from touchplate.transport.asgi import DirectHandler, Reply, Request, Response

_HEADER: Final = b"authorization"


class SigningRoute:
    """One version of the operation: how its requests are read, and its answers written."""

    def __init__(
        self,
        desk: Desk,
        parse: Callable[[bytes, str], SigningRequest],
        answer: Callable[[Issued], Response],
    ) -> None:
        self._desk = desk
        self._parse = parse
        self._answer = answer

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
        except TouchplateError as error:
            reply(answer_fault(fault_of(error)))
            return
        self._desk.issue(asked, partial(self._end, reply))

    def _end(self, reply: Reply, outcome: Issued | Exception) -> None:
        try:
            if isinstance(outcome, TouchplateError):
                reply(answer_fault(fault_of(outcome)))
            elif isinstance(outcome, Exception):
                reply(outcome)
            else:
                reply(self._answer(outcome))
        except Exception as error:  # noqa: BLE001  the server says what a bug is answered with
            reply(error)


def _settle(future: "asyncio.Future[Response]", found: Response | Exception) -> None:
    if future.done():
        return  # the client has gone away, or has its answer
    if isinstance(found, Exception):
        future.set_exception(found)
    else:
        future.set_result(found)
