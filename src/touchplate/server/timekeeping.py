"""The clock of a deployment, watched over by time sources, if any are set: `tsa.Drift` in a thread.

Each process does so on its own. /readyz and /metrics tell of it; that the clock is not proven is no
failure there, since all but timestamps goes on.
"""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Event, Thread
from typing import Any, Final

from touchplate.server.health import Health
from touchplate.server.settings import TsaSettings
from touchplate.transport import ntp
from touchplate.tsa.drift import Answer, Drift, DriftSettings

log = logging.getLogger("touchplate.server")

# Time sources are not asked more often than so, whatever happens to the clock.
PAUSE: Final = timedelta(seconds=4)


class Timekeeper:
    """Asks the sources at once and then again and again, in a thread of its own."""

    def __init__(self, drift: Drift, timeout: timedelta) -> None:
        self.drift = drift
        self._timeout = timeout
        self._ended = Event()
        self._said = ""
        self._thread = Thread(target=self._run, name="timekeeper", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread, not waiting for a resolver that does not answer."""
        self._ended.set()
        self.drift.wanted.set()
        self._thread.join(2 * self._timeout.total_seconds())

    def _run(self) -> None:
        settings, wanted = self.drift.settings, self.drift.wanted
        period = settings.period.total_seconds()
        pause = min(period, PAUSE.total_seconds())
        while not self._ended.is_set():
            wanted.clear()
            try:
                self.drift.measure()
                self._tell()
            except Exception:
                # Nothing is proven by it, and the next round may do better.
                log.exception("asking the time sources failed")
            self._ended.wait(pause)
            wanted.wait(max(0.0, period - pause))

    def _tell(self) -> None:
        """Log what has changed."""
        offset = self.drift.last.offset
        bound = self.drift.settings.max_drift
        if offset is None:
            said = "too few time sources answer"
        elif abs(offset) > bound:
            said = f"the clock is more than {bound.total_seconds():g} s off: nothing is stamped"
        else:
            said = "the clock is proven"
        if said != self._said:
            level = logging.INFO if said == "the clock is proven" else logging.ERROR
            log.log(level, "%s", said)
            self._said = said


def open_timekeeping(
    opened: ExitStack, settings: TsaSettings, now: Callable[[], datetime]
) -> Drift | None:
    """Begin to watch over the clock until `opened` ends; None: no sources are set."""
    if not settings.time_sources:
        return None
    timeout = timedelta(seconds=settings.time_timeout_seconds)

    def ask(source: str) -> timedelta:
        return ntp.ask(source, timeout, now).offset

    drift = Drift(
        DriftSettings(
            settings.time_sources,
            timedelta(seconds=settings.max_drift_seconds),
            timedelta(seconds=settings.time_period_seconds),
            timedelta(seconds=settings.time_grace_seconds),
        ),
        ask,
        now=now,
        monotonic=time.monotonic,
    )
    opened.callback(Timekeeper(drift, timeout).close)
    return drift


def tell_time(health: Health, drift: Drift | None, now: Callable[[], datetime]) -> Health:
    """Let /metrics and /readyz tell of the clock too."""
    if drift is None:
        return health
    figures, details = health.figures, health.details
    return replace(
        health,
        figures=lambda: {**figures(), **time_figures(drift, now())},
        details=lambda: {**details(), "time": time_details(drift, now())},
    )


def time_figures(drift: Drift, at: datetime) -> Mapping[str, float]:
    """Give the gauges of the clock; a source that did not answer has no offset."""
    last = drift.last
    figures = {"touchplate_time_proven": float(drift.state(at) == "proven")}
    if last.offset is not None:
        figures["touchplate_time_offset_seconds"] = last.offset.total_seconds()
    for answer in last.answers:
        name = f'{{source="{answer.source}"}}'
        figures[f"touchplate_time_source_answers{name}"] = float(answer.offset is not None)
    for answer in last.answers:
        if answer.offset is not None:
            name = f'{{source="{answer.source}"}}'
            figures[f"touchplate_time_source_offset_seconds{name}"] = answer.offset.total_seconds()
    return figures


def time_details(drift: Drift, at: datetime) -> Mapping[str, Any]:
    """Give what /readyz tells of the clock."""
    last = drift.last
    return {
        "state": drift.state(at),
        "offset_seconds": _seconds(last.offset),
        "max_drift_seconds": drift.settings.max_drift.total_seconds(),
        "sources": list(map(_members, last.answers)),
    }


def _members(answer: Answer) -> dict[str, object]:
    members: dict[str, object] = {
        "source": answer.source,
        "offset_seconds": _seconds(answer.offset),
    }
    return {**members, "failure": answer.failure} if answer.failure else members


def _seconds(offset: timedelta | None) -> float | None:
    return None if offset is None else round(offset.total_seconds(), 6)
