"""Log appends over HTTP: durable, integrated, with proof and signed checkpoint in the answer.

    python -m bench.append_http [--full] [--only WORDS]

Every request is a distinct hashedrekord 0.0.2 entry with its own certificate and P-256 signature,
as real clients send them; a sample of the answers is verified as a client would. For one and two
workers, on SQLite and a folder and on PostgreSQL and S3, by number of clients; then at half of the
highest rate, requests coming at random times whether or not earlier ones were answered.

CPU for each entry is that of all of the server's processes (utime + stime), until its search index
has caught up: so the load generator can neither flatter nor hurt it. Rates do suffer from it, for
it shares the machine: with one worker it has a core of its own, with two it takes from theirs. The
floor is the bare loop that no log can leave out: load the certificate, verify the signature, hash;
it is measured before and after each row, since a machine's speed changes from minute to minute.

A load with a core of its own polls (`bench.load`). Where stores run on that core too it sleeps: it
would take half of the core from them, and each request waits for them. What two workers can do more
than one is a measurement of its own (`bench.append_workers`), under one load for both.

`--full` takes more entries and the median of three rounds, in which the rows alternate.
"""

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Final, NamedTuple

from bench import append_workers, instance, load
from bench.append_entries import PATH, Entry, Service, floor_seconds, make_entries

_SHARES: Final = {1: 0.02, 16: 0.15, 64: 0.3, 256: 0.3}  # of the entries, by number of clients
_WARM_UP: Final = 0.08
_PACED_CLIENTS: Final = 256
_PACED_SECONDS: Final = 6.0
_FLOOR_SAMPLES: Final = 1_000
_STORES: Final = ("SQLite + folder", "PostgreSQL + S3")
_ROUNDS: Final = 8  # of two workers against one


@dataclass(frozen=True, slots=True)
class Setup:
    """One way to run the service."""

    store: str
    workers: int
    index: bool

    def __str__(self) -> str:
        return f"{self.store}, {self.workers} worker{'s' * (self.workers > 1)}" + (
            "" if self.index else ", no index"
        )


class Row(NamedTuple):
    """What one number of clients gave; times in seconds."""

    rate: float
    cpu: float
    stores: float
    own: float
    floor: float
    p50: float
    p99: float


class Measuring:
    """One running service, as one setup has it."""

    def __init__(
        self, service: Service, entries: Sequence[Entry], cores: Sequence[int], *, polls: bool
    ) -> None:
        """Take the cores that the service has."""
        self._service = service
        self._entries = entries
        self._cores = cores
        self._polls = polls

    def warm_up(self) -> None:
        """Have every part of the server loaded and used."""
        self._service.run(int(_WARM_UP * len(self._entries)), 64)

    def row(self, clients: int) -> Row:
        """Measure one number of clients, each of which waits for its answer."""
        count = int(_SHARES[clients] * len(self._entries))
        floor = self._floor()
        result, used = self._service.run(count, clients, polls=self._polls)
        floor = (floor + self._floor()) / 2
        return Row(
            count / result.seconds,
            *used,
            result.own_seconds / count,
            floor,
            result.percentile(0.5),
            result.percentile(0.99),
        )

    def paced(self, rate: float) -> tuple[float, float]:
        """Give p50 and p99 in seconds at this rate."""
        count = min(int(rate * _PACED_SECONDS), self._service.left)
        result = self._service.run_paced(count, rate, _PACED_CLIENTS, polls=self._polls)
        return result.percentile(0.5), result.percentile(0.99)

    def _floor(self) -> float:
        """Measure the floor where the service runs: one core may be slower than another."""
        own = os.sched_getaffinity(0)
        os.sched_setaffinity(0, self._cores)
        try:
            return floor_seconds(self._entries[:_FLOOR_SAMPLES])
        finally:
            os.sched_setaffinity(0, own)


Result = tuple[dict[int, Row], tuple[float, float, float]]
"""A row for each number of clients; half of the highest rate, with its p50 and p99."""


def measure(setup: Setup, stores: instance.Stores, entries: Sequence[Entry]) -> Result:
    """Start the service in this way and measure it."""
    cores = sorted(os.sched_getaffinity(0))
    # With one worker the load has the other core, and the stores too.
    apart = setup.workers == 1 and len(cores) > 1
    rest = cores[1:] if apart else cores
    for pid in stores.pids:
        load.pin(pid, rest)
    options = ("--workers", str(setup.workers))
    settings = "" if setup.index else "[index]\nenabled = false\n"
    served = cores[:1] if apart else cores
    with instance.running(*options, cores=served, settings=settings, stores=stores) as server:
        os.sched_setaffinity(0, rest)
        try:
            service = Service(server, entries, stores, index=setup.index)
            measuring = Measuring(service, entries, served, polls=apart and not stores.pids)
            measuring.warm_up()
            rows = {clients: measuring.row(clients) for clients in _SHARES}
            half = max(row.rate for row in rows.values()) / 2
            return rows, (half, *measuring.paced(half))
        finally:
            os.sched_setaffinity(0, cores)


def medians(results: Sequence[Result]) -> Result:
    """Give the median of each figure."""

    def middle(rows: Sequence[Sequence[float]]) -> list[float]:
        return [statistics.median(each) for each in zip(*rows, strict=True)]

    rows = {clients: Row(*middle([each[0][clients] for each in results])) for clients in _SHARES}
    half, p50, p99 = middle([each[1] for each in results])
    return rows, (half, p50, p99)


@contextmanager
def null_server(cores: Sequence[int]) -> Iterator[tuple[str, int]]:
    """Start the server that does nothing."""
    with subprocess.Popen(
        [sys.executable, "-m", "bench.null_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        load.pin(process.pid, cores)
        yield "127.0.0.1", port
        process.communicate()


def show_generator(entries: Sequence[Entry]) -> None:
    """Print what the load generator drives when answers cost nothing."""
    cores = sorted(os.sched_getaffinity(0))
    requests = [load.post(PATH, "null", each.request) for each in entries]
    os.sched_setaffinity(0, cores[-1:])
    with null_server(cores[:1]) as address:
        load.run_load(address, requests[:500], 64)
        result = load.run_load(address, requests, 64)
    os.sched_setaffinity(0, cores)
    print(
        f"load generator alone, 64 clients, server that does nothing:"
        f" {len(requests) / result.seconds:.0f} requests/s,"
        f" {result.own_seconds / len(requests) * 1e6:.1f} us of its CPU each"
    )


def show(setup: Setup, result: Result) -> None:
    """Print the rows of one way to run it."""
    rows, (half, p50, p99) = result
    print(f"\n{setup}")
    print(f"{'clients':>8}{'entries/s':>11}{'CPU us':>8}{'floor us':>10}{'CPU/floor':>11}", end="")
    print(f"{'stores us':>11}{'load us':>9}{'p50 ms':>8}{'p99 ms':>8}")
    for clients, row in rows.items():
        print(
            f"{clients:8}{row.rate:11.0f}{row.cpu * 1e6:8.1f}{row.floor * 1e6:10.1f}"
            f"{row.cpu / row.floor:11.2f}{row.stores * 1e6:11.1f}{row.own * 1e6:9.1f}"
            f"{row.p50 * 1e3:8.2f}{row.p99 * 1e3:8.2f}"
        )
    print(
        f"  at half of the peak, {half:.0f}/s: p50 {p50 * 1e3:.2f} ms, p99 {p99 * 1e3:.2f} ms",
        flush=True,
    )


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="three rounds of more entries")
    parser.add_argument(
        "--only", default="", help="such as 'sqlite + folder, 1 worker', or 'against'"
    )
    parser.add_argument("--entries", type=int, help="for each way to run it")
    arguments = parser.parse_args()
    count = arguments.entries or (60_000 if arguments.full else 18_000)
    rounds = _ROUNDS * 3 if arguments.full else _ROUNDS
    entries = make_entries(max(count, append_workers.entries_for(rounds)))
    print(f"log append over HTTP: {count} entries for each way to run it")
    show_generator(entries[:10_000])
    setups = [
        Setup(store, workers, index)
        for store, workers, index in product(_STORES, (1, 2), (True, False))
        # Where the quick way leaves something out: the index costs the same there.
        if index or store == "SQLite + folder" or arguments.full
    ]
    only = arguments.only.lower()
    setups = [each for each in setups if str(each).lower().startswith(only)]
    taken: dict[Setup, list[Result]] = {each: [] for each in setups}
    with instance.stores() as servers:
        for _ in range(3 if arguments.full else 1):
            for setup in setups:
                stores = instance.Stores() if "SQLite" in setup.store else servers
                if stores is not None:
                    taken[setup].append(measure(setup, stores, entries[:count]))
                    if arguments.full:
                        print(f"  {setup}: one round done", flush=True)
                    else:
                        show(setup, taken[setup][0])
        if arguments.full:
            for setup, found in taken.items():
                if found:
                    show(setup, medians(found))
        for store in _STORES:
            stores = instance.Stores() if "SQLite" in store else servers
            name = f"against: {store}"
            if stores is not None and name.lower().startswith(only):
                append_workers.compare(store, stores, entries, rounds=rounds)


if __name__ == "__main__":
    main()
