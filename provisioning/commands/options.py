"""The options that commands share: those that say what the operator's file says as well."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

if TYPE_CHECKING:
    from provisioning.management import Management
    from provisioning.operator_settings import OperatorSettings
    from provisioning.packs import Packs

_OF_OPERATOR_EXTRA = frozenset({"httpx", "scipy"})

NamesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME", help="Devices; a name is the certificate id as well."),
]
TableOption = Annotated[
    Path | None,
    typer.Option(
        "--from",
        help="CSV file; its first line names the columns: name, and hardware_id, cohort if wanted.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def _path(panel: str, text: str, *flags: str, **more: Any) -> Any:
    return Annotated[Path | None, typer.Option(*flags, help=text, rich_help_panel=panel, **more)]


def _text(panel: str, text: str, *flags: str, **more: Any) -> Any:
    return Annotated[str | None, typer.Option(*flags, help=text, rich_help_panel=panel, **more)]


# Named as the settings; see provisioning.operator_settings.
PROJECT: dict[str, Any] = {
    "project": _text("Project", "The project's id.", envvar="EDGEFERRY_PROJECT"),
}
CLOUD: dict[str, Any] = PROJECT | {
    "url": _text("Project", "Management API; Golioth's when not set.", envvar="EDGEFERRY_URL"),
    "api_key_file": _path(
        "Project", "File holding the API key, mode 0600; GOLIOTH_API_KEY goes before it."
    ),
}
CA: dict[str, Any] = {
    "ca": _path(
        "Device CA",
        "The CA's folder; ~/.local/share/edgeferry/ca when not set.",
        envvar="EDGEFERRY_CA",
    ),
}
SIGNING: dict[str, Any] = CA | {
    "passphrase_file": _path("Device CA", "File holding the CA key's passphrase, mode 0600."),
}
PACKS: dict[str, Any] = {
    "days": Annotated[
        int | None,
        typer.Option(min=1, help="Days until a certificate expires; 730.", rich_help_panel="Packs"),
    ],
    "packs": _path("Packs", "Folder for packs; <ca>/devices when not set.", "--out"),
    "tar": Annotated[
        bool | None,
        typer.Option(
            "--tar", help="Make NAME.tar.gz, owned by root, not a folder.", rich_help_panel="Packs"
        ),
    ],
    "gateway": _text("Packs", "CoAP gateway for devices; Golioth's when not set."),
    "server_ca": _path("Packs", "CA bundle devices get; they use their system's without one."),
    "agent_settings": _path("Packs", "TOML that each agent.toml ends with, like a worker table."),
    "install_dir": _text("Packs", "One folder of the device for all of a pack, without our units."),
}
PACKAGES: dict[str, Any] = {
    name: _text("Packages", f"{what}; {default} when not set, as on devices.")
    for name, what, default in (
        ("model_package", "Package of the model", "ai-model"),
        ("labels_package", "Package of the labels", "labels"),
        ("model_settings_package", "Package of model.json", "model-settings"),
        ("golden_set_package", "Package of labelled pictures", "golden-set"),
    )
}
RELEASE_SIGNING: dict[str, Any] = {
    "signing_keys": Annotated[
        list[Path] | None,
        typer.Option(
            "--signing-key",
            help="Private key that signs; may be repeated, and stands above operator.toml.",
            rich_help_panel="Signing",
        ),
    ],
    "signing_folder": _path(
        "Signing", "Folder of keys and key lists; ~/.local/share/edgeferry/signing when not set."
    ),
    "signing_passphrase_file": _path(
        "Signing", "File holding the signing keys' passphrase, mode 0600."
    ),
}
SIGNATURE: dict[str, Any] = RELEASE_SIGNING | {
    "signature_package": _text(
        "Signing", "Package of the signature; release-signature when not set, as on devices."
    ),
}
_OPERATOR = {
    "operator": Annotated[
        Path | None,
        typer.Option(
            "--operator",
            envvar="EDGEFERRY_OPERATOR",
            help="Operator's TOML file; ~/.config/edgeferry/operator.toml when not given.",
        ),
    ]
}


def configured(*groups: Mapping[str, Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the groups' options, and the settings made of them as its first argument."""
    shared = {name: kind for group in groups for name, kind in group.items()}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(**given: Any) -> None:
            from provisioning.operator_settings import load_operator

            chosen = {name: given.pop(name) for name in shared}
            with _operator_extra():
                command(load_operator(given.pop("operator"), **chosen), **given)

        signature = _signature(command, shared)
        run.__signature__ = signature  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
        return run

    return decorate


def _signature(command: Callable[..., None], shared: Mapping[str, Any]) -> inspect.Signature:
    # The settings' class is not imported at start-up, only to run a command.
    hints = get_type_hints(command, localns={"OperatorSettings": object}, include_extras=True)
    _, *own = inspect.signature(command).parameters.values()
    parameters = [p.replace(annotation=hints[p.name], kind=p.KEYWORD_ONLY) for p in own]
    parameters += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, kind in {**shared, **_OPERATOR}.items()
    ]
    return inspect.Signature(parameters)


def packs_of(settings: OperatorSettings) -> Packs:
    """Where packs go and what is in them. Raises WrongUsage, PkiError."""
    from provisioning.packs import PackForm, Packs

    form = PackForm.read(
        settings.device_gateway, settings.server_ca, settings.agent_settings, settings.install_dir
    )
    return Packs(settings.pack_folder, form, as_tar=settings.tar)


@contextmanager
def management_of(settings: OperatorSettings) -> Iterator[Management]:
    """The project's management API. Raises WrongUsage where there is no project or no API key."""
    from provisioning.errors import WrongUsage
    from provisioning.management import Management
    from provisioning.operator_secrets import api_key

    project = settings.this_project
    key = api_key(settings.api_key_file, project)
    try:
        management = Management(settings.url, key, project)
    except ValueError as error:
        raise WrongUsage(str(error)) from error
    with management:
        yield management


@contextmanager
def _operator_extra() -> Iterator[None]:
    """Raises WrongUsage where what the ``operator`` extra brings isn't installed."""
    from provisioning.errors import WrongUsage

    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _OF_OPERATOR_EXTRA:
            raise
        raise WrongUsage(f"{error}; run: pip install 'edgeferry[operator]'") from error
