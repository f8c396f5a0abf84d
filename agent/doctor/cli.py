"""``edgeferry doctor`` and ``edgeferry diag``."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from agent.commands.options import ConfigOption, JsonOption

FAILED = 1


def doctor(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 for warnings as well.")
    ] = False,
) -> None:
    """Examine everything this device needs, and say what to do about what does not work.

    Configuration, credentials, clock, network, server roots, disk, journal, runtime, worker and
    services. Nothing is changed; a running agent's connection is left alone. Run it as root or as
    the service's user. Exit status: 0 no errors, 1 errors (with --strict: or warnings).
    """
    import asyncio

    from agent.doctor.examine import borrow_service_credentials
    from agent.doctor.finding import Level, document, worst
    from agent.doctor.show import examine_with_progress, show_findings

    borrow_service_credentials()
    findings = asyncio.run(examine_with_progress(config))
    if as_json:
        typer.echo(json.dumps(document(findings), indent=2, ensure_ascii=False))
    else:
        show_findings(findings)
    accepted = {Level.OK} if strict else {Level.OK, Level.WARNING}
    if worst(findings) not in accepted:
        raise typer.Exit(FAILED)
