"""A new release beside the one before it: the checks of the commit window, as pure functions.

A good release must never fail one, so each asks for more than a difference:

* enough frames, and for shares a bound that chance does not reach (three standard deviations);
* for everything said about labels a scene that varies, and more than once or twice: a camera that
  looks at one thing tells nothing but that the releases disagree, and either may be right;
* the same frames and the same labels where answers are set against each other. Without the same
  frames only what hardly depends on the scene is compared, at the end and more strictly.

A release that was good for a while has an average that looks good for longer, so what may come up
suddenly is asked of the later half of the frames once more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from states.figures import Comparison, Showing
from states.policy import WindowLimits
from states.shares import dominant, lower_bound, share_of, total_variation, upper_bound

SLOWER = 1.2
"""From here on a release may be why frames are dropped: not when it is as quick as the other."""
FRAMES_PER_CLASS = 100
"""Frames for each class seen before their balance tells something: a scene lasts many frames, and
a few scenes spread over many classes shift it by chance."""
VARIED_OTHER_FRAMES = 0.7
"""The most one class may have of the release before for its frames to tell of other ones."""
HALF_FRAMES = 100
"""Frames that half a window must have before its answers are judged apart."""
HALF_VARIED = 2 / 3
"""The most one class may have of the release before in them: they are fewer, so chance does more.
"""


class Result(StrEnum):
    """What a check came to."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Check:
    """One comparison: both sides and the limit in words, and why it failed or was skipped."""

    name: str
    result: Result
    candidate: str = ""
    previous: str = ""
    limit: str = ""
    why: str = ""


def checks(comparison: Comparison, limits: WindowLimits, *, complete: bool) -> Iterator[Check]:
    """Every check there is; before the window is ``complete`` only those that never need it all."""
    late = "" if complete else _LATER
    found = list(_checks(comparison, limits, late))
    yield from found
    half = comparison.later_half if comparison.same_frames else None
    if half and all(check.result is not Result.FAILED for check in found):
        yield from _later_checks(half, limits, late)


def _checks(comparison: Comparison, limits: WindowLimits, late: str) -> Iterator[Check]:
    few = _too_few(comparison, limits)
    early = "" if comparison.same_frames else late
    yield _latency(comparison, limits, few or early)
    yield _dropped(comparison, limits, few or early)
    late = few or late
    yield _collapsed(comparison, limits, late or _no_variety(comparison, limits))
    apart = late or _not_alike(comparison)
    yield _confidence(comparison, limits, apart)
    apart = apart or _no_variety(comparison, limits)
    yield _agreement(comparison, limits, apart)
    yield _class_balance(comparison, limits, apart or _many_classes(comparison))


def _later_checks(half: Comparison, limits: WindowLimits, late: str) -> Iterator[Check]:
    """None for halves too small to tell anything."""
    limits = replace(limits, varied_share=min(HALF_VARIED, limits.varied_share))
    if half.compared >= limits.least_frames:
        yield _of_later("latency", _latency(half, limits, ""))
    if half.compared >= HALF_FRAMES:
        yield _of_later("class", _collapsed(half, limits, late or _no_variety(half, limits)))


def _of_later(name: str, check: Check) -> Check:
    why = check.why
    if check.result is Result.FAILED:
        why = f"in the later half of the frames: {why}"
    return replace(check, name=f"later half: {name}", why=why)


_LATER = "judged at the end of the window"


def _too_few(comparison: Comparison, limits: WindowLimits) -> str:
    seen = comparison.compared
    if not comparison.same_frames:
        seen = min(_answers(comparison.candidate), _answers(comparison.previous_side))
    if seen >= limits.least_frames:
        return ""
    return f"only {seen} frames to compare, {limits.least_frames} are needed"


def _not_alike(comparison: Comparison) -> str:
    if not comparison.same_frames:
        why = comparison.why_not or "the release before does not run beside it"
        return f"not the same frames: {why}"
    return "" if comparison.same_labels else "the releases have different labels"


def _no_variety(comparison: Comparison, limits: WindowLimits) -> str:
    label, share = dominant(comparison.previous_side.classes)
    most = limits.varied_share if comparison.same_frames else VARIED_OTHER_FRAMES
    if share > most:
        return f"the scene hardly changed: {label!r} in {share:.0%} for the release before"
    changes = comparison.previous_side.changes
    if changes < limits.scene_changes:
        return f"the scene hardly changed: {changes} other answers of the release before"
    return ""


def _many_classes(comparison: Comparison) -> str:
    seen = len(comparison.previous_side.classes)
    if comparison.compared >= FRAMES_PER_CLASS * seen:
        return ""
    return f"{comparison.compared} frames are too few to weigh {seen} classes"


def _latency(comparison: Comparison, limits: WindowLimits, skip: str) -> Check:
    new, old = comparison.candidate, comparison.previous_side
    pairs = [
        (new.inference_p50_ms, old.inference_p50_ms),
        (new.inference_p95_ms, old.inference_p95_ms),
    ]
    known = [(mine, theirs) for mine, theirs in pairs if mine is not None and theirs is not None]
    slower = all(
        mine > limits.latency_ratio * theirs and mine > theirs + limits.latency_slack_ms
        for mine, theirs in known
    )
    shown = (_in_ms(mine for mine, _ in pairs), _in_ms(theirs for _, theirs in pairs))
    return _check(
        "latency p50 / p95",
        f"x{limits.latency_ratio:g} and +{limits.latency_slack_ms:g} ms",
        shown,
        skip or ("" if len(known) == len(pairs) else "not measured"),
        f"clearly slower: {shown[0]} in p50 / p95, the release before {shown[1]}" if slower else "",
    )


def _dropped(comparison: Comparison, limits: WindowLimits, skip: str) -> Check:
    new, old = comparison.candidate, comparison.previous_side
    before = _dropped_share(old)
    shown = (f"{_dropped_share(new):.1%}", f"{before:.1%}")
    worse = lower_bound(new.dropped, new.captured) > before + limits.dropped_share
    return _check(
        "dropped frames",
        f"+{limits.dropped_share:.0%}",
        shown,
        skip or ("" if _slower(new, old) else "as quick as the release before: not its doing"),
        f"drops {shown[0]} of the frames, the release before {shown[1]}" if worse else "",
    )


def _collapsed(comparison: Comparison, limits: WindowLimits, skip: str) -> Check:
    label, share = dominant(comparison.candidate.classes)
    before = share_of(comparison.previous_side.classes, label)
    unknown = before == 0 and not comparison.same_labels
    collapsed = share >= limits.dominant_share and before <= limits.varied_share
    why = f"says {label!r} to {share:.0%} of the frames, the release before to {before:.0%}"
    return _check(
        "most frequent class",
        f"below {limits.dominant_share:.0%}",
        (f"{label} {share:.0%}", f"{label} {before:.0%}"),
        skip or ("the release before may not know this label" if unknown else ""),
        why if collapsed else "",
    )


def _confidence(comparison: Comparison, limits: WindowLimits, skip: str) -> Check:
    mine, theirs = comparison.candidate.mean_confidence, comparison.previous_side.mean_confidence
    shown = (_two_places(mine), _two_places(theirs))
    known = mine is not None and theirs is not None and 0 <= mine <= 1 and 0 <= theirs <= 1
    less_sure = mine is not None and theirs is not None and mine < theirs - limits.confidence_drop
    return _check(
        "mean confidence",
        f"-{limits.confidence_drop:g}",
        shown,
        skip or ("" if known else "no confidences between 0 and 1"),
        f"much less sure: {shown[0]}, the release before {shown[1]}" if less_sure else "",
    )


def _agreement(comparison: Comparison, limits: WindowLimits, skip: str) -> Check:
    share = comparison.agreed / max(comparison.compared, 1)
    apart = upper_bound(comparison.agreed, comparison.compared) < limits.agreement
    why = f"agrees with the release before on {share:.0%} of the frames: are its labels in order?"
    return _check(
        "agreement",
        f"at least {limits.agreement:.0%}",
        (f"{share:.0%}" if comparison.same_frames else "-", ""),
        skip,
        why if apart else "",
    )


def _class_balance(comparison: Comparison, limits: WindowLimits, skip: str) -> Check:
    shift = total_variation(comparison.candidate.classes, comparison.previous_side.classes)
    why = f"{shift:.0%} of its answers went to other classes than those of the release before"
    return _check(
        "other classes",
        f"at most {limits.class_shift:.0%}",
        (f"{shift:.0%}", ""),
        skip,
        why if shift > limits.class_shift else "",
    )


def _check(name: str, limit: str, shown: tuple[str, str], skip: str, failure: str) -> Check:
    result = Result.SKIPPED if skip else Result.FAILED if failure else Result.PASSED
    return Check(name, result, *shown, limit=limit, why=skip or failure)


def _answers(side: Showing) -> int:
    return sum(side.classes.values())


def _dropped_share(side: Showing) -> float:
    return side.dropped / max(side.captured, 1)


def _slower(new: Showing, old: Showing) -> bool:
    mine, theirs = new.inference_p50_ms, old.inference_p50_ms
    return mine is None or theirs is None or mine > SLOWER * theirs


def _in_ms(values: Iterable[float | None]) -> str:
    return " / ".join("-" if value is None else f"{value:.1f}" for value in values) + " ms"


def _two_places(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
