"""``edgeferry cloud``. What it needs is imported only when it runs: devices do without it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

MISSING_EXTRA = 2

_HELP = (
    "Run a Golioth-compatible cloud on this machine."
    "\n\n"
    "Devices connect to the CoAP port with a pre-shared key or a certificate. Operators use the"
    " management API below /v1 with the API key. People open the console in a browser and sign"
    " in with the same key. Everything survives a restart; stop it with Ctrl-C."
    "\n\n"
    "To use Golioth itself instead, give devices coaps://coap.golioth.io and operators a key from"
    " its console; nothing else changes."
)


def register(app: typer.Typer) -> None:
    """Add the command to ``edgeferry``."""
    app.command(help=_HELP)(cloud)


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
        typer.Option(min=0, max=65535, help="TCP port for the API and the console; 0: free."),
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
    certificate_days: Annotated[
        float,
        typer.Option(
            min=0,
            help="Life of the certificates that devices fetch themselves (v1/csr), in days; 0: no"
            " such service, as in a Golioth project without PKI provider.",
        ),
    ] = 90.0,
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
    """Run a local cloud until it is stopped; the help text is ``_HELP``."""
    try:
        from localcloud.launch import launch
        from localcloud.settings import CloudSettings
    except ImportError as error:
        typer.echo(
            f"edgeferry cloud: {error}; install what it needs: pip install 'edgeferry[cloud]'",
            err=True,
        )
        raise typer.Exit(MISSING_EXTRA) from error
    settings = CloudSettings(
        host=host,
        coap_port=coap_port,
        http_port=http_port,
        project=project,
        organization=organization,
        rate_limit=rate_limit or None,
        response_delay=response_delay,
        certificate_days=certificate_days,
        max_artifact_bytes=max_artifact_mib * 1024 * 1024,
    )
    raise typer.Exit(launch(data, settings, as_json=as_json))
