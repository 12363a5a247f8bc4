"""Many bundles in one process: against the bare cryptography, and against sigstore-python.

The floor is what no verifier can leave out: load the signing certificate and its key, and do the
same signature verifications, in a bare loop over `cryptography`. The signatures are not listed by
hand: every one that our verifier checks is recorded once, by key, bytes and hash, and replayed.
Rounds of the three alternate on the same bundles; the first three columns and their ratios are CPU
time, which other programs on the machine disturb least.

The column "least" is ours/floor again, from the least wall time that each bundle took in any round:
a bundle takes less than a millisecond, so that on a busy machine too some rounds leave it alone.

Two threads are compared with one by wall clock, so these columns mean something only on two idle
cores. The last one is the bound: the bare signatures of the floor in two threads, in the same
rounds. No verifier that is a Python program can gain more.

Each comparison has its seconds: three rounds at least, and no more than fit. The whole takes about
two minutes of CPU time.

The conformance suite has few bundles that are verified over and over, so all of their checkpoints
are remembered and in neither column; the bundles of an instance are too many for that.
"""

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from bench import corpus

_ROUNDS = (3, 9)
"""At least, and at most."""
_CPU_SECONDS = 6
_LEAST_SECONDS = 4
_THREAD_SECONDS = 3


def medians(
    works: Mapping[str, Callable[[], None]], clock: Callable[[], float], seconds: float
) -> tuple[dict[str, float], int]:
    """Give the median time of a round of each work and the rounds, alternating, collector off.

    The first round only warms up. None begins after so many seconds, if there are enough.
    """
    taken: dict[str, list[float]] = {name: [] for name in works}
    turn, until = 0, time.monotonic() + seconds
    while turn <= _ROUNDS[0] or (turn <= _ROUNDS[1] and time.monotonic() < until):
        for name, work in works.items():
            gc.collect()
            gc.disable()
            begun = clock()
            work()
            if turn:
                taken[name].append(clock() - begun)
            gc.enable()
        turn += 1
    return {name: statistics.median(rounds) for name, rounds in taken.items()}, turn - 1


def least(batch: corpus.Batch, seconds: float) -> float:
    """Give ours/floor from the least wall time of each bundle, over as many rounds as fit."""
    alone = [replace(batch, cases=(case,)) for case in batch.cases]
    floor, ours = [float("inf")] * len(alone), [float("inf")] * len(alone)
    turn, until = 0, time.monotonic() + seconds
    while turn <= _ROUNDS[0] or time.monotonic() < until:
        gc.collect()
        gc.disable()
        for taken, work in ((floor, corpus.Batch.replay_floor), (ours, corpus.Batch.verify_ours)):
            for number, one in enumerate(alone):
                begun = time.perf_counter()
                work(one)
                taken[number] = min(taken[number], time.perf_counter() - begun)
        gc.enable()
        turn += 1
    return sum(ours) / sum(floor)


def in_two(
    pool: ThreadPoolExecutor, batch: corpus.Batch, work: Callable[[corpus.Batch], None]
) -> Callable[[], None]:
    """Give the same work on a batch as two threads share it."""
    halves = batch.halves()

    def both() -> None:
        for future in [pool.submit(work, half) for half in halves]:
            future.result()

    return both


def main() -> None:
    """Print microseconds for each bundle and the ratios, for each set of bundles."""
    print("verify in process, medians of rounds, CPU microseconds for each bundle")
    print(f"{'bundles':40}{'rounds':>7}{'floor':>7}{'ours':>7}{'peer':>7}", end="")
    print(f"{'ours/floor':>12}{'least':>7}{'peer/ours':>11}{'2 threads':>11}{'bound':>7}")
    for batch in corpus.batches():
        count = len(batch.cases)
        cpu, rounds = medians(
            {"floor": batch.replay_floor, "ours": batch.verify_ours, "peer": batch.verify_peer},
            time.process_time,
            _CPU_SECONDS,
        )
        with ThreadPoolExecutor(2) as pool:
            wall, _ = medians(
                {
                    "one": batch.verify_ours,
                    "two": in_two(pool, batch, corpus.Batch.verify_ours),
                    "bare one": batch.replay_signatures,
                    "bare two": in_two(pool, batch, corpus.Batch.replay_signatures),
                },
                time.perf_counter,
                _THREAD_SECONDS,
            )
        print(f"{f'{batch.name} ({count})':40}{rounds:7}", end="")
        for name in ("floor", "ours", "peer"):
            print(f"{cpu[name] / count * 1e6:7.0f}", end="")
        print(
            f"{cpu['ours'] / cpu['floor']:12.2f}{least(batch, _LEAST_SECONDS):7.2f}"
            f"{cpu['peer'] / cpu['ours']:11.2f}"
            f"{wall['one'] / wall['two']:11.2f}{wall['bare one'] / wall['bare two']:7.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
