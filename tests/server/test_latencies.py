"""How long requests took is served as a histogram, over all processes."""

import re
from itertools import pairwise

from touchplate.server.counts import Counts, SharedCounts, own_counts
from touchplate.server.latencies import BOUNDS, METRIC, RouteCounters, take_histograms
from touchplate.testing import World


def lines_of(counts: Counts) -> list[str]:
    """Give the histograms as they are served."""
    return take_histograms(counts.total())[1]


def test_buckets() -> None:
    """A bucket holds all that took no longer than its bound, the bound itself included."""
    counts = own_counts()
    route = RouteCounters.of("GET", "/a")
    for seconds in (0.0, 0.001, 0.0010001, 0.3, 10.0, 11.0):
        counts.add_all(route.counts_of(seconds))
    labels = 'method="GET",route="/a"'
    found = dict(line.rsplit(" ", 1) for line in lines_of(counts)[1:])

    def below(bound: str) -> str:
        return found[f'{METRIC}_bucket{{{labels},le="{bound}"}}']

    assert (below("0.001"), below("0.0025"), below("0.25"), below("0.5")) == ("2", "3", "3", "4")
    assert (below("10"), below("+Inf")) == ("5", "6")
    assert found[f"{METRIC}_count{{{labels}}}"] == "6"
    assert found[f"{METRIC}_sum{{{labels}}}"] == "21.302000"
    assert len(found) == len(BOUNDS) + 3


def test_routes_and_processes() -> None:
    """Each route has its own; what several processes counted is one; other counters stay."""
    shared = SharedCounts(2)
    parts = (shared.of(0), shared.of(1))
    for part in parts:
        part.add_all(RouteCounters.of("POST", "/b").counts_of(0.02))
        part.add("other_total")
    parts[1].add_all(RouteCounters.of("GET", "/a/{name...}").counts_of(0.02))
    others, lines = take_histograms(parts[0].total())
    assert others == {"other_total": 2}
    assert lines[0] == f"# TYPE {METRIC} histogram"
    assert [line for line in lines if "_count" in line] == [
        f'{METRIC}_count{{method="GET",route="/a/{{name...}}"}} 1',
        f'{METRIC}_count{{method="POST",route="/b"}} 2',
    ]


def test_nothing_yet() -> None:
    """Without requests there is no histogram."""
    assert take_histograms({"other_total": 1}) == ({"other_total": 1}, [])


def test_served() -> None:
    """`/metrics` has one for each route that was asked, and none for what there is not."""
    with World() as world:
        world.sign(b"artifact")
        world.transport.request("GET", f"{world.url}/nothing")
        text = world.transport.request("GET", f"{world.url}/metrics").body.decode()
    assert text.count(f"# TYPE {METRIC} histogram\n") == 1
    routes = set(re.findall(rf'{METRIC}_count{{method="POST",route="([^"]*)"}} 1\n', text))
    assert {"/api/v2/signingCert", "/api/v2/log/entries", "/api/v1/timestamp"} <= routes
    assert f'{METRIC}_bucket{{method="",' not in text
    sizes = [int(each) for each in re.findall(rf'{METRIC}_bucket{{.*timestamp",le.*}} (\d+)', text)]
    assert len(sizes) == len(BOUNDS) + 1
    assert all(low <= high for low, high in pairwise(sizes))
    assert sizes[-1] == 1
