"""One process that answers: uvicorn with uvloop and httptools, until it is told to end.

SIGTERM stops listening, lets requests under way end, and returns; the caller closes the logs.
SIGKILL needs no care: nothing is answered before it is durable.
"""

import asyncio
import gc
import logging
import os
import random
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from dataclasses import dataclass
from functools import partial
from typing import Final

import uvicorn
import uvloop

from touchplate.errors import TouchplateError
from touchplate.server.app import App
from touchplate.server.build import Deployment
from touchplate.server.direct import DirectProtocol
from touchplate.server.http import raise_max_connections
from touchplate.server.limits import Limits
from touchplate.server.listen import BACKLOG
from touchplate.server.settings import ServeSettings

log = logging.getLogger("touchplate.server")

REFRESH_SECONDS: Final = 3600
# How often it is looked whether the log was rotated. Who writes to a frozen tree looks at once.
FOLLOW_SECONDS: Final = 5
# How often it is looked whether the file of issuers is another one.
REREAD_SECONDS: Final = 2
# Idle connections are kept so long; a client that reuses one later opens a new one.
KEEP_ALIVE_SECONDS: Final = 30
_YOUNG_OBJECTS: Final = 20_000  # after which the collector looks for cycles among them


@dataclass(frozen=True, slots=True)
class Until:
    """What ends a process beside SIGTERM."""

    # Signals that end it after requests under way.
    gently: tuple[signal.Signals, ...] = (signal.SIGTERM, signal.SIGINT)
    # Signals that end it at once.
    at_once: tuple[signal.Signals, ...] = ()
    # A second gentle signal ends it at once: a person is waiting.
    impatient: bool = True
    # A pipe whose other end the parent has: it ends with the parent. -1: there is none.
    lifeline: int = -1


def serve_deployment(
    deployment: Deployment,
    listener: socket.socket,
    settings: ServeSettings,
    ready: Callable[[], None],
    until: Until,
    limits: Limits,
) -> None:
    """Answer on `listener` until it is time to end; `ready` is called once it may be told so."""
    threads = settings.threads or max(4, 2 * (os.cpu_count() or 1) // settings.workers)
    with ThreadPoolExecutor(threads, thread_name_prefix="work") as executor:
        app = App(deployment.routes, executor, deployment.health.metrics.observe, limits)
        server = _Server(_config(app, settings), impatient=until.impatient)
        tasks = (
            partial(renew, deployment, executor),
            partial(follow, deployment, executor),
            partial(reread, deployment, executor),
        )
        speaking = partial(_speaking_grpc, deployment, settings, limits)
        uvloop.run(_run(server, listener, ready, tasks, until, speaking))


@asynccontextmanager
async def _speaking_grpc(
    deployment: Deployment, settings: ServeSettings, limits: Limits
) -> AsyncIterator[None]:
    """Answer gRPC too, if an address is set for it; its threads need the loop until they end."""
    asked = settings.grpc
    if asked.listen is None:
        yield
        return
    # Loaded on use. After the workers were forked, too: the library does not survive that.
    from touchplate.ca.desk import DoorToDesk
    from touchplate.ca.grpc import ca_handlers
    from touchplate.server.grpc import Service, serve_grpc
    from touchplate.tlog.grpc import SERVICE, rekor_handler

    certifying = deployment.certifying
    take_request = limits.take_request if limits.table is not None else None
    authority = ca_handlers(
        *(certifying.issuance, certifying.issuers, certifying.others, take_request),
        DoorToDesk(certifying.desk, asyncio.get_running_loop()),
    )
    server = serve_grpc(
        [
            Service(SERVICE, rekor_handler(deployment.shards, take_request)),
            *(Service(name, handler) for name, handler in authority.items()),
        ],
        asked.listen,
        tls=asked.tls,
        share_port=settings.workers > 1,
        observe=deployment.health.metrics.observe_grpc,
    )
    log.info("gRPC on port %d", server.port)
    try:
        yield
    finally:
        await asyncio.to_thread(server.stop, settings.drain_seconds)


def _config(app: App, settings: ServeSettings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=DirectProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=raise_max_connections(),
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.drain_seconds,
    )


async def _run(
    server: "_Server",
    listener: socket.socket,
    ready: Callable[[], None],
    tasks: tuple[Callable[[], Coroutine[None, None, None]], ...],
    until: Until,
    speaking: Callable[[], AbstractAsyncContextManager[None]],
) -> None:
    loop = asyncio.get_running_loop()
    for number in until.gently:
        loop.add_signal_handler(number, server.stop)
    for number in until.at_once:
        loop.add_signal_handler(number, server.stop_now)
    if until.lifeline >= 0:
        loop.add_reader(until.lifeline, _orphaned, loop, server, until.lifeline)
    async with speaking():
        # What is there now stays: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        # Requests under way hold more than the usual 700 objects, and nearly none are in cycles.
        gc.set_threshold(_YOUNG_OBJECTS)
        # Only now: whoever reads that the server runs may tell it to end.
        ready()
        running = [asyncio.create_task(task()) for task in tasks]
        try:
            await server.serve(sockets=[listener])
        finally:
            for each in running:
                each.cancel()
            await asyncio.gather(*running, return_exceptions=True)


def _orphaned(loop: asyncio.AbstractEventLoop, server: "_Server", lifeline: int) -> None:
    """End after requests under way; the kernel ends us if that takes too long."""
    loop.remove_reader(lifeline)
    log.error("the parent process is gone: this worker ends")
    signal.alarm(2 * (server.config.timeout_graceful_shutdown or 0) + 10)
    server.stop()


class _Server(uvicorn.Server):
    """uvicorn, but its signals are ours: it would end the process before the logs are closed."""

    def __init__(self, config: uvicorn.Config, *, impatient: bool) -> None:
        super().__init__(config)
        self._impatient = impatient

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield

    def stop(self) -> None:
        """End after requests under way; if impatient, at once the second time."""
        self.force_exit = self.force_exit or (self.should_exit and self._impatient)
        self.should_exit = True

    def stop_now(self) -> None:
        """End without waiting for requests under way."""
        self.should_exit = self.force_exit = True


async def reread(
    deployment: Deployment, executor: Executor, seconds: float = REREAD_SECONDS
) -> None:
    """Read the file of issuers again when it has changed, or when SIGHUP says so."""
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, told.set)
    try:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await told.wait()
            issuers = deployment.issuers
            reload = issuers.reload if told.is_set() else issuers.reload_if_changed
            told.clear()
            await loop.run_in_executor(executor, reload)
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


async def renew(
    deployment: Deployment, executor: Executor, seconds: float = REFRESH_SECONDS
) -> None:
    """Renew the trust root's metadata for ever, when it is due; a failure is tried again.

    Every process does this, at times of its own: one renews, and the others read what it wrote.
    """
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(seconds * random.uniform(0.8, 1.2))  # noqa: S311  no secret
        try:
            await loop.run_in_executor(executor, deployment.refresh)
        except TouchplateError as error:
            log.error("the trust root was not renewed: %s: %s", error.code, error)  # noqa: TRY400


async def follow(
    deployment: Deployment, executor: Executor, seconds: float = FOLLOW_SECONDS
) -> None:
    """Take up trees and keys that another process has rotated to, for ever."""
    loop = asyncio.get_running_loop()
    told = ""
    while True:
        await asyncio.sleep(seconds)
        try:
            await loop.run_in_executor(executor, deployment.follow)
            told = ""
        except TouchplateError as error:
            # It is tried again; the operator is told once.
            if told != str(error):
                log.error("what was rotated to: %s: %s", error.code, error)  # noqa: TRY400
            told = str(error)
