"""Whether a canary's release may go on to the fleet: one outcome per criterion, and why.

A measure is not worse when the whole interval of its difference lies above what is let pass (a
test of non-inferiority): too little data is no reason to pass. All must pass, so that many
measures make it no likelier that a bad release does, and no interval is widened for their number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from provisioning.analysis.comparing import CONFIDENCE as SURE
from provisioning.analysis.comparing import Difference, difference_in
from provisioning.analysis.measures import (
    ACCURACY,
    CONFIDENCE,
    DROPPED,
    ERRORS,
    LATENCY_P95,
    MILLISECONDS,
    SCORE,
    Better,
    Measure,
    sides_of,
)
from provisioning.analysis.wording import difference_text, range_text, value_text
from provisioning.fleet_view import DeviceView
from provisioning.metrics import Observation
from provisioning.resources import OtaEvent

_MOST_NAMED = 5
_TAKEN_BACK = ("rolled back", "refused")
_NO_FAILURE = frozenset({0, 1})  # Golioth's reasons "ready" and "updated successfully"
_AWAIT_RETRY = 11  # Golioth's reason after a failure that is tried again


class Outcome(StrEnum):
    """What became of a criterion; FAILED will not change by waiting."""

    MET = "met"
    WAITING = "not yet"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Criteria:
    """What a canary must show. Margins are the most that may be worse: absolute, as shares or
    scores, that of latency as a share of the old release's."""

    confirmed: float = 1.0
    observed: timedelta = timedelta(hours=1)
    frames: int = 1000
    accuracy: float = ACCURACY.margin
    confidence: float = CONFIDENCE.margin
    errors: float = ERRORS.margin
    dropped: float = DROPPED.margin
    latency: float = LATENCY_P95.margin


@dataclass(frozen=True)
class Evidence:
    """What is known of a canary, and of the release it is to replace.

    ``setbacks`` says by device what it took back since the deployment, even where it runs it now.
    ``before`` is empty where nothing of the old release was measured; ``before_where`` says whose
    it is, None where there is no old release.
    """

    devices: Sequence[DeviceView]
    setbacks: Mapping[str, str]
    observations: Sequence[Observation]
    before: Sequence[Observation]
    before_where: str | None


@dataclass(frozen=True)
class Criterion:
    """One criterion: what is there, and what is asked for."""

    name: str
    outcome: Outcome
    figure: str
    limit: str


def judge(evidence: Evidence, criteria: Criteria) -> list[Criterion]:
    """Every criterion. Measures fail only once enough was observed: early figures jump about."""
    first = [
        _confirmed(evidence.devices, criteria),
        _taken_back(evidence),
        _observed(evidence, criteria),
        _frames(evidence.observations, criteria),
    ]
    early = any(criterion.outcome is Outcome.WAITING for criterion in first[2:])
    margins = (
        (ACCURACY, criteria.accuracy),
        (CONFIDENCE, criteria.confidence),
        (ERRORS, criteria.errors),
        (DROPPED, criteria.dropped),
        (LATENCY_P95, criteria.latency),
    )
    return first + [_not_worse(measure, margin, evidence, early) for measure, margin in margins]


def decision(criteria: Iterable[Criterion]) -> Outcome:
    """FAILED where one failed, else WAITING where one is not met yet, else MET."""
    outcomes = {criterion.outcome for criterion in criteria}
    for outcome in (Outcome.FAILED, Outcome.WAITING):
        if outcome in outcomes:
            return outcome
    return Outcome.MET


def setbacks_of(events: Sequence[OtaEvent], wanted: Mapping[str, str]) -> dict[str, str]:
    """Which devices refused or took back a version of ``wanted``, and what they said.

    ``events`` come the newest first. A failure that is tried again by itself is none.
    """
    found: dict[str, str] = {}
    later: dict[tuple[str, str], OtaEvent] = {}
    for event in events:
        next_one = later.get((event.device_id, event.package_id))
        later[event.device_id, event.package_id] = event
        failed = event.status not in _NO_FAILURE and event.status != _AWAIT_RETRY
        ours = event.target_version == wanted.get(event.package_id)
        # Right after a failure comes whether it is tried again; before that nothing is known.
        if failed and ours and next_one is not None and next_one.status != _AWAIT_RETRY:
            found[event.device_id] = f"{event.package_id} {event.target_version}: {event.message}"
    return found


def _confirmed(devices: Sequence[DeviceView], criteria: Criteria) -> Criterion:
    asked = _asked(devices)
    limit = f"{100 * criteria.confirmed:.4g} % confirmed"
    if not asked:
        return Criterion("devices", Outcome.FAILED, "no devices in the cohort", limit)
    lacking = [device for device in asked if device.status != "current"]
    share = (len(asked) - len(lacking)) / len(asked)
    figure = f"{len(asked) - len(lacking)} of {len(asked)}"
    if lacking:
        figure += f" ({_named([f'{d.name} {d.status}' for d in lacking])})"
    met = share >= criteria.confirmed
    return Criterion("devices", Outcome.MET if met else Outcome.WAITING, figure, limit)


def _taken_back(evidence: Evidence) -> Criterion:
    said = {d.id: f"{d.name} {d.status}: {d.why}" for d in evidence.devices}
    gone = [said[d.id] for d in evidence.devices if d.status in _TAKEN_BACK]
    current = {d.id: d.name for d in evidence.devices if d.status not in _TAKEN_BACK}
    gone += [f"{current[id_]} {why}" for id_, why in evidence.setbacks.items() if id_ in current]
    outcome = Outcome.FAILED if gone else Outcome.MET
    return Criterion("rolled back or refused", outcome, _named(gone) or "none", "none")


def _observed(evidence: Evidence, criteria: Criteria) -> Criterion:
    seconds = {device.id: 0.0 for device in _asked(evidence.devices)}
    for observation in evidence.observations:
        if observation.device in seconds:
            seconds[observation.device] += observation.metrics.interval_s
    least = criteria.observed.total_seconds()
    long_enough = sum(each >= least for each in seconds.values())
    shortest = min(seconds.values(), default=0.0)
    met = bool(seconds) and long_enough >= criteria.confirmed * len(seconds)
    return Criterion(
        "observed",
        Outcome.MET if met else Outcome.WAITING,
        f"{long_enough} of {len(seconds)} devices, the shortest {shortest / 60:.0f} min",
        f"{least / 60:.4g} min each",
    )


def _frames(observations: Sequence[Observation], criteria: Criteria) -> Criterion:
    frames = sum(observation.metrics.classified for observation in observations)
    outcome = Outcome.MET if frames >= criteria.frames else Outcome.WAITING
    return Criterion("frames", outcome, f"{frames:,}", f"{criteria.frames:,}")


def _not_worse(measure: Measure, margin: float, evidence: Evidence, early: bool) -> Criterion:
    limit = f"at most {_margin_text(measure, margin)} worse"
    if evidence.before_where is None:
        return Criterion(measure.name, Outcome.SKIPPED, "no release to compare with", limit)
    sides = sides_of(measure, evidence.before, evidence.observations)
    if measure is ACCURACY and None in (sides.a.value, sides.b.value):
        return Criterion(measure.name, Outcome.SKIPPED, "no labelled pictures on both", limit)
    difference = difference_in(measure, sides, SURE)
    outcome = _outcome(difference, margin)
    if outcome is Outcome.FAILED and early:
        outcome = Outcome.WAITING
    return Criterion(measure.name, outcome, _figure(difference, evidence.before_where), limit)


def _outcome(difference: Difference, margin: float) -> Outcome:
    interval, measure = difference.interval, difference.measure
    if interval is None:
        return Outcome.WAITING
    if measure.unit == MILLISECONDS:
        margin *= difference.sides.a.value or 0.0
    worst, best = interval.low, interval.high
    if measure.better is Better.LOWER:
        worst, best = -interval.high, -interval.low
    if worst >= -margin:
        return Outcome.MET
    return Outcome.FAILED if best < -margin else Outcome.WAITING


def _figure(difference: Difference, where: str) -> str:
    measure, sides = difference.measure, difference.sides
    before, now = (value_text(measure, side.value) for side in (sides.a, sides.b))
    shown = f"{now} against {before} {where}"
    if difference.interval is None:
        return f"{shown}: too little to compare"
    return f"{shown}: {difference_text(difference)} {range_text(difference)}"


def _margin_text(measure: Measure, margin: float) -> str:
    if measure.unit == SCORE:
        return f"{margin:.4g}"
    if measure.unit == MILLISECONDS:
        return f"{100 * margin:.4g} %"
    return f"{100 * margin:.4g} point{'' if margin == 0.01 else 's'}"


def _asked(devices: Sequence[DeviceView]) -> list[DeviceView]:
    return [device for device in devices if device.status != "disabled"]


def _named(said: Sequence[str]) -> str:
    more = [f"and {len(said) - _MOST_NAMED} more"] if len(said) > _MOST_NAMED else []
    return "; ".join([*said[:_MOST_NAMED], *more])
