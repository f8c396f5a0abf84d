"""``edgeferry provision ca``: the authority that devices' certificates come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from provisioning.commands.options import (
    CA,
    CLOUD,
    PROJECT,
    SIGNING,
    JsonOption,
    configured,
    management_of,
)

if TYPE_CHECKING:
    from cryptography import x509

    from provisioning.ca_folder import CaFolder
    from provisioning.management import Management
    from provisioning.operator_settings import OperatorSettings

_HELP = "The project's certificate authority: make it, register it, look at it."


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help=_HELP, no_args_is_help=True)
    for command in (init, upload, show):
        group.command()(command)
    app.add_typer(group, name="ca")


@configured(PROJECT, SIGNING)
def init(
    settings: OperatorSettings,
    name: Annotated[
        str | None, typer.Option(help="Its name; '<project> device CA' when not given.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=36500, help="Days until it expires.")] = 3650,
    intermediate: Annotated[
        bool,
        typer.Option(
            "--intermediate",
            help="Make an intermediate that signs devices, so the root's key can rest offline.",
        ),
    ] = False,
    no_passphrase: Annotated[
        bool, typer.Option("--no-passphrase", help="Leave the keys unencrypted.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make the project's device CA: P-256 keys, encrypted, readable by you alone.

    Whoever has the CA's key can make devices of your fleet. Back up its folder, and keep the
    passphrase elsewhere. An existing CA is never overwritten.
    """
    from provisioning.ca_folder import CaFolder
    from provisioning.commands.output import print_steps
    from provisioning.operator_secrets import Passphrase

    folder = CaFolder(settings.ca)
    folder.check_absent()
    secret = Passphrase(settings.passphrase_file)
    folder.create(
        name or f"{settings.project or 'Edgeferry'} device CA",
        days=days,
        passphrase=None if no_passphrase else secret.choose(folder.root.key),
        with_intermediate=intermediate,
    )
    _describe(folder, as_json=as_json)
    if not as_json:
        print_steps(
            [
                "let the project accept its devices, once: edgeferry provision ca upload",
                "then make them: edgeferry provision enroll NAME",
            ]
        )


@configured(CLOUD, CA)
def upload(settings: OperatorSettings, as_json: JsonOption = False) -> None:
    """Let the project accept the devices of this CA; nothing secret leaves this machine.

    An intermediate is registered beside its root. What is registered already is left alone.
    """
    from provisioning.ca_folder import CaFolder
    from provisioning.certificates import fingerprint
    from provisioning.commands.output import print_json, print_rows

    certificates = CaFolder(settings.ca).certificates()
    rows: list[dict[str, str | None]] = []
    with management_of(settings) as management:
        for certificate in certificates:
            uploaded = _register(management, certificate, intermediate=bool(rows))
            subject = certificate.subject.rfc4514_string()
            outcome = "registered" if uploaded else "registered before"
            found = {"subject": subject, "outcome": outcome, "project": settings.project}
            rows.append({**found, "fingerprint": fingerprint(certificate)})
    if as_json:
        print_json({"certificates": rows})
    else:
        print_rows(rows, ("subject", "outcome", "project"))


@configured(CA)
def show(settings: OperatorSettings, as_json: JsonOption = False) -> None:
    """Show the CA: who it is, until when it counts, and what it signed."""
    from provisioning.ca_folder import CaFolder

    _describe(CaFolder(settings.ca), as_json=as_json)


def _register(management: Management, certificate: x509.Certificate, *, intermediate: bool) -> bool:
    """Whether it had to be uploaded."""
    from provisioning.certificates import pem
    from provisioning.errors import AlreadyExists

    serial = certificate.serial_number
    if any(found.has_serial(serial) for found in management.ca_certificates()):
        return False
    try:
        management.upload_ca(pem(certificate), intermediate=intermediate)
    except AlreadyExists:
        return False
    return True


def _describe(folder: CaFolder, *, as_json: bool) -> None:
    from provisioning.commands.output import print_facts, print_json

    description = folder.describe()
    if as_json:
        print_json(description)
        return
    for certificate in description["certificates"]:
        print_facts({**certificate, "key_encrypted": _yes(certificate["key_encrypted"])})
    print_facts({"folder": description["folder"], **description["signed"]})


def _yes(encrypted: bool | None) -> str:
    return {True: "yes", False: "no", None: "the key is not here"}[encrypted]
