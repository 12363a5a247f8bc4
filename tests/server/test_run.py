"""What the process does beside answering."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from touchplate.errors import UnavailableError
from touchplate.server.serving import renew
from touchplate.testing import World


def test_renewal(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The trust root is renewed when it is due; a failure is told, and then tried again."""
    with World() as world, ThreadPoolExecutor(1) as executor:
        before = world.deployment.repository.expiries()["timestamp"]
        world.clock.advance(timedelta(days=2))
        put = world._objects.put
        failures = [UnavailableError("STORAGE_UNAVAILABLE", "no space")]

        def fail_once(key: str, data: bytes) -> None:
            if failures:
                raise failures.pop()
            put(key, data)

        # What is written first: nothing is renewed when it fails.
        monkeypatch.setattr(world._objects, "put", fail_once)

        async def run() -> None:
            task = asyncio.create_task(renew(world.deployment, executor, 0.001))
            while world.deployment.repository.expiries()["timestamp"] == before:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            task.cancel()

        asyncio.run(asyncio.wait_for(run(), 60))
        assert "STORAGE_UNAVAILABLE: no space" in caplog.text
        assert world.deployment.repository.expiries()["timestamp"] == before + timedelta(days=2)
