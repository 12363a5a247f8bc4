"""The server process: open the data folder, listen, serve, renew, and end cleanly.

SIGTERM and SIGINT stop listening, let requests under way end, then close the logs. SIGKILL needs no
care: nothing is answered before it is durable. uvicorn with uvloop and httptools speaks HTTP.
"""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Final

import uvicorn
import uvloop

from touchplate.errors import SettingsError, TouchplateError
from touchplate.server.app import App
from touchplate.server.build import Deployment
from touchplate.server.data import DataFolder
from touchplate.server.http import BoundedProtocol, raise_max_connections
from touchplate.server.opening import choose_origin, open_deployment
from touchplate.server.settings import ServeSettings, parse_origin
from touchplate.server.welcome import welcome

log = logging.getLogger("touchplate.server")

REFRESH_SECONDS: Final = 3600
BACKLOG: Final = 2048
# Idle connections are kept so long; a client that reuses one later opens a new one.
KEEP_ALIVE_SECONDS: Final = 30


def serve(settings: ServeSettings, say: Callable[[str], None]) -> None:
    """Run the service until SIGTERM or SIGINT; `say` gets the lines for the operator.

    Raises SettingsError for a folder, key or address that cannot be used. Call it from the main
    thread: it handles signals.
    """
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    # Its warnings tell of what clients sent: as many as they like.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    with DataFolder.serve(settings.data) as folder, _listening(settings, folder) as listener:
        first = folder.instance is None or not folder.instance.complete
        host, port = listener.getsockname()[:2]
        origin, follows = choose_origin(folder.instance, settings.url, (host, port))
        deployment = open_deployment(
            folder, origin, follows=follows, ca_key=settings.ca_key, now=lambda: datetime.now(UTC)
        )
        try:
            threads = settings.threads or max(4, 2 * (os.cpu_count() or 1))
            with ThreadPoolExecutor(threads, thread_name_prefix="work") as executor:
                app = App(deployment.routes, executor, deployment.health.metrics.observe)

                def greet() -> None:
                    for line in welcome(deployment, settings.data, first=first):
                        say(line)

                server = _Server(_config(app, settings))
                # What is there now stays: the collector need not look at it again and again.
                gc.collect()
                gc.freeze()
                uvloop.run(_run(server, listener, greet, partial(renew, deployment, executor)))
        finally:
            deployment.close()


def _config(app: App, settings: ServeSettings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=BoundedProtocol,
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
    greet: Callable[[], None],
    renew: Callable[[], Coroutine[None, None, None]],
) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    # Only now: whoever reads that the server runs may tell it to end.
    greet()
    renewal = asyncio.create_task(renew())
    try:
        await server.serve(sockets=[listener])
    finally:
        renewal.cancel()
        with suppress(asyncio.CancelledError):
            await renewal


class _Server(uvicorn.Server):
    """uvicorn, but its signals are ours: it would end the process before the logs are closed."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield

    def stop(self) -> None:
        """End: the first time after requests under way, the second time at once."""
        self.force_exit = self.should_exit
        self.should_exit = True


async def renew(
    deployment: Deployment, executor: Executor, seconds: float = REFRESH_SECONDS
) -> None:
    """Renew the trust root's metadata for ever, when it is due; a failure is tried again."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(seconds)
        try:
            await loop.run_in_executor(executor, deployment.refresh)
        except TouchplateError as error:
            log.error("the trust root was not renewed: %s: %s", error.code, error)  # noqa: TRY400


@contextmanager
def _listening(settings: ServeSettings, folder: DataFolder) -> Iterator[socket.socket]:
    """Bind the address; port 0 means the port of the last time if it is free, else any."""
    listener = None
    instance = folder.instance
    host, port = settings.listen
    if port == 0 and instance is not None and instance.url_follows_listen:
        before = parse_origin(instance.url)
        with suppress(OSError):
            listener = _bind(before.host, int(before.url.rpartition(":")[2]))
    try:
        listener = listener or _bind(host, port)
    except OSError as error:
        raise SettingsError(
            "SETTINGS_INVALID",
            f"cannot listen on {host}:{port}: {error.strerror}",
            hint="give a free address with --listen HOST:PORT",
        ) from error
    with listener:
        yield listener


def _bind(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener
