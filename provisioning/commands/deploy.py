"""``edgeferry deploy``: a cohort gets a published release, or the one before."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provisioning.commands.options import (
    CLOUD,
    PACKAGES,
    SIGNATURE,
    JsonOption,
    configured,
    management_of,
)

if TYPE_CHECKING:
    from provisioning.deploying import Change, CohortPlanner, Plan
    from provisioning.operator_settings import OperatorSettings
    from provisioning.resources import Deployment


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(deploy)


@configured(CLOUD, PACKAGES, SIGNATURE)
def deploy(
    settings: OperatorSettings,
    cohort: Annotated[str, typer.Option(help="The cohort, by name or id.")],
    version: Annotated[
        str | None, typer.Option(help="Release to deploy, as given to `edgeferry publish`.")
    ] = None,
    package: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VERSION", help="One package in another version; may be repeated."
        ),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Package to leave out; may be repeated."),
    ] = None,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Deploy again what was there before.")
    ] = False,
    resign: Annotated[
        bool,
        typer.Option(
            "--resign",
            help="Sign again what the cohort has: for new keys, or devices from another cohort.",
        ),
    ] = False,
    unsigned: Annotated[
        bool, typer.Option("--unsigned", help="Don't sign; devices with pinned keys refuse it.")
    ] = False,
    name: Annotated[str | None, typer.Option(help="Name of the deployment, for people.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Give a cohort a published release; its devices are notified at once.

    Shows what changes first, and asks at a terminal. Packages that are not named stay as they are;
    patches that `edgeferry publish` made for a model go along with it. A release that the cohort
    has already is not deployed again. --rollback takes the packages of the deployment before the
    current one: devices that still hold them download nothing.

    With signing_keys in operator.toml each deployment is signed: the exact set of its packages,
    under a number above all before, so that devices know a rollback from a replay. Digests are
    those that `edgeferry publish` recorded here, not those the cloud tells.
    """
    from dataclasses import replace

    from provisioning.commands.output import confirm, print_json
    from provisioning.deploying import CohortPlanner, cohort_named
    from provisioning.release_signing import signer_for

    versions = _versions(package or [])
    _check_usage(
        version, versions, without or [], rollback=rollback, resign=resign, unsigned=unsigned
    )
    with management_of(settings) as management:
        planner = CohortPlanner(
            management,
            cohort_named(management, cohort),
            settings.release_packages,
            settings.signature_package,
        )
        plan = planner.rollback() if rollback else _chosen(planner, version, versions, without)
        if name is not None:
            plan = replace(plan, name=name)
        if not as_json:
            show_plan(plan)
        deployment = None
        # Nothing is asked for where nothing would be deployed.
        if resign or _is_news(plan, settings, unsigned=unsigned):
            signer = signer_for(settings, plan, unsigned=unsigned, needed=resign)
            confirm("Deploy this?", sure=yes or as_json)
            plan = signer.signed(management, plan) if signer else plan
            deployment = plan.deploy(management)
    if as_json:
        print_json(document_of(plan, deployment))
    else:
        show_deployed(plan, deployment)


def _chosen(
    planner: CohortPlanner,
    version: str | None,
    versions: dict[str, str],
    without: list[str] | None,
) -> Plan:
    if version is not None:
        return planner.release(version, versions, without or [])
    if not versions and not without:
        return planner.again()
    return planner.packages(versions, without or [])


def _is_news(plan: Plan, settings: OperatorSettings, *, unsigned: bool) -> bool:
    """Whether packages change, or whether the deployment is signed."""
    if unsigned:
        return plan.is_news or plan.was_signed
    return plan.is_news or (bool(settings.signing_keys) and not plan.was_signed)


def _versions(given: list[str]) -> dict[str, str]:
    from provisioning.errors import WrongUsage

    versions: dict[str, str] = {}
    for text in given:
        name, _, version = text.partition("=")
        if not name or not version:
            raise WrongUsage(f"--package {text}: give it as NAME=VERSION, like labels=2")
        if name in versions:
            raise WrongUsage(f"--package {name} is given twice; a device holds one version")
        versions[name] = version
    return versions


def _check_usage(
    version: str | None,
    versions: dict[str, str],
    without: list[str],
    *,
    rollback: bool,
    resign: bool,
    unsigned: bool,
) -> None:
    from provisioning.errors import WrongUsage

    chosen = version is not None or versions or without
    if rollback and chosen:
        raise WrongUsage("--rollback takes all packages of the deployment before; give it alone")
    if not rollback and not chosen and not resign:
        raise WrongUsage("nothing to deploy: give --version, --package, --rollback or --resign")
    if resign and unsigned:
        raise WrongUsage("--resign and --unsigned exclude each other")
    if both := sorted(set(without) & set(versions)):
        raise WrongUsage(f"--package and --without both name {both[0]}")


def show_plan(plan: Plan) -> None:
    """What changes, package by package."""
    from provisioning.commands.output import print_rows

    rows = [{**asdict(change), "change": _change(change)} for change in plan.changes]
    print_rows(rows, ("package", "before", "after", "change"))


def _change(change: Change) -> str:
    if change.before == change.after:
        return "stays"
    if change.before is None:
        return "new"
    return "dropped" if change.after is None else "changes"


def show_deployed(plan: Plan, deployment: Deployment | None) -> None:
    """What came of it; None for a plan that changes nothing."""
    cohort = plan.cohort
    if deployment is None:
        typer.echo(f"cohort {cohort.name} has this already; nothing was deployed")
    else:
        devices = f"{cohort.device_count} device{'' if cohort.device_count == 1 else 's'}"
        typer.echo(f'deployed "{plan.name}" ({deployment.deployment_id}) to {devices}')
        if plan.signature is not None:
            typer.echo(f"signed under number {plan.signature.version}")
        typer.echo(f"→ edgeferry fleet --cohort {cohort.name} --watch")


def document_of(plan: Plan, deployment: Deployment | None) -> dict[str, Any]:
    """The same for scripts."""
    made = deployment and {
        "id": deployment.deployment_id,
        "name": plan.name,
        "created_at": deployment.created_at,
    }
    return {
        "cohort": plan.cohort.cohort_id,
        "devices": plan.cohort.device_count,
        "outcome": "deployed" if deployment else "unchanged",
        "deployment": made,
        "signature": plan.signature and {"number": int(plan.signature.version)},
        "changes": [{**asdict(each), "change": _change(each)} for each in plan.changes],
    }
