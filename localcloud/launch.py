"""Running a cloud until it is told to stop, and saying where it is."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
from pathlib import Path

from rich.console import Console
from rich.table import Table

from localcloud.cloud import LocalCloud
from localcloud.errors import CloudError, DataDirectoryError
from localcloud.settings import EVERYWHERE, CloudSettings
from localcloud.storage.database import usable
from protocol.errors import CredentialError

OPERATOR_FILE = "operator.toml"
DONE, FAILED, WRONG_USAGE = 0, 1, 2


def launch(data: Path, settings: CloudSettings, *, as_json: bool) -> int:
    """Serve until SIGINT or SIGTERM. Returns the exit status; what went wrong is on stderr."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(_run(data, settings, as_json=as_json))
    except (DataDirectoryError, CloudError, CredentialError) as error:
        return _complain(str(error), WRONG_USAGE)
    except OSError as error:
        ports = f"UDP {settings.coap_port} and TCP {settings.http_port}"
        return _complain(
            f"can't listen on {settings.host}, {ports}: {error}; choose others, or 0 for free ones",
            FAILED,
        )
    return DONE


async def _run(data: Path, settings: CloudSettings, *, as_json: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with LocalCloud(data, settings) as running:
        addresses = describe(running)
        with usable(data):
            write_operator_file(addresses)
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
        "operator_file": str(running.api_key_file.resolve().with_name(OPERATOR_FILE)),
    }


def write_operator_file(addresses: dict[str, str]) -> None:
    """What ``edgeferry provision --operator`` needs to work with this cloud; holds no secret."""
    keys = {"url": "http", "gateway": "coap"} | {
        name: name for name in ("project", "api_key_file", "server_ca")
    }
    # JSON's text is TOML's too.
    lines = [f"{name} = {json.dumps(addresses[key])}\n" for name, key in keys.items()]
    path = Path(addresses["operator_file"])
    path.touch(mode=0o600)
    path.write_text("# Written by edgeferry cloud at each start.\n" + "".join(lines))


def _show(addresses: dict[str, str], settings: CloudSettings) -> None:
    console = Console()
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    rows = {
        "Console": addresses["http"],
        "Management API": f"{addresses['http']}/v1",
        "Devices": addresses["coap"],
        "Project": f"{addresses['project']} (organization {addresses['organization']})",
        "API key": f"in {addresses['api_key_file']}",
        "Server CA for devices": addresses["server_ca"],
        "For provision": f"--operator {addresses['operator_file']}",
    }
    for name, value in rows.items():
        table.add_row(f"[bold]{name}[/]", value)
    console.print(table, soft_wrap=True)
    if settings.rate_limit is None:
        console.print("The limit of 20 requests/s per device that Golioth has is lifted.")
    if settings.host in EVERYWHERE:
        console.print("[yellow]Open to the network; the console and the API use plain HTTP.[/]")


def _complain(message: str, status: int) -> int:
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print("edgeferry cloud:", message, markup=False)
    return status
