"""``edgeferry compare``: which of two releases, or cohorts, does better."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provisioning.commands.options import CLOUD, PACKAGES, JsonOption, configured, management_of

if TYPE_CHECKING:
    from provisioning.analysis.comparing import Comparison, Difference
    from provisioning.contenders import Contender, Contest
    from provisioning.operator_settings import OperatorSettings

_TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(compare)


def _time(text: str) -> Any:
    return typer.Option(formats=_TIMES, help=f"{text}, in UTC, by arrival.")


@configured(CLOUD, PACKAGES)
def compare(
    settings: OperatorSettings,
    releases: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="A B", help="Two releases: model version, or beginning of the id."),
    ] = None,
    cohorts: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="A B", help="Two cohorts, each with the release it was given."),
    ] = None,
    cohort: Annotated[
        str | None, typer.Option(help="With --releases: only the devices of this cohort.")
    ] = None,
    since: Annotated[datetime | None, _time("Leave out what is older")] = None,
    until: Annotated[datetime | None, _time("Leave out what is newer")] = None,
    confidence: Annotated[
        float,
        typer.Option(
            min=0.5, max=0.9999, help="How sure a verdict is, over all measures together."
        ),
    ] = 0.95,
    as_json: JsonOption = False,
) -> None:
    """Say which of two releases, or of two cohorts, does better on devices.

    Accuracy (where pictures are labelled), confidence, errors, dropped frames, latency and the
    shares of the classes are compared, each with the range the difference lies in. Frames of one
    device are not independent: with three devices or more on each side devices are what is counted,
    below that stretches of time, which tell of these devices alone. Devices that ran both releases
    are compared with themselves. Not enough data is a verdict too, with how much more it takes.

    Releases are compared over the last seven days, cohorts from when both had their release.
    """
    from provisioning.analysis.comparing import compare as compare_groups
    from provisioning.commands.output import print_json, waiting
    from provisioning.contenders import cohorts_contest, releases_contest

    begin, end = _in_utc(since), _in_utc(until)
    _check_usage(releases, cohorts, cohort, begin, end)
    with management_of(settings) as management, waiting("Reading what the devices measured"):
        if releases is not None:
            contest = releases_contest(management, releases, cohort, begin, end)
        else:
            assert cohorts is not None
            packages = settings.release_packages
            contest = cohorts_contest(management, cohorts, packages, begin, end)
    comparison = compare_groups(contest.a.observations, contest.b.observations, confidence)
    if as_json:
        print_json(_document(contest, comparison))
    else:
        _show(contest, comparison)


def _in_utc(moment: datetime | None) -> datetime | None:
    return moment and moment.replace(tzinfo=UTC)


def _check_usage(
    releases: tuple[str, str] | None,
    cohorts: tuple[str, str] | None,
    cohort: str | None,
    since: datetime | None,
    until: datetime | None,
) -> None:
    from provisioning.errors import WrongUsage

    if (releases is None) == (cohorts is None):
        raise WrongUsage("give --releases A B, or --cohorts A B")
    if cohort is not None and releases is None:
        raise WrongUsage("--cohort narrows --releases; --cohorts names both cohorts itself")
    if since and until and since >= until:
        raise WrongUsage("--since is not before --until")


def _document(contest: Contest, comparison: Comparison) -> dict[str, Any]:
    from provisioning.analysis.wording import verdict_text

    return {
        "a": _side(contest.a),
        "b": _side(contest.b),
        "since": contest.since,
        "until": contest.until,
        "unreadable": contest.unreadable,
        "confidence": comparison.confidence,
        "measures": [_row(difference) for difference in comparison.measures],
        "classes": [_row(difference) for difference in comparison.classes],
        "verdict": verdict_text(comparison),
    }


def _side(contender: Contender) -> dict[str, Any]:
    from provisioning.metrics import totals

    found = {"releases": contender.releases, "versions": contender.versions}
    return {"name": contender.name, **found, **totals(contender.observations)}


def _row(difference: Difference) -> dict[str, Any]:
    sides, interval = difference.sides, difference.interval
    empty = dict.fromkeys(("difference", "low", "high"))
    return {
        "measure": difference.measure.name,
        "unit": difference.measure.unit,
        "a": sides.a.value,
        "b": sides.b.value,
        f"{difference.measure.counted}_a": round(sides.a.frames),
        f"{difference.measure.counted}_b": round(sides.b.frames),
        "units": "devices" if sides.by_device else "stretches",
        "units_a": len(sides.a),
        "units_b": len(sides.b),
        "pairs": sides.pairs,
        **(asdict(interval) if interval else empty),
        "verdict": difference.verdict,
        "better": difference.better,
        "needed": difference.needed,
        "needed_of": difference.needed_of or None,
    }


def _show(contest: Contest, comparison: Comparison) -> None:
    from provisioning.analysis.wording import (
        difference_text,
        range_text,
        units_text,
        value_text,
        verdict_text,
    )
    from provisioning.commands.output import print_rows

    for letter, side in (("A", contest.a), ("B", contest.b)):
        typer.echo(f"{letter}  {_side_text(side)}")
    rows = [
        {
            "measure": difference.measure.name,
            "A": value_text(difference.measure, difference.sides.a.value),
            "B": value_text(difference.measure, difference.sides.b.value),
            "difference": difference_text(difference),
            "range": range_text(difference),
            "verdict": _verdict(difference),
        }
        for difference in (*comparison.measures, *comparison.classes)
    ]
    typer.echo()
    print_rows(rows, ("measure", "A", "B", "difference", "range", "verdict"))
    typer.echo(f"counted: {units_text(comparison)}")
    if contest.unreadable:
        typer.echo(f"{contest.unreadable} documents could not be read and do not count")
    typer.echo(f"\n→ {verdict_text(comparison)}")


def _side_text(side: Contender) -> str:
    from provisioning.metrics import totals

    if not side.observations:
        return f"{side.name}: nothing measured; do its devices send metrics? (docs/telemetry.md)"
    found = totals(side.observations)
    hours = found["seconds"] / 3600
    return (
        f"{side.name} (version {', '.join(side.versions)}): {found['devices']} devices, "
        f"{found['frames']:,} frames, {hours:.1f} h"
    )


def _verdict(difference: Difference) -> str:
    if difference.better is not None:
        return f"{difference.better.upper()} is better"
    return str(difference.verdict)
