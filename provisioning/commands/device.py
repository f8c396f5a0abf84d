"""``edgeferry provision device``: certificates of devices, from the first to the last."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from provisioning.commands import signing
from provisioning.commands.options import (
    CA,
    CLOUD,
    PACKS,
    PROJECT,
    SIGNING,
    JsonOption,
    NamesArgument,
    TableOption,
    configured,
    management_of,
    packs_of,
)

if TYPE_CHECKING:
    from provisioning.ca_folder import CaFolder
    from provisioning.commands.output import Report
    from provisioning.issuing import Entering, Issued, Issuer
    from provisioning.operator_settings import OperatorSettings
    from provisioning.packs import Packs
    from provisioning.register import Register

_HELP = "Certificates of devices: issue, sign, renew, list, revoke."


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help=_HELP, no_args_is_help=True)
    group.command()(issue)
    signing.register(group)
    group.command()(renew)
    group.command("list")(list_certificates)
    group.command()(revoke)
    app.add_typer(group, name="device")


@configured(PROJECT, SIGNING, PACKS)
def issue(
    settings: OperatorSettings,
    names: NamesArgument = None,
    table: TableOption = None,
    as_json: JsonOption = False,
) -> None:
    """Issue certificates: one pack per device, with key, certificate and agent.toml.

    The certificate names the project (O) and the device (CN), as Golioth looks it up. A device that
    has one already is left alone, so an interrupted run goes on where it was. Nothing is told to
    the cloud; `enroll` does both. Delete packs from this machine once they are on their devices.
    """
    from provisioning.device_list import wanted_devices

    wanted = [device.name for device in wanted_devices(names or (), table)]
    packs = packs_of(settings)
    with open_issuer(settings, packs) as (issuer, entering):
        report = run_issuing(wanted, issuer.issue, entering, "Issuing")
    report.next_steps = [
        packs.how_to_install,
        "let the project accept the CA, once: edgeferry provision ca upload",
    ]
    report.show(as_json=as_json)


@configured(PROJECT, SIGNING, PACKS)
def renew(
    settings: OperatorSettings,
    names: NamesArgument = None,
    due: Annotated[
        bool, typer.Option("--due", help="All devices whose certificate ends soon.")
    ] = False,
    within: Annotated[
        int, typer.Option(min=0, help="Renew what ends within so many days; leave the rest.")
    ] = 60,
    as_json: JsonOption = False,
) -> None:
    """Renew certificates before they end: the old one counts until then, so nothing is cut off.

    A device whose key never left it keeps its key, and its new pack has a certificate only; others
    get a new key. The old pack is moved aside.
    """
    from provisioning.device_list import check_name
    from provisioning.errors import WrongUsage

    if bool(names) == due:
        raise WrongUsage("which devices? name them, or give --due for all that end soon")
    packs = packs_of(settings)
    with open_issuer(settings, packs) as (issuer, entering):
        wanted = issuer.due(within) if due else [check_name(n, "NAME") for n in names or ()]
        report = run_issuing(
            wanted, lambda name: issuer.renew(name, within_days=within), entering, "Renewing"
        )
    report.next_steps = [packs.how_to_install]
    report.show(as_json=as_json)


@configured(PROJECT, CA)
def list_certificates(
    settings: OperatorSettings,
    all_of_them: Annotated[
        bool, typer.Option("--all", help="Superseded certificates as well.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List what this CA issued: device, state, end, where the key was made.

    Without a project, those of all projects are listed.
    """
    from provisioning.ca_folder import CaFolder
    from provisioning.commands.output import print_json, print_rows

    with CaFolder(settings.ca).register() as register:
        entries = list(register.entries(settings.project))
    newest = {(entry.project, entry.name): entry for entry in entries}
    shown = entries if all_of_them else newest.values()
    rows = [entry.summary() for entry in sorted(shown, key=lambda e: (e.project, e.name))]
    if as_json:
        print_json({"certificates": rows})
    else:
        print_rows(rows, ("name", "project", "state", "not_after", "days_left", "origin"))
        if not rows:
            typer.echo("no certificates yet; make one with: edgeferry provision device issue NAME")


@configured(CLOUD, CA)
def revoke(
    settings: OperatorSettings,
    names: NamesArgument = None,
    table: TableOption = None,
    as_json: JsonOption = False,
) -> None:
    """Shut devices out for good: disabled in the cloud, revoked in the register.

    The cloud ends a live session at once and refuses the device whatever credential it shows. One
    that never connected is made known, disabled, so that its certificate can't bring it in later.
    Devices with pre-shared keys need no CA for it.
    """
    from provisioning.ca_folder import CaFolder
    from provisioning.commands.output import Report, for_each_shown
    from provisioning.device_list import wanted_devices
    from provisioning.enrolling import Enroller

    wanted = [device.name for device in wanted_devices(names or (), table)]
    folder, report = CaFolder(settings.ca), Report()
    with management_of(settings) as management, _register_of(folder) as register:
        enroller = Enroller(management, {})
        certified = register.newest(settings.this_project) if register else {}
        batch = for_each_shown(
            "Revoking", wanted, lambda name: enroller.shut_out(name, certified=name in certified)
        )
        for device in batch.done:
            detail = "in the cloud; there is no CA here"
            if register is not None:
                ended = register.revoke(settings.this_project, device.name)
                detail = f"{ended} certificate{'' if ended == 1 else 's'}"
            report.add(device.name, "revoked", detail, device_id=device.id)
    report.add_failures(batch.failed, batch.stopped)
    report.show(as_json=as_json)


@contextmanager
def _register_of(folder: CaFolder) -> Iterator[Register | None]:
    """The register, kept from other runs; None where nothing is issued, as with keys alone."""
    if not folder.exists:
        yield None
        return
    with folder.locked(), folder.register() as register:
        yield register


def open_issuer(
    settings: OperatorSettings, packs: Packs
) -> AbstractContextManager[tuple[Issuer, Entering]]:
    """An issuer for the configured project and CA."""
    from provisioning.ca_folder import CaFolder
    from provisioning.issuing import issuing
    from provisioning.operator_secrets import Passphrase

    ask = Passphrase(settings.passphrase_file)
    project, folder = settings.this_project, CaFolder(settings.ca)
    return issuing(folder, ask, project, packs, days=settings.days)


def run_issuing(
    names: Sequence[str], work: Callable[[str], Issued], entering: Entering, what: str
) -> Report:
    """Do ``work`` for each device, and enter and report what came of it."""
    from provisioning.commands.output import Report, for_each_shown

    report = Report()
    batch = for_each_shown(what, names, work, entering.note)
    for issued in batch.done:
        report.add(issued.name, issued.outcome, issued.detail, **issued.summary())
    report.add_failures(batch.failed, batch.stopped)
    return report
