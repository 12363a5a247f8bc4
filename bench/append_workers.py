"""Two workers against one: the CPU of an entry, both services running at once and loaded by turns.

Rates would say little where the load has no core of its own, and rows measured minutes apart say
less than the quotients of neighbours. So a service with one worker and one with two, with the same
kind of storage, both with the search index, get chunks of entries by turns. All have all cores, and
the load sleeps: what differs is the number of workers. What two workers could do on two cores that
they keep busy is 2 divided by how much more an entry costs them.
"""

import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

from bench import instance
from bench.append_entries import Entry, Service

CLIENTS: Final = (64, 256)
_CHUNK: Final = 1_500
_WORKERS: Final = (1, 2)


def entries_for(rounds: int) -> int:
    """Give how many entries `compare` takes."""
    return (1 + rounds * len(CLIENTS)) * _CHUNK


def compare(name: str, stores: instance.Stores, entries: Sequence[Entry], *, rounds: int) -> None:
    """Print for each number of clients how much more an entry costs two workers."""
    print(f"\n{name}: two workers against one, by turns, {rounds} rounds of {_CHUNK} entries")
    with ExitStack() as stack:
        services = []
        for workers in _WORKERS:
            server = stack.enter_context(instance.running("--workers", str(workers), stores=stores))
            services.append(Service(server, entries, stores, index=True))
        for service in services:
            service.run(_CHUNK, CLIENTS[0])
        for clients in CLIENTS:
            _compare(services, clients, rounds)


def _compare(services: Sequence[Service], clients: int, rounds: int) -> None:
    used: list[list[float]] = [[] for _ in services]
    for each in range(rounds):
        # The first place is each one's in turn: the machine's speed may drift within a round.
        turns = list(zip(services, used, strict=True))
        for service, seconds in turns[:: -1 if each % 2 else 1]:
            seconds.append(service.run(_CHUNK, clients)[1].server)
    quotients = [two / one for one, two in zip(*used, strict=True)]
    found = statistics.median(quotients)
    one, two = (statistics.median(each) * 1e6 for each in used)
    print(
        f"  {clients} clients: CPU of an entry {one:.0f} us with one and {two:.0f} with two,"
        f" median quotient {found:.2f} ({min(quotients):.2f} to {max(quotients):.2f}):"
        f" on two cores that they keep busy two workers could do {2 / found:.2f} times as much",
        flush=True,
    )
