"""Many bundles in one process: against the bare cryptography, and against sigstore-python.

The floor is what no verifier can leave out: load the signing certificate and its key, and do the
same signature verifications, in a bare loop over `cryptography`. The signatures are not listed by
hand: every one that our verifier checks is recorded once, by key, bytes and hash, and replayed.

Both take turns on ten bundles at a time, which is a few milliseconds, so that a machine whose speed
changes changes it for both. Each begins with a bundle that does not count: as in a bare loop, and
as in a program that does nothing but verify, the processor's caches are then filled by the same
work, and neither pays for what the other left there. To take turns on single bundles showed no
difference that is above the noise. sigstore-python comes afterwards, on one bundle of ten: between
them it would slow ours by a thirtieth, which no program that only verifies would see.

A quotient is of one bundle's times in one turn; the median of all turns and bundles is given. The
column "least" is the sum of the least times that each bundle took in any turn, ours to floor: what
it is when nothing else uses the machine, whose other work slows Python down more than mathematics.
Times are CPU time.

Two threads are compared with one by wall clock, so these columns mean something only on two idle
cores. The last one is the bound: the bare signatures of the floor in two threads, in the same
rounds. No verifier that is a Python program can gain more.

The conformance suite has few bundles that are verified over and over, so all of their checkpoints
are remembered and in neither column; the bundles of an instance are too many for that.
"""

import gc
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from bench import corpus

_TURN = 10
"""Bundles that one has before it is the other's turn."""
_SECONDS = 8
_PEER_SECONDS = 2
_THREAD_SECONDS = 3
_ROUNDS = 3
"""At least, however long they take."""

Work = Callable[[corpus.Batch], None]


def alternate(
    cases: tuple[corpus.Batch, ...], works: tuple[Work, ...], seconds: float
) -> Mapping[Work, list[list[float]]]:
    """Give the CPU seconds of each work, by bundle and round, collector off within a round.

    sigstore-python has one bundle of each turn, another in each round.
    """
    taken: Mapping[Work, list[list[float]]] = {work: [[] for _ in cases] for work in works}
    rounds, until = 0, time.monotonic() + seconds
    while rounds < _ROUNDS or time.monotonic() < until:
        gc.collect()
        gc.disable()
        for first in range(0, len(cases), _TURN):
            turn = range(first, min(first + _TURN, len(cases)))
            for work in works:
                if work is corpus.Batch.verify_peer:
                    turn = turn[rounds % len(turn) :][:1]
                else:
                    work(cases[first - 1])
                for number in turn:
                    begun = time.process_time()
                    work(cases[number])
                    taken[work][number].append(time.process_time() - begun)
        gc.enable()
        rounds += 1
    return taken


def quotient(over: list[list[float]], under: list[list[float]]) -> float:
    """Give the median of the quotients of what was taken in the same turn of the same bundle."""
    return statistics.median(
        many / few
        for overs, unders in zip(over, under, strict=True)
        for many, few in zip(overs, unders, strict=False)
    )


def microseconds(taken: list[list[float]]) -> float:
    """Give the median time of a bundle."""
    return statistics.median(each for times in taken for each in times) * 1e6


def in_threads(batch: corpus.Batch, seconds: float) -> tuple[float, float]:
    """Give the speed of two threads to that of one, ours and of bare signatures, by wall clock.

    Medians of the quotients of neighbouring rounds; the first only warms up.
    """
    halves = batch.halves()
    taken: dict[tuple[Work, bool], list[float]] = defaultdict(list)
    rounds, until = 0, time.monotonic() + seconds
    with ThreadPoolExecutor(2) as pool:
        while rounds <= _ROUNDS or time.monotonic() < until:
            for work in (corpus.Batch.verify_ours, corpus.Batch.replay_signatures):
                for is_shared in (False, True):
                    gc.collect()
                    gc.disable()
                    begun = time.perf_counter()
                    if is_shared:
                        for future in [pool.submit(work, half) for half in halves]:
                            future.result()
                    else:
                        work(batch)
                    if rounds:
                        taken[work, is_shared].append(time.perf_counter() - begun)
                    gc.enable()
            rounds += 1
    ours, bound = (
        quotient([taken[work, False]], [taken[work, True]])
        for work in (corpus.Batch.verify_ours, corpus.Batch.replay_signatures)
    )
    return ours, bound


def main() -> None:
    """Print microseconds for each bundle and the quotients, for each set of bundles."""
    print("verify in process, medians, CPU microseconds for each bundle")
    print(f"{'bundles':44}{'floor':>7}{'ours':>7}{'peer':>7}", end="")
    print(f"{'ours/floor':>12}{'least':>7}{'peer/ours':>11}{'2 threads':>11}{'bound':>7}")
    for batch in corpus.batches():
        cases = tuple(replace(batch, cases=(case,)) for case in batch.cases)
        works = (corpus.Batch.replay_floor, corpus.Batch.verify_ours)
        floor, ours = alternate(cases, works, _SECONDS).values()
        works = (corpus.Batch.verify_ours, corpus.Batch.verify_peer)
        beside, peer = alternate(cases, works, _PEER_SECONDS).values()
        least = sum(map(min, ours)) / sum(map(min, floor))
        print(f"{f'{batch.name} ({len(cases)})':44}", end="")
        for taken in (floor, ours, peer):
            print(f"{microseconds(taken):7.0f}", end="")
        print(f"{quotient(ours, floor):12.2f}{least:7.2f}{quotient(peer, beside):11.2f}", end="")
        two, bound = in_threads(batch, _THREAD_SECONDS)
        print(f"{two:11.2f}{bound:7.2f}", flush=True)


if __name__ == "__main__":
    main()
