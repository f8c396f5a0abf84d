"""``edgeferry promote``: what a canary runs goes on to the fleet, if it did well."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provisioning.commands.deploy import document_of, show_deployed, show_plan
from provisioning.commands.looks import Looks
from provisioning.commands.options import (
    CLOUD,
    PACKAGES,
    SIGNATURE,
    JsonOption,
    configured,
    management_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.table import Table

    from provisioning.analysis.promotion import Criteria, Criterion
    from provisioning.deploying import Plan
    from provisioning.management import Management
    from provisioning.operator_settings import OperatorSettings
    from provisioning.promoting import Promotion
    from provisioning.release_signing import ReleaseSigner
    from provisioning.resources import Deployment

_CRITERIA = "Criteria"
_UNCHANGED, _MET, _DEPLOYED = "unchanged", "met", "deployed"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(promote)


def _criterion(text: str, *names: str, least: float = 0, most: float | None = None) -> Any:
    return typer.Option(*names, help=text, min=least, max=most, rich_help_panel=_CRITERIA)


@configured(CLOUD, PACKAGES, SIGNATURE)
def promote(
    settings: OperatorSettings,
    source: Annotated[str, typer.Option("--from", help="The canary cohort, by name or id.")],
    target: Annotated[str, typer.Option("--to", help="The cohort that gets it, by name or id.")],
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether the criteria are met; deploy nothing.")
    ] = False,
    confirmed: Annotated[
        float, _criterion("Share of the canary's devices that serve it, confirmed, in %.", most=100)
    ] = 100.0,
    observe: Annotated[
        float, _criterion("Minutes of its frames from each of these devices.", "--observe-minutes")
    ] = 60.0,
    frames: Annotated[int, _criterion("Frames of it, of all devices together.")] = 1000,
    accuracy: Annotated[
        float, _criterion("Most accuracy may be worse, in points.", "--accuracy-margin")
    ] = 2.0,
    confidence: Annotated[
        float, _criterion("Most the mean best score may be worse.", "--confidence-margin", most=1)
    ] = 0.05,
    errors: Annotated[
        float, _criterion("Most the share of errors may be worse, in points.", "--errors-margin")
    ] = 0.5,
    dropped: Annotated[
        float, _criterion("Most the share dropped may be worse, in points.", "--dropped-margin")
    ] = 1.0,
    latency: Annotated[
        float, _criterion("Most the latency (p95) may be worse, in %.", "--latency-margin")
    ] = 20.0,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 30.0,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout-minutes", min=0, help="Give up after so long; 0 looks once."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Deploy what a canary cohort was given to another cohort, once it proved good there.

    Waits until all criteria are met, and ends with status 1 as soon as one can't be met any more.
    The devices must serve the release and none may have taken it back; it must have been watched
    long enough, and be no worse than the release that the other cohort runs at the same time (or
    else the canary ran before) by more than the margins. A measure counts as no worse only when
    the whole range its difference may lie in says so: `edgeferry compare` shows the same ranges.
    What is not measured on both sides, like accuracy without labelled pictures, is left out.
    """
    from provisioning.analysis.promotion import Criteria
    from provisioning.commands.output import confirm
    from provisioning.deploying import cohort_named
    from provisioning.promoting import Promotion
    from provisioning.release_signing import signer_for

    criteria = Criteria(
        confirmed=confirmed / 100,
        observed=timedelta(minutes=observe),
        frames=frames,
        accuracy=accuracy / 100,
        confidence=confidence,
        errors=errors / 100,
        dropped=dropped / 100,
        latency=latency / 100,
    )
    with management_of(settings) as management:
        promotion = Promotion(
            management,
            cohort_named(management, source),
            cohort_named(management, target),
            settings.release_packages,
            settings.signature_package,
        )
        plan = promotion.plan
        if not as_json:
            show_plan(plan)
        if plan.is_news:
            confirm("Deploy this once the criteria are met?", sure=check or yes or as_json)
            # Whoever signs is asked for the passphrase now, not after an hour of waiting.
            signer = None if check else signer_for(settings, plan)
            patience = 0.0 if check else None if timeout is None else 60 * timeout
            found = _watch(promotion, criteria, every, patience)
            result = _carried_out(management, plan, found, signer, check=check)
        else:
            result = _Result(plan, [], None, _UNCHANGED)
    _show(result, as_json=as_json)
    if result.outcome not in (_UNCHANGED, _MET, _DEPLOYED):
        raise typer.Exit(1)


@dataclass(frozen=True)
class _Result:
    plan: Plan
    criteria: Sequence[Criterion]
    deployment: Deployment | None
    outcome: str


def _carried_out(
    management: Management,
    plan: Plan,
    found: Sequence[Criterion],
    signer: ReleaseSigner | None,
    *,
    check: bool,
) -> _Result:
    """Deploy what met its criteria, unless it was only to be checked."""
    from provisioning.analysis.promotion import Outcome, decision

    decided = decision(found)
    if decided is not Outcome.MET:
        return _Result(plan, found, None, str(decided))
    if check:
        return _Result(plan, found, None, _MET)
    plan = signer.signed(management, plan) if signer else plan
    return _Result(plan, found, plan.deploy(management), _DEPLOYED)


def _watch(
    promotion: Promotion, criteria: Criteria, every: float, patience: float | None
) -> list[Criterion]:
    """Look until it is decided, for ``patience`` seconds at most; Ctrl-C promotes nothing.

    An outage after the first look is waited out, within the same patience.
    """
    from provisioning.analysis.promotion import Outcome, decision, judge

    began, looks = time.monotonic(), Looks(lambda: judge(promotion.look(), criteria))
    with _progress() as show:
        found = looks.first()
        while True:
            show(found)
            waited = time.monotonic() - began
            undecided = decision(found) is Outcome.WAITING
            if not undecided or (patience is not None and waited + every > patience):
                return found
            time.sleep(every)
            found = looks.again(found)


@contextmanager
def _progress() -> Iterator[Callable[[Sequence[Criterion]], None]]:
    """The criteria on standard error while they are waited for; silent where nobody watches."""
    from rich.live import Live

    from provisioning.commands.output import plain_console

    console = plain_console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield lambda found: live.update(_table(found), refresh=True)


def _table(criteria: Sequence[Criterion]) -> Table:
    from provisioning.commands.output import plain_table

    table = plain_table("criterion", "", "found", "asked")
    for each in criteria:
        table.add_row(each.name, each.outcome, each.figure, each.limit)
    return table


def _show(result: _Result, *, as_json: bool) -> None:
    from provisioning.commands.output import plain_console, print_json

    if as_json:
        criteria = [asdict(criterion) for criterion in result.criteria]
        document = document_of(result.plan, result.deployment)
        print_json({**document, "outcome": result.outcome, "criteria": criteria})
        return
    if result.criteria:
        plain_console().print(_table(result.criteria))
    if result.outcome in (_UNCHANGED, _DEPLOYED):
        show_deployed(result.plan, result.deployment)
    elif result.outcome == _MET:
        typer.echo("the criteria are met; without --check it would be deployed")
    else:
        typer.echo(f"not promoted: {_unmet(result.criteria)}")


def _unmet(criteria: Sequence[Criterion]) -> str:
    from provisioning.analysis.promotion import Outcome

    failed = [each.name for each in criteria if each.outcome is Outcome.FAILED]
    waiting = [each.name for each in criteria if each.outcome is Outcome.WAITING]
    said = [f"failed: {', '.join(failed)}"] if failed else []
    said += [f"not met yet: {', '.join(waiting)}"] if waiting else []
    return "; ".join(said)
