"""``edgeferry samples pull``: the pictures that a fleet kept for training come to the operator."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.samples.cli import samples
from provisioning.commands.options import CLOUD, JsonOption, configured, management_of

if TYPE_CHECKING:
    from commands.pulled_folder import PulledFolder
    from provisioning.management import Management
    from provisioning.operator_settings import OperatorSettings
    from provisioning.resources import Device
    from provisioning.sample_parts import Assembler, Unfinished

KEPT_DAYS = 30  # Golioth keeps the stream so long


def register() -> None:
    """Add the command to those of ``edgeferry samples``."""
    samples.command()(pull)


@configured(CLOUD)
def pull(
    settings: OperatorSettings,
    output: Annotated[
        Path, typer.Option(metavar="FOLDER", help="A new folder, or one of an earlier pull.")
    ],
    cohort: Annotated[
        str | None, typer.Option(help="Only this cohort's, by name or id; else all devices'.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch the pictures that devices sent for training into FOLDER (on the operator's machine).

    FOLDER/LABEL/*.jpg by what the model took them for (or by the right class where the device knew
    it), samples.jsonl and samples.csv with all that is known of each, and info.labels for
    `edge-impulse-uploader --info-file info.labels`. A picture counts once all its parts are there
    and its SHA-256 is right.

    Run it as often as you like: only what is new is fetched, what you deleted stays away, and a
    picture you moved to another folder has that label from then on.
    """
    from commands.pulled_folder import PulledFolder

    with management_of(settings) as management:
        devices = _devices(management, cohort)
        folder = PulledFolder(output)
        found = _pull(management, devices, folder)
    if as_json:
        _print_json(output, folder, found)
    else:
        _show(output, folder, found)


def _devices(management: Management, cohort: str | None) -> list[Device]:
    from provisioning.deploying import cohort_named

    cohort_id = cohort_named(management, cohort).cohort_id if cohort else None
    return list(management.devices(cohort_id=cohort_id))


@dataclass
class _Found:
    new: int = 0
    unreadable: int = 0
    unfinished: list[tuple[str, Unfinished]] = field(default_factory=list)


def _pull(management: Management, devices: list[Device], folder: PulledFolder) -> _Found:
    from provisioning.commands.output import progress
    from provisioning.sample_parts import Assembler

    assembler, found = Assembler(folder.keys), _Found()
    try:
        with progress("Pulling", len(devices)) as advance:
            for device in devices:
                found.new += _pull_device(management, device, folder, assembler)
                found.unfinished += [(device.name, left) for left in assembler.left_of(device.id)]
                advance()
    finally:
        # What is there stays, whatever ended it.
        folder.finish()
    found.unreadable = assembler.unreadable
    return found


def _pull_device(
    management: Management, device: Device, folder: PulledFolder, assembler: Assembler
) -> int:
    """Fetch what is new of a device; returns how many pictures that were."""
    from provisioning.sample_parts import parts_of

    new, read_to = 0, folder.resume_from(device.id)
    start = read_to or datetime.now(UTC) - timedelta(days=KEPT_DAYS)
    for entry in parts_of(management, device.id, start):
        # By the cloud's clock, whatever this machine's says.
        read_to = max(entry.time, read_to or entry.time)
        sample = assembler.take(entry)
        if sample is not None:
            folder.add(sample, device.name)
            new += 1
    # The rest of what is incomplete may come yet; its beginning must be read again then.
    begun = [left.since for left in assembler.left_of(device.id)]
    if read_to is not None:
        folder.pulled_to(device.id, min([read_to, *begun]))
    return new


def _print_json(output: Path, folder: PulledFolder, found: _Found) -> None:
    from provisioning.commands.output import print_json

    print_json(
        {
            "folder": str(output),
            "new": found.new,
            "there": len(folder.rows),
            "unfinished": [_unfinished(name, each) for name, each in found.unfinished],
            "unreadable": found.unreadable,
        }
    )


def _unfinished(device: str, each: Unfinished) -> dict[str, Any]:
    outcome = "damaged" if each.damaged else "incomplete"
    return {"device": device, "id": each.id, "outcome": outcome, "detail": each.why}


def _show(output: Path, folder: PulledFolder, found: _Found) -> None:
    from provisioning.commands.output import print_first_rows

    rows = [_unfinished(name, each) for name, each in found.unfinished]
    print_first_rows(rows, ("device", "id", "outcome", "detail"))
    if found.unreadable:
        typer.echo(f"{found.unreadable} documents could not be read")
    typer.echo(f"{found.new} new pictures, {len(folder.rows)} in all, in {output}")
    if found.new:
        typer.echo("→ look through the folders, and move what is in the wrong one")
