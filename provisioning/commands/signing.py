"""``device request`` and ``device sign``: certificates for keys that never leave their device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from provisioning.commands.options import (
    PACKS,
    PROJECT,
    SIGNING,
    JsonOption,
    configured,
    packs_of,
)

if TYPE_CHECKING:
    from provisioning.operator_settings import OperatorSettings
    from provisioning.signing_requests import DeviceRequest


def register(group: typer.Typer) -> None:
    """Add the commands."""
    group.command()(request)
    group.command()(sign)


@configured(PROJECT)
def request(
    settings: OperatorSettings,
    name: Annotated[str, typer.Argument(help="The device's name, its certificate id.")],
    key: Annotated[Path, typer.Option(help="The device's key, made unless it is there.")] = Path(
        "/etc/credstore/edgeferry.key"
    ),
    csr: Annotated[
        Path | None, typer.Option(help="File for the request; NAME.csr.pem when not given.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """On the device, as root: make its key, mode 0600, and a request for a certificate.

    Take the request, which is no secret, to the operator's machine, sign it there with `device
    sign`, and put what comes back beside the key. Compare the key's fingerprint, which both
    commands show, so that nobody else's key is signed. A key that is there is used again.
    """
    from provisioning.commands.output import print_facts, print_json
    from provisioning.device_list import check_name
    from provisioning.signing_requests import make_request

    file = csr or Path(f"{check_name(name, 'NAME')}.csr.pem")
    made = make_request(key, file, settings.this_project, check_name(name, "NAME"))
    document = {"name": name, "project": made.project, "key": str(key), "request": str(file)}
    document["key_fingerprint"] = made.key_fingerprint
    if as_json:
        print_json(document)
        return
    print_facts(document)
    typer.echo(f"→ on the operator's machine: edgeferry provision device sign {file.name}")


@configured(PROJECT, SIGNING, PACKS)
def sign(
    settings: OperatorSettings,
    requests: Annotated[
        list[Path],
        typer.Argument(metavar="CSR", help="Requests, PEM or DER, whoever made them."),
    ],
    again: Annotated[
        bool,
        typer.Option("--again", help="Also for a device that has a certificate with another key."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Sign requests that devices made: packs without a key, which stays on the device.

    A request must be for this project; what else its subject says, and the extensions it asks for,
    are left out of the certificate. Compare the fingerprint with the one the device showed.
    """
    from provisioning.commands.device import open_issuer, run_issuing

    wanted = _read_all(requests)
    packs = packs_of(settings)
    with open_issuer(settings, packs) as (issuer, entering):
        report = run_issuing(
            list(wanted), lambda name: issuer.sign(wanted[name], again=again), entering, "Signing"
        )
    for document in report.devices:
        document["key_fingerprint"] = key = wanted[document["name"]].key_fingerprint
        document["detail"] += f", key {key}"
    report.next_steps = [packs.how_to_install]
    report.show(as_json=as_json)


def _read_all(paths: list[Path]) -> dict[str, DeviceRequest]:
    from provisioning.device_list import check_name
    from provisioning.errors import WrongUsage
    from provisioning.signing_requests import read_request

    wanted: dict[str, DeviceRequest] = {}
    for path in paths:
        found = read_request(path)
        name = check_name(found.certificate_id, str(path))
        if wanted.setdefault(name, found) is not found:
            raise WrongUsage(f"{path}: there is another request of {name}; sign one of them")
    return wanted
