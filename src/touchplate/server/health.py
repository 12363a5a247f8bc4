"""Whether the service lives, whether it is ready, and a few figures: /healthz, /readyz, /metrics.

Figures are named by route, never by anything that a client sent.
"""

import json
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from touchplate import __version__
from touchplate.errors import TouchplateError, UnavailableError
from touchplate.server import ownership
from touchplate.server.counts import Counts, own_counts
from touchplate.server.latencies import RouteCounters, take_histograms
from touchplate.server.lineage import Lineage
from touchplate.server.upstream_metrics import name_grpc, upstream_counters
from touchplate.storage.objects import ObjectStore
from touchplate.tilelog.log import TileLog
from touchplate.tlog import Shards
from touchplate.transport.asgi import Request, Response, Route

log = logging.getLogger("touchplate.server")

# Raises a TouchplateError if its part cannot do its work now.
Check = Callable[[], None]

_REQUESTS: Final = "touchplate_http_requests_total"
_NO_STORE = (("cache-control", "no-store"),)


def check_log(log: TileLog) -> None:
    """Prove that a log can be read, and could be written when it was written last."""
    log.checkpoint()
    if (failure := log.failing) is not None:
        raise UnavailableError("STORAGE_UNAVAILABLE", failure)


def check_trees(shards: Shards) -> None:
    """Prove the same of each tree of the transparency log."""
    for log in shards.oldest_first:
        check_log(log.tiles)


def tree_figures(lineage: Lineage) -> dict[str, float]:
    """Give the gauges of the transparency log's trees, beside their sizes."""
    return {
        f'touchplate_log_frozen{{log="{shard.name}"}}': float(log.tiles.is_frozen)
        for shard, log in lineage.trees
    }


def tree_details(lineage: Lineage) -> dict[str, object]:
    """Give what /readyz tells of the trees, oldest first."""
    try:
        return {
            "shards": [
                {
                    "name": shard.name,
                    "origin": log.key.origin,
                    "treeID": f"{log.key.tree_id:016x}",
                    "size": log.tiles.committed().size,
                    "frozen": log.tiles.is_frozen,
                }
                for shard, log in lineage.trees
            ]
        }
    except TouchplateError as error:
        return {"shards": error.code}


def check_objects(objects: ObjectStore) -> None:
    """Prove that the object store answers."""
    objects.get(ownership.KEY)


class Metrics:
    """Counts requests, over all worker processes; safe to use from any thread."""

    def __init__(self, counts: Counts | None = None) -> None:
        self.counts = counts or own_counts()
        self._counters: dict[tuple[str, str, int], tuple[str, RouteCounters]] = {}

    def observe(self, method: str, pattern: str, status: int, seconds: float) -> None:
        """Count one answer; `pattern` is the route's, empty if there was none.

        `seconds` is how long it took, which is noted for routes that there are.
        """
        found = self._counters.get((method, pattern, status))
        if found is None:
            found = self._begin(method, pattern, status)
        name, route = found
        if pattern:
            self.counts.add_all(((name, 1), *route.counts_of(seconds)))
        else:
            self.counts.add(name)

    def _begin(self, method: str, pattern: str, status: int) -> tuple[str, RouteCounters]:
        if not pattern:
            # The method of an unknown route is the client's word, so nothing is kept by it.
            name = f'{_REQUESTS}{{method="",route="",status="{status}"}}'
            return name, RouteCounters((), "")
        name = f'{_REQUESTS}{{method="{method}",route="{pattern}",status="{status}"}}'
        found = name, RouteCounters.of(method, pattern)
        self._counters[method, pattern, status] = found
        return found

    def observe_grpc(self, service: str, method: str, code: str) -> None:
        """Count one gRPC call of a method of ours; `code` is how it ended, as Go writes it."""
        self.counts.add(name_grpc(service, method, code))

    def render(self, figures: Mapping[str, float]) -> bytes:
        """Give all in the Prometheus text format; `figures` are gauges by name and labels."""
        own, lines = take_histograms(self.counts.total())
        counters = sorted({**own, **upstream_counters(own)}.items())
        for kind, samples in (
            ("counter", {name: f"{count}" for name, count in counters}),
            ("gauge", {name: _text(value) for name, value in figures.items()}),
        ):
            typed: set[str] = set()
            for name, value in samples.items():
                metric = name.partition("{")[0]
                if metric not in typed:
                    typed.add(metric)
                    lines.append(f"# TYPE {metric} {kind}")
                lines.append(f"{name} {value}")
        return ("\n".join(lines) + "\n").encode()


def _text(value: float) -> str:
    return f"{value:g}" if value < 1e6 else f"{value:.0f}"


@dataclass(frozen=True, slots=True)
class Health:
    """What the deployment can say about itself."""

    checks: Mapping[str, Check]
    # Sizes of the logs, by name.
    sizes: Callable[[], Mapping[str, int]]
    # When each certificate and each role's metadata ends, by name.
    expiries: Callable[[], Mapping[str, datetime]]
    metrics: Metrics
    # Further gauges, by name and labels, and what else /readyz tells.
    figures: Callable[[], Mapping[str, float]] = dict
    details: Callable[[], Mapping[str, object]] = dict

    # What the operator was told of each check that fails.
    _told: dict[str, str] = field(default_factory=dict)

    def failures(self) -> dict[str, str]:
        """Run all checks, at once; give the error code of each that fails.

        Stores that hang are waited for together, each to its own deadline. Of a key store's failure
        it is the code of what the store said. The operator is told the whole reason, once for as
        long as it is the same.
        """
        failed = {}
        with ThreadPoolExecutor(len(self.checks), thread_name_prefix="ready") as pool:
            running = {name: pool.submit(check) for name, check in self.checks.items()}
        for name, done in running.items():
            try:
                done.result()
            except TouchplateError as error:
                reason = error.__cause__ if isinstance(error.__cause__, TouchplateError) else error
                failed[name] = reason.code
                if self._told.get(name) != str(error):
                    self._told[name] = str(error)
                    log.warning("not ready: %s: %s: %s", name, reason.code, error)
            else:
                if self._told.pop(name, None) is not None:
                    log.warning("ready again: %s", name)
        return failed


def routes(health: Health) -> tuple[Route, ...]:
    """Answer /healthz, /readyz, /ping and /metrics."""

    async def get_healthz(_: Request) -> Response:
        return Response(200, b'{"status":"SERVING"}', headers=_NO_STORE)

    async def get_ping(_: Request) -> Response:
        return Response(200, b".", "text/plain", _NO_STORE)

    async def get_readyz(request: Request) -> Response:
        failed = await request.run(health.failures)
        status = "NOT_SERVING" if failed else "SERVING"
        details = await request.run(health.details)
        body = json.dumps({"status": status, "failed": failed, **details}).encode()
        return Response(503 if failed else 200, body, headers=_NO_STORE)

    async def get_metrics(request: Request) -> Response:
        text = await request.run(_render, health)
        return Response(200, text, "text/plain; version=0.0.4; charset=utf-8", _NO_STORE)

    return (
        # Whoever watches over a server must reach it when it is most busy.
        Route("GET", "/healthz", get_healthz, 0, is_limited=False),
        Route("GET", "/ping", get_ping, 0, is_limited=False),
        Route("GET", "/readyz", get_readyz, 0, is_limited=False),
        Route("GET", "/metrics", get_metrics, 0, is_limited=False),
    )


def _render(health: Health) -> bytes:
    figures: dict[str, float] = {f'touchplate_build_info{{version="{__version__}"}}': 1}
    figures |= {
        f'touchplate_log_size{{log="{name}"}}': size for name, size in health.sizes().items()
    }
    for name, at in health.expiries().items():
        figures[f'touchplate_expires_at_seconds{{name="{name}"}}'] = at.timestamp()
    figures.update(health.figures())
    return health.metrics.render(figures)
