"""A deployment in memory, and a transport to it that a test may tamper with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from touchplate.testing import World
from touchplate.transport.http import DEFAULT_TIMEOUT, MAX_RESPONSE_BYTES, Response, Transport


@dataclass
class Meddler:
    """Passes requests on unless `instead`, by the end of the path, gives another answer."""

    transport: Transport
    instead: dict[str, Callable[[Response], Response]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

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
        self.asked.append(url)
        response = self.transport.request(
            method, url, body=body, headers=headers, timeout=timeout, max_bytes=max_bytes
        )
        for end, change in self.instead.items():
            if url.endswith(end):
                return change(response)
        return response


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
