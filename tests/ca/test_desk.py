"""Issuing in an event loop: each step for all requests of a turn, and what fails fails alone."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextvars import Context
from dataclasses import replace
from datetime import datetime
from threading import Thread
from typing import TypeVarTuple, Unpack

from tests.ca.places import EMAIL, KEY, TOKEN, Office, public_pem
from touchplate.ca.desk import Desk, Done, DoorToDesk
from touchplate.ca.issue import Issued
from touchplate.ca.request import SigningRequest
from touchplate.errors import RefusedError
from touchplate.formats.sct import SignedCertificateTimestamp
from touchplate.oidc.identity import Identity
from touchplate.oidc.issuers import OpenedToken

Arguments = TypeVarTuple("Arguments")
GOOD = SigningRequest(TOKEN, b"", public_pem().encode(), KEY.sign(EMAIL.encode()))
UNPROVEN = replace(GOOD, proof=b"no signature")


class Waiting:
    """Several that wait in one loop."""

    def __init__(self, count: int) -> None:
        loop = asyncio.get_running_loop()
        self.futures: list[asyncio.Future[Issued | Exception]] = [
            loop.create_future() for _ in range(count)
        ]

    def done(self, number: int) -> Done:
        """Give what is to be called for one of them."""
        return self.futures[number].set_result

    async def outcomes(self) -> Sequence[Issued | Exception]:
        """Wait for all."""
        return await asyncio.wait_for(asyncio.gather(*self.futures), 20)


def test_steps_together(office: Office) -> None:
    """All tokens of a turn are checked before anything is logged."""
    steps: list[str] = []

    def authenticate(token: str | OpenedToken, at: datetime) -> Identity:
        steps.append("token")
        return office.authenticator.authenticate(token, at)

    def submit(chain: tuple[bytes, ...]) -> "Future[SignedCertificateTimestamp]":
        steps.append("log")
        return office.submit(chain)

    issuance = replace(office.issuance, authenticate=authenticate, submit=submit)

    async def ask() -> None:
        desk, waiting = Desk(issuance), Waiting(4)
        for number in range(3):
            desk.issue(GOOD, waiting.done(number))
        await waiting.futures[0]
        desk.issue(GOOD, waiting.done(3))
        assert all(isinstance(each, Issued) for each in await waiting.outcomes())

    asyncio.run(ask())
    assert steps == [*["token"] * 3, *["log"] * 3, "token", "log"]
    assert office.place.log.tree_head().size == 4


def test_who_fails_fails_alone(office: Office) -> None:
    """A request that is refused is told so, and those beside it get their certificates."""

    async def ask() -> Sequence[Issued | Exception]:
        desk, waiting = Desk(office.issuance), Waiting(3)
        for number, request in enumerate((GOOD, UNPROVEN, GOOD)):
            desk.issue(request, waiting.done(number))
        return await waiting.outcomes()

    first, refused, last = asyncio.run(ask())
    assert isinstance(refused, RefusedError)
    assert refused.code == "PROOF_REFUSED"
    assert isinstance(first, Issued)
    assert isinstance(last, Issued)
    assert first.leaf != last.leaf
    assert office.place.log.tree_head().size == 2


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts how often it is woken from outside."""

    wakings = 0

    def call_soon_threadsafe(
        self,
        callback: Callable[[Unpack[Arguments]], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """Wake."""
        self.wakings += 1
        return super().call_soon_threadsafe(callback, *args, context=context)


def test_door(office: Office) -> None:
    """What threads ask for while the loop is busy wakes it once, and is issued in it."""

    async def ask() -> Sequence[Issued | Exception]:
        waiting, loop = Waiting(8), asyncio.get_running_loop()
        assert isinstance(loop, CountingLoop)
        door = DoorToDesk(Desk(office.issuance), loop)
        before = loop.wakings
        threads = [
            Thread(target=door.issue, args=(GOOD, waiting.done(number))) for number in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert loop.wakings == before + 1
        return await waiting.outcomes()

    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        assert all(isinstance(each, Issued) for each in runner.run(ask()))
    assert office.place.log.tree_head().size == 8
