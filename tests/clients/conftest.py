"""A deployment in memory, and a man in the middle who changes what its services answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from touchplate.testing import World
from touchplate.transport.http import DEFAULT_TIMEOUT, MAX_RESPONSE_BYTES, Response, Transport

Change = Callable[[Response], Response]


@dataclass
class Meddler:
    """Passes requests on, and gives what `change` makes of each answer."""

    transport: Transport
    change: Change = field(default=lambda response: response)
    asked: list[tuple[str, str, bytes]] = field(default_factory=list)

    def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        timeout: timedelta = DEFAULT_TIMEOUT,
        max_bytes: int = MAX_RESPONSE_BYTES,
    ) -> Response:
        """Pass on, note down, change."""
        self.asked.append((method, url, body or b""))
        return self.change(
            self.transport.request(
                method, url, body=body, headers=headers, timeout=timeout, max_bytes=max_bytes
            )
        )

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Give this to every request from now on, whatever the service says."""
        pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
        self.change = lambda _: Response(status, pairs, body)

    def substitute(self, old: bytes, new: bytes) -> None:
        """Replace bytes in every body from now on."""

        def change(response: Response) -> Response:
            assert old in response.body
            return replace(response, body=response.body.replace(old, new, 1))

        self.change = change


@pytest.fixture
def world() -> Iterator[World]:
    """Give a deployment, and prove its logs at the end."""
    with World() as made:
        yield made
        made.check()


@pytest.fixture
def meddler(world: World) -> Meddler:
    """Give a transport to the world that a test may tamper with."""
    return Meddler(world.transport)
