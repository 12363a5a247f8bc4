"""Requests of one turn of the event loop, taken together, a step for all of them before the next.

The mathematics of one signature empties the processor's caches. If every request went its whole way
alone, the code of each step would be loaded anew for each of them; so what came in one turn is read
first, then checked, then signed, then answered. Nothing waits for what has not come yet.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from touchplate.errors import TouchplateError
from touchplate.transport.asgi import Reply, Response

Item = TypeVar("Item")
Before = TypeVar("Before")
After = TypeVar("After")


class Turn(Generic[Item]):
    """Gathers what is added in one turn of an event loop; `take` gets all of it, once.

    Used in the thread of one event loop at a time. `take` must not raise.
    """

    def __init__(self, take: Callable[[list[Item]], None]) -> None:
        self._take = take
        self._gathered: list[Item] = []

    def add(self, item: Item) -> None:
        """Have this taken at the end of the turn."""
        self._gathered.append(item)
        if len(self._gathered) == 1:
            asyncio.get_running_loop().call_soon(self._end)

    def _end(self) -> None:
        taken, self._gathered = self._gathered, []
        self._take(taken)


def step_each(
    waiting: Iterable[tuple[Before, Reply]],
    step: Callable[[Before], After],
    refuse: Callable[[Before, TouchplateError], Response],
) -> list[tuple[After, Reply]]:
    """Take a step with each request; who fails is answered with a refusal, and the others go on."""
    done = []
    for value, reply in waiting:
        try:
            done.append((step(value), reply))
        except TouchplateError as error:
            reply(refuse(value, error))
        except Exception as error:  # noqa: BLE001 - a bug must cost one answer, not those of the turn
            reply(error)
    return done
