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

METRIC: Final = "touchplate_http_request_seconds"
# Seconds; what takes longer than the last is in the sum and the count.
BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_TEXTS: Final = (*(f"{bound:g}" for bound in BOUNDS), "+Inf")
_ROW: Final = re.compile(rf'{METRIC}_(?:bucket\{{(.*),le="([^"]+)"|sum\{{(.*))\}}')


class RouteCounters(NamedTuple):
    """The names of the counters of one route; its method and pattern must be ours."""

    buckets: tuple[str, ...]
    total: str

    @classmethod
    def of(cls, method: str, route: str) -> "RouteCounters":
        """Name them."""
        labels = f'method="{method}",route="{route}"'
        buckets = tuple(f'{METRIC}_bucket{{{labels},le="{text}"}}' for text in _TEXTS)
        return cls(buckets, f"{METRIC}_sum{{{labels}}}")

    def counts_of(self, seconds: float) -> tuple[tuple[str, int], tuple[str, int]]:
        """Give what one request that took so long adds."""
        return (self.buckets[bisect_left(BOUNDS, seconds)], 1), (self.total, int(seconds * 1e6))


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
