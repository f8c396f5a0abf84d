"""``edgeferry cloud``."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from localcloud.cloud import LocalCloud
from localcloud.errors import CloudError, DataDirectoryError
from localcloud.settings import CloudSettings
from protocol.errors import CredentialError

_EVERYWHERE = {"0.0.0.0", "::"}  # noqa: S104 - compared with, not bound

app = typer.Typer(add_completion=False, no_args_is_help=False)


@app.command()
def cloud(
    data: Annotated[
        Path,
        typer.Option(help="Where everything is kept: database, artifacts, key, certificates."),
    ] = Path("edgeferry-cloud"),
    host: Annotated[
        str,
        typer.Option(help="Address to listen on. Others than loopback let the network in."),
    ] = "127.0.0.1",
    coap_port: Annotated[
        int,
        typer.Option(min=0, max=65535, help="UDP port for devices; 0 takes a free one."),
    ] = 5684,
    http_port: Annotated[
        int,
        typer.Option(min=0, max=65535, help="TCP port for the API and the fleet page; 0: free."),
    ] = 8080,
    project: Annotated[
        str, typer.Option(help="Project to serve; made with an API key of its own if new.")
    ] = "demo",
    organization: Annotated[
        str, typer.Option(help="Organization of a project that is made now.")
    ] = "local",
    rate_limit: Annotated[
        float,
        typer.Option(min=0, help="Requests per second per device, as at Golioth; 0 lifts it."),
    ] = 20,
    max_artifact_mib: Annotated[
        int, typer.Option(min=1, max=1024, help="Largest artifact that may be uploaded, in MiB.")
    ] = 64,
    response_delay: Annotated[
        float,
        typer.Option(
            min=0,
            max=60,
            help="Seconds to hold each CoAP answer back; above 0.1 it comes apart from its ACK.",
        ),
    ] = 0.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="When ready, print one line of JSON instead of a table.")
    ] = False,
) -> None:
    """Run a Golioth-compatible cloud on this machine.

    Devices connect to the CoAP port with a pre-shared key or a certificate, operators use the
    management API below /v1 with the API key, and people open the fleet page in a browser and sign
    in with the same key. Everything survives a restart. Stop it with Ctrl-C.

    To use Golioth itself instead, give devices coaps://coap.golioth.io and operators a key from
    its console; nothing else changes.
    """
    settings = CloudSettings(
        host=host,
        coap_port=coap_port,
        http_port=http_port,
        project=project,
        organization=organization,
        rate_limit=rate_limit or None,
        response_delay=response_delay,
        max_artifact_bytes=max_artifact_mib * 1024 * 1024,
    )
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(_run(data, settings, as_json=as_json))
    except (DataDirectoryError, CloudError, CredentialError) as error:
        _fail(str(error), status=2)
    except OSError as error:
        _fail(
            f"can't listen on {host}, UDP {coap_port} and TCP {http_port}: {error}; "
            "choose other ports, or 0 for free ones",
            status=1,
        )


async def _run(data: Path, settings: CloudSettings, *, as_json: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with LocalCloud(data, settings) as running:
        addresses = describe(running)
        if as_json:
            print(json.dumps(addresses), flush=True)
        else:
            _show(addresses, settings)
        await stop.wait()


def describe(running: LocalCloud) -> dict[str, str]:
    """Where a running cloud is found, as ``--json`` prints it."""
    return {
        "coap": running.coap_url,
        "http": running.http_url,
        "project": running.project.id,
        "organization": running.project.organization_id,
        "api_key_file": str(running.api_key_file.resolve()),
        "server_ca": str(running.server_ca.resolve()),
    }


def _show(addresses: dict[str, str], settings: CloudSettings) -> None:
    console = Console()
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    rows = {
        "Fleet page": addresses["http"],
        "Management API": f"{addresses['http']}/v1",
        "Devices": addresses["coap"],
        "Project": f"{addresses['project']} (organization {addresses['organization']})",
        "API key": f"in {addresses['api_key_file']}",
        "Server CA for devices": addresses["server_ca"],
    }
    for name, value in rows.items():
        table.add_row(f"[bold]{name}[/]", value)
    console.print(table, soft_wrap=True)
    if settings.rate_limit is None:
        console.print("The limit of 20 requests/s per device that Golioth has is lifted.")
    if settings.host in _EVERYWHERE:
        console.print("[yellow]Open to the network; the fleet page and API use plain HTTP.[/]")


def _fail(message: str, status: int) -> None:
    Console(stderr=True).print(
        f"[red]edgeferry cloud:[/] {message}", soft_wrap=True, highlight=False
    )
    raise typer.Exit(status)
