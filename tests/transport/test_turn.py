"""Requests of one turn of the event loop go together, and each gets its own answer."""

import asyncio

from touchplate.errors import RefusedError
from touchplate.transport.asgi import Response
from touchplate.transport.turn import Turn, step_each


def test_turns() -> None:
    """What is added before a turn ends is taken together, in order; what comes later, later."""
    taken: list[list[int]] = []
    turn = Turn(taken.append)

    async def add() -> None:
        for number in (1, 2, 3):
            turn.add(number)
        assert taken == []
        await asyncio.sleep(0)
        assert taken == [[1, 2, 3]]
        turn.add(4)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(add())
    assert taken == [[1, 2, 3], [4]]


def test_add_while_taking() -> None:
    """What is added while a turn is taken belongs to the next one."""
    taken: list[list[int]] = []

    def take(items: list[int]) -> None:
        taken.append(items)
        if len(taken) == 1:
            turn.add(2)

    turn = Turn(take)

    async def add() -> None:
        turn.add(1)
        await asyncio.sleep(0)
        assert taken == [[1]]
        await asyncio.sleep(0)

    asyncio.run(add())
    assert taken == [[1], [2]]


def test_steps() -> None:
    """Who fails is answered: a refusal in its own words, a bug with what it raised."""
    answers: dict[int, Response | Exception] = {}
    bug = ZeroDivisionError()

    def step(number: int) -> int:
        if number == 2:
            raise RefusedError("ALGORITHM_REFUSED", "no")
        if number == 3:
            raise bug
        return -number

    def refuse(number: int, error: Exception) -> Response:
        return Response(400, f"{number}: {error}".encode())

    asked = [(number, lambda found, at=number: answers.update({at: found})) for number in range(5)]
    done = step_each(asked, step, refuse)
    assert [number for number, _ in done] == [0, -1, -4]
    assert [reply for _, reply in done] == [asked[at][1] for at in (0, 1, 4)]
    assert answers == {2: Response(400, b"2: no"), 3: bug}
