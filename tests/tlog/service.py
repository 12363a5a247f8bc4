"""A transparency log in memory, answering through the real application."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from typing import Any, Self

from touchplate.keys.signer import generate
from touchplate.server.app import App
from touchplate.storage.memory import MemoryLog
from touchplate.storage.objects import MemoryObjects
from touchplate.testing.in_process import exchange
from touchplate.tilelog.log import TileLog
from touchplate.tlog import (
    Attestations,
    Shards,
    TlogSettings,
    TransparencyLog,
    log_key,
    tile_log_settings,
)
from touchplate.tlog.routes import routes
from touchplate.tlog.search import Search
from touchplate.transport.http import Response

ORIGIN = "log.example.test"
START_MS = 1_767_225_600_000


class Service:
    """One log behind HTTP. The clock moves by a second with each look."""

    def __init__(
        self,
        settings: TlogSettings | None = None,
        *,
        max_waiting: int = 4096,
        tree_id: int | None = None,
    ) -> None:
        clock = count(START_MS, 1000)
        self.signer = generate("ecdsa-p256")
        self.key = log_key(ORIGIN, self.signer, tree_id)
        tile_settings = tile_log_settings(self.key, lambda: next(clock))
        self.tiles = TileLog(
            replace(tile_settings, max_waiting=max_waiting), MemoryLog(), MemoryObjects()
        )
        self.log = TransparencyLog(self.key, self.tiles, settings)
        self.search: Search | None = None
        self.attestations: Attestations | None = None
        self._executor = ThreadPoolExecutor(2)
        self._loop = asyncio.new_event_loop()
        self.restart()

    def restart(self, *frozen: TransparencyLog) -> Self:
        """Make the application again, of the log as it is now and of frozen trees before it."""
        self.shards = Shards(self.log, frozen)
        answers = routes(self.shards, self.search, self.attestations)
        self._app = App(answers, self._executor)
        return self

    def call(
        self,
        method: str,
        target: str,
        body: bytes | object = b"",
        *,
        content_type: str = "application/json",
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Response:
        """Send one request; a body that is not bytes is sent as JSON."""
        path, _, query = target.partition("?")
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        if data:
            headers = (*headers, ("content-type", content_type))
        response = self._loop.run_until_complete(
            exchange(self._app, method, path, query=query.encode(), headers=headers, body=data)
        )
        assert response is not None
        return response

    def call_all(self, method: str, target: str, bodies: list[bytes]) -> list[Response]:
        """Send many requests at once."""

        async def send() -> list[Response | None]:
            headers = (("content-type", "application/json"),)
            return await asyncio.gather(
                *(
                    exchange(self._app, method, target, headers=headers, body=body)
                    for body in bodies
                )
            )

        responses = self._loop.run_until_complete(send())
        return [response for response in responses if response is not None]

    def get(self, target: str) -> Any:
        """Get JSON."""
        response = self.call("GET", target)
        assert response.status == 200, response.body
        return json.loads(response.body)

    def close(self) -> None:
        """Prove the log from its tiles, and end its threads."""
        self.tiles.check()
        self.tiles.close()
        self._executor.shutdown()
        self._loop.close()
