"""`touchplate serve`: open the data folder, listen, and answer in one process or in several."""

import logging
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing, nullcontext
from datetime import UTC, datetime
from threading import active_count
from types import MappingProxyType
from typing import Final

from touchplate.server.build import Deployment
from touchplate.server.counts import SharedCounts
from touchplate.server.data import DataFolder
from touchplate.server.keys import KeyPlaces
from touchplate.server.limits import Limits
from touchplate.server.listen import join, listening
from touchplate.server.opening import choose_origin, open_deployment
from touchplate.server.processes import Signals, Supervisor, Worker, call_in_child
from touchplate.server.serving import Until, serve_deployment
from touchplate.server.settings import Origin, ServeSettings
from touchplate.server.welcome import welcome

FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
FORMAT_OF_WORKERS: Final = "%(asctime)s %(levelname)s %(name)s[%(process)d]: %(message)s"


def serve(
    settings: ServeSettings,
    say: Callable[[str], None],
    environ: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Run the service until SIGTERM or SIGINT; `say` gets the lines for the operator.

    `environ` holds credentials of storage. Raises SettingsError for a folder, key, store or address
    that cannot be used, UnavailableError for a store that fails. Call it from the main thread: it
    handles signals; with several workers, from a process that has no other thread.
    """
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format=FORMAT if settings.workers == 1 else FORMAT_OF_WORKERS,
    )
    # Its warnings tell of what clients sent: as many as they like.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    places = KeyPlaces.of(settings.keys, environ)
    # Before any worker is forked, and not again when one is started anew.
    places.ask(settings.data)
    with DataFolder.serve(settings.data, places) as folder:
        server = _Server(settings, folder, say, environ)
        if settings.workers == 1:
            server.run_alone()
        else:
            server.run_workers()


class _Server:
    """A server on a folder that this process holds."""

    def __init__(
        self,
        settings: ServeSettings,
        folder: DataFolder,
        say: Callable[[str], None],
        environ: Mapping[str, str],
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._say = say
        self._environ = environ
        # Before any worker is forked: they share it.
        self._limits = Limits.of(
            settings.limits, time.monotonic_ns, [rule.rate for rule in settings.issuers.rules]
        )
        self._first = folder.instance is None or not folder.instance.complete

    def run_alone(self) -> None:
        """Answer in this process."""
        with listening(self._settings.listen, self._folder.instance, shared=False) as listener:
            origin, follows = self._choose(listener.getsockname()[:2])
            with closing(self._open(origin, follows=follows)) as deployment:
                fingerprint = deployment.repository.fingerprint
                serve_deployment(
                    deployment,
                    listener,
                    self._settings,
                    lambda: self._greet(origin, fingerprint),
                    Until(),
                    self._limits,
                )

    def run_workers(self) -> None:
        """Answer in worker processes, which this one watches."""
        assert active_count() == 1, "only a process with one thread can fork"  # noqa: S101
        signals = Signals()
        grpc = self._settings.grpc.listen
        with (
            listening(self._settings.listen, self._folder.instance, shared=True) as keeper,
            # gRPC binds its port in each worker; nobody else is to share it.
            listening(grpc, None, shared=True) if grpc else nullcontext(),
            signals.watched(),
        ):
            origin, follows = self._choose(keeper.getsockname()[:2])

            def prepare() -> str:
                with closing(self._open(origin, follows=follows)) as deployment:
                    return deployment.repository.fingerprint

            # Completes a first start, and finds out whether there is anything to be served.
            fingerprint = call_in_child(signals, prepare)
            if fingerprint is None:
                return
            self._folder.reload()
            counts = SharedCounts(self._settings.workers)

            def run(worker: Worker) -> None:
                with (
                    closing(
                        self._open(origin, follows=follows, counts=counts, number=worker.number)
                    ) as deployment,
                    join(keeper) as listener,
                ):
                    until = Until(
                        gently=(signal.SIGTERM,),
                        at_once=(signal.SIGQUIT,),
                        impatient=False,
                        lifeline=worker.lifeline,
                    )
                    serve_deployment(
                        *(deployment, listener, self._settings, worker.tell_ready, until),
                        self._limits,
                    )

            Supervisor(
                run, self._settings.workers, signals, self._settings.drain_seconds
            ).supervise(lambda: self._greet(origin, fingerprint))

    def _choose(self, listening_at: tuple[str, int]) -> tuple[Origin, bool]:
        return choose_origin(self._folder.instance, self._settings.url, listening_at)

    def _open(
        self, origin: Origin, *, follows: bool, counts: SharedCounts | None = None, number: int = 0
    ) -> Deployment:
        return open_deployment(
            self._folder,
            origin,
            follows=follows,
            settings=self._settings,
            now=lambda: datetime.now(UTC),
            environ=self._environ,
            limits=self._limits,
            counts=counts.of(number) if counts else None,
        )

    def _greet(self, origin: Origin, fingerprint: str) -> None:
        for line in welcome(origin, fingerprint, self._settings, first=self._first):
            self._say(line)
