"""How long requests took, as a histogram for each route: what a dashboard makes percentiles of.

What is kept, in the memory that all worker processes share, is how many requests fell between two
bounds, and the sum of their microseconds. Prometheus wants the former as running sums, which are
made when somebody reads.
"""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping
from typing import Final, NamedTuple

from touchplate.server.counts import Counts

METRIC: Final = "touchplate_http_request_seconds"
# Seconds; what takes longer than the last is in the sum and the count.
BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_TEXTS: Final = (*(f"{bound:g}" for bound in BOUNDS), "+Inf")
_ROW: Final = re.compile(rf'{METRIC}_(?:bucket\{{(.*),le="([^"]+)"|sum\{{(.*))\}}')


class _Rows(NamedTuple):
    """The names of one route's counters."""

    buckets: tuple[str, ...]
    total: str


class Latencies:
    """Counts the durations of requests; safe to use from any thread."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._rows: dict[tuple[str, str], _Rows] = {}

    def observe(self, method: str, route: str, seconds: float) -> None:
        """Count one request; its method and route must be ours, not a client's words."""
        rows = self._rows.get((method, route))
        if rows is None:
            labels = f'method="{method}",route="{route}"'
            buckets = tuple(f'{METRIC}_bucket{{{labels},le="{text}"}}' for text in _TEXTS)
            rows = self._rows[method, route] = _Rows(buckets, f"{METRIC}_sum{{{labels}}}")
        self._counts.add(rows.buckets[bisect_left(BOUNDS, seconds)])
        self._counts.add(rows.total, round(seconds * 1e6))


def take_histograms(counts: Mapping[str, int]) -> tuple[dict[str, int], list[str]]:
    """Part counters from histograms: give the counters, and the histograms as lines of text."""
    others: dict[str, int] = {}
    found: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for name, count in counts.items():
        row = _ROW.fullmatch(name)
        if row is None:
            others[name] = count
        else:
            found[row[1] or row[3]][row[2] or "sum"] = count
    lines = [f"# TYPE {METRIC} histogram"] if found else []
    for labels, parts in sorted(found.items()):
        below = 0
        for text in _TEXTS:
            below += parts.get(text, 0)
            lines.append(f'{METRIC}_bucket{{{labels},le="{text}"}} {below}')
        lines.append(f"{METRIC}_sum{{{labels}}} {parts.get('sum', 0) / 1e6:.6f}")
        lines.append(f"{METRIC}_count{{{labels}}} {below}")
    return others, lines
