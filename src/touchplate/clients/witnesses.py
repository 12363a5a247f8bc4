"""Ask several witnesses at once for their cosignatures, within a deadline.

Each address has one thread and one request under way: a witness that is slow gets the newest
checkpoint when it is done with the last one, and holds up nobody whom the others satisfy.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Condition, Lock, Thread
from typing import Final

from touchplate.clients.witness import Stale, WitnessClient
from touchplate.errors import TouchplateError, UnavailableError
from touchplate.formats.cosignature import Cosignature
from touchplate.formats.witness_policy import Policy
from touchplate.transport.http import Transport

MAX_TRIES: Final = 3
"""With a proof from the size remembered, and from the sizes that the witness then states."""

_logger = logging.getLogger(__name__)


class AheadError(Exception):
    """The witness has cosigned a larger size than that of the checkpoint; stays in this package."""

    def __init__(self, url: str, size: int) -> None:
        super().__init__(f"{url} has cosigned size {size} of this log")
        self.size = size


@dataclass(frozen=True, slots=True)
class Gathered:
    """What came of one checkpoint."""

    cosignatures: dict[str, Cosignature]
    """By the witness's name in the policy, in the policy's order."""
    failures: dict[str, Exception]
    """By address: why it gave none. A TouchplateError, or `AheadError`.

    For those that did not answer in time, why they gave none before.
    """
    late: tuple[str, ...]
    """Addresses that did not answer in time, and had no reason before."""


class Witnesses:
    """The witnesses of a policy that have an address. Any thread may ask.

    What each of them has cosigned last is remembered, and learnt from its 409 after a start.
    """

    def __init__(
        self,
        policy: Policy,
        transport: Transport,
        now: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the policy; `now` is Unix seconds. Witnesses of one address are asked once."""
        self._policy = policy
        self._monotonic = monotonic
        # By name and hint: one witness may have several keys under its name.
        self._names = {
            (each.cosigner.name, each.cosigner.hint): each.name for each in policy.witnesses
        }
        addresses: dict[str, list[str]] = {}
        for witness in policy.witnesses:
            if witness.url is not None:
                addresses.setdefault(witness.url, []).append(witness.name)
        cosigners = {each.name: each.cosigner for each in policy.witnesses}
        self._workers = tuple(
            _Worker(
                WitnessClient(url, tuple(cosigners[name] for name in names), transport),
                now,
                monotonic,
            )
            for url, names in addresses.items()
        )

    @property
    def urls(self) -> tuple[str, ...]:
        """Give the addresses that are asked."""
        return tuple(worker.url for worker in self._workers)

    def gather(
        self,
        envelope: str,
        size: int,
        prove: Callable[[int], tuple[bytes, ...]],
        *,
        seconds: float,
        greedy: bool = False,
        give_up: bool = False,
    ) -> Gathered:
        """Ask for cosignatures on the checkpoint of `size`, and wait at most `seconds`.

        `prove` gives the consistency proof from a smaller size. It ends when the policy is met,
        unless `greedy`; and with `give_up` as soon as it can no longer be met.
        """
        job = _Round(envelope, size, prove, self._monotonic() + seconds)
        for worker in self._workers:
            worker.offer(job)

        def is_settled() -> bool:
            waiting = [worker for worker in self._workers if worker.url not in job.outcomes]
            cosigned = self._cosigned(job)
            if not waiting or (not greedy and self._policy.is_met(cosigned)):
                return True
            may_yet = {self._names[e.name, e.hint] for w in waiting for e in w.client.cosigners}
            return give_up and not self._policy.is_met({*cosigned, *may_yet})

        with job.changed:
            job.changed.wait_for(is_settled, max(0.0, job.deadline - self._monotonic()))
            cosigned = self._cosigned(job)
            outcomes = {each.url: job.outcomes.get(each.url) or each.last for each in self._workers}
        return Gathered(
            {
                each.name: cosigned[each.name]
                for each in self._policy.witnesses
                if each.name in cosigned
            },
            {url: each for url, each in outcomes.items() if isinstance(each, Exception)},
            tuple(url for url, each in outcomes.items() if each is None),
        )

    def close(self) -> None:
        """End the threads; requests under way end at their deadlines. May be called again."""
        for worker in self._workers:
            worker.close()

    def _cosigned(self, job: _Round) -> dict[str, Cosignature]:
        """Give what has arrived, by the names in the policy."""
        return {
            self._names[each.name, each.line.key_hint]: each
            for outcome in job.outcomes.values()
            if isinstance(outcome, tuple)
            for each in outcome
        }


class _Round:
    """One checkpoint, and what became of it at each address."""

    def __init__(
        self, envelope: str, size: int, prove: Callable[[int], tuple[bytes, ...]], deadline: float
    ) -> None:
        self.envelope = envelope
        self.size = size
        self.deadline = deadline
        self.changed = Condition()  # guards `outcomes`
        self.outcomes: dict[str, tuple[Cosignature, ...] | Exception | None] = {}
        self._prove = prove
        self._proofs: dict[int, tuple[bytes, ...]] = {}
        self._proving = Lock()

    def proof_from(self, size: int) -> tuple[bytes, ...]:
        """Give the proof from this size, made once for all witnesses."""
        if size in (0, self.size):
            return ()
        with self._proving:
            if size not in self._proofs:
                self._proofs[size] = self._prove(size)
            return self._proofs[size]

    def settle(self, url: str, outcome: tuple[Cosignature, ...] | Exception | None) -> None:
        """Note what became of it; None if the address is busy with another one."""
        with self.changed:
            self.outcomes[url] = outcome
            self.changed.notify_all()


class _Worker:
    """One address, and the thread that asks there."""

    def __init__(
        self, client: WitnessClient, now: Callable[[], float], monotonic: Callable[[], float]
    ) -> None:
        self.client = client
        self.url = client.url
        self._now = now
        self._monotonic = monotonic
        self._size = 0  # what the witness has cosigned last, as far as we know; its thread's own
        self.last: Exception | None = None  # why the last request gave nothing
        self._changed = Condition()  # guards what follows
        self._next: _Round | None = None
        self._closing = False
        self._thread: Thread | None = None

    def offer(self, job: _Round) -> None:
        """Have the checkpoint asked for when the thread is free; a larger one takes its place."""
        with self._changed:
            passed, self._next = self._next, job
            if passed is not None and passed.size > job.size:
                passed, self._next = job, passed
            # Only now, and not at the start: a process may be forked in between.
            if self._thread is None and not self._closing:
                self._thread = Thread(target=self._run, name=f"witness {self.url}", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        if passed is not None:
            passed.settle(self.url, None)

    def close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._next is not None or self._closing)
                job, self._next = self._next, None
            if job is None or self._closing:
                return
            outcome: tuple[Cosignature, ...] | Exception
            try:
                outcome = self._ask(job)
            except (TouchplateError, AheadError) as error:
                outcome = error
            except Exception as error:
                # A bug of ours; the other witnesses and the next checkpoint go on.
                _logger.exception("asking %s failed", self.url)
                outcome = error
            if not isinstance(outcome, Exception):
                self.last = None
            elif self.last is None or not isinstance(outcome, UnavailableError):
                # What it has said against us stands until it answers otherwise.
                self.last = outcome
            job.settle(self.url, outcome)

    def _ask(self, job: _Round) -> tuple[Cosignature, ...]:
        for _ in range(MAX_TRIES):
            left = job.deadline - self._monotonic()
            if left <= 0:
                break
            # If it knows more than this checkpoint it says so, whatever we remember.
            old = min(self._size, job.size)
            answer = self.client.add_checkpoint(
                job.envelope, old, job.proof_from(old), now=self._now(), timeout=left
            )
            if not isinstance(answer, Stale):
                self._size = job.size
                return answer
            self._size = answer.size
            if answer.size > job.size:
                raise AheadError(self.url, answer.size)
        raise _away(f"{self.url} was not done with the checkpoint in time")


def _away(message: str) -> UnavailableError:
    return UnavailableError("SERVICE_UNAVAILABLE", message)
