"""Tells how each release does, once an interval: one stream message for each that had frames.

What was told and the counters it was told from are one transaction of the journal, so that the
intervals of a device add up to its worker's counters, whenever the agent or the power goes. Frames
are lost to the sums only with the worker itself: those since the last look before it ended.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, Protocol

from pydantic import ValidationError

from agent.journal.measurements import JournalMeasurements
from agent.journal.outbox import Kind, Message
from agent.telemetry.counts import Counts, Look, difference
from agent.telemetry.document import Interval, ReleaseName, metrics_body
from agent.telemetry.drift_watch import DriftWatch, Followed
from agent.telemetry.pace import Pace
from agent.wall_clock import utc_now
from agent.worker_port.errors import WorkerProtocolError
from protocol.trouble import Trouble
from states.ports import Postponed

logger = logging.getLogger(__name__)

METRICS_PATH = "edgeferry/metrics"

Vitals = Mapping[str, float | int | None]


class TallySource(Protocol):
    """The worker, as far as it is looked at here."""

    async def tallies(self) -> dict[str, Any]:
        """What it counted. Raises Postponed when it is away."""


class MetricsReporter:
    """Looks at the worker at that pace. ``name`` tells what a release is called."""

    def __init__(
        self,
        worker: TallySource,
        journal: JournalMeasurements,
        pace: Pace,
        *,
        name: Callable[[str], ReleaseName],
        device: Callable[[], Vitals],
        now: Callable[[], str] = utc_now,
    ) -> None:
        self._worker = worker
        self._journal = journal
        self._pace = pace
        self._name = name
        self._device = device
        self._now = now
        self._drift = DriftWatch(journal.baseline)
        self._before = _stored_look(journal)
        self._start, self._numbers = secrets.token_hex(4), count(1)
        self._trouble = Trouble(logger, "metrics")

    async def run(self) -> None:
        """Report for ever."""
        while True:
            if self._pace.seconds:
                await self.look()
            else:
                self._be_silent()
            await self._pace.wait()

    async def look(self) -> None:
        """Look at the worker now, and put what happened since the last time into the outbox."""
        try:
            look = Look(**await self._worker.tallies())
        except (WorkerProtocolError, ValidationError) as error:
            self._trouble.failed(error)
            return
        except Postponed:
            # WorkerReport says so. Whatever it counts once it is back is news.
            self._before = self._before or Look(instance="")
            return
        try:
            self._take(look)
        except Postponed as full:
            # Nothing is lost: the next look's difference holds it too.
            self._trouble.failed(full)
            return
        self._trouble.recovered()

    def _take(self, look: Look) -> None:
        before = self._before
        changes = difference(look, before) if before else {}
        if changes and before:
            self._tell(changes, look, _seconds(look, before))
        elif before is None:
            self._journal.keep(look.model_dump_json())
        self._before = look

    def _tell(self, changes: Mapping[str, Counts], look: Look, seconds: float) -> None:
        at, frames = self._now(), sum(counts.captured for counts in changes.values())
        vitals = {**self._device(), "worker_rss_bytes": look.resident_bytes}
        followed: dict[str, Followed] = {}
        messages = []
        for release, counts in changes.items():
            share = counts.captured / frames if frames else 0.0
            so_far = followed[release] = self._drift.of(release).after(counts, seconds * share)
            drift = (so_far.drift, so_far.baseline.frames) if so_far.drift else None
            interval = Interval(f"{self._start}-{next(self._numbers):06d}", at, seconds)
            body = metrics_body(interval, self._name(release), counts, drift, vitals)
            messages.append(Message(Kind.STREAM, METRICS_PATH, body))
        growing = {
            release: after.baseline.model_dump_json()
            for release, after in followed.items()
            if after.baseline is not self._drift.of(release).baseline
        }
        self._journal.keep(look.model_dump_json(), growing, messages)
        for release, after in followed.items():
            self._drift.go_on(release, after)

    def _be_silent(self) -> None:
        """What happens while metrics are off is not told later either."""
        self._before = None
        try:
            self._journal.forget_look()
        except Postponed as full:
            self._trouble.failed(full)


def _seconds(look: Look, before: Look) -> float:
    """Between two looks, by the worker's clock; since it started if it did meanwhile."""
    return look.age_s - before.age_s if look.instance == before.instance else look.age_s


def _stored_look(journal: JournalMeasurements) -> Look | None:
    text = journal.last_look()
    return Look.model_validate_json(text) if text else None
