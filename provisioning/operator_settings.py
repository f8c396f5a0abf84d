"""What the operator's commands work with: one TOML file, each key also as an option.

``~/.config/edgeferry/operator.toml`` is read when it is there; ``--operator`` or
``EDGEFERRY_OPERATOR`` names another. ``edgeferry cloud`` writes one for itself. Relative paths in
the file start at the file's folder. The API key is not in it, only the file that holds the key.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from provisioning.errors import WrongUsage
from provisioning.pki import DEVICE_DAYS, MOST_DAYS

GOLIOTH_URL = "https://api.golioth.io"
GOLIOTH_GATEWAY = "coaps://coap.golioth.io"
SIGNATURE_PACKAGE = "release-signature"


class OperatorSettings(BaseModel):
    """Where the cloud, the authority and the devices' packs are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(GOLIOTH_URL, description="Management API, without /v1.")
    project: str | None = Field(None, description="The project's id.")
    gateway: str | None = Field(None, description="CoAP gateway for devices.")
    server_ca: Path | None = Field(
        None, description="CA bundle that devices trust; their system's when not set."
    )
    ca: Path = Field(
        default_factory=lambda: _user_folder("XDG_DATA_HOME", ".local/share") / "ca",
        description="Folder of the device CA and of the register of what it issued.",
    )
    packs: Path | None = Field(None, description="Where devices' packs go; <ca>/devices.")
    days: int = Field(
        DEVICE_DAYS, ge=1, le=MOST_DAYS, description="Days until a device's certificate expires."
    )
    tar: bool = Field(False, description="Tarballs, not folders.")
    install_dir: PurePosixPath | None = Field(
        None, description="One folder of the device for a whole pack, without our systemd units."
    )
    agent_settings: Path | None = Field(
        None, description="TOML that every pack's agent.toml ends with, like its [worker] table."
    )
    model_package: str = Field("ai-model", description="Package holding the .tflite file.")
    labels_package: str = Field("labels", description="Package holding one label per line.")
    model_settings_package: str = Field(
        "model-settings", description="Optional package holding model.json."
    )
    golden_set_package: str = Field(
        "golden-set", description="Optional package holding labelled pictures in a ZIP."
    )
    signing_keys: tuple[Path, ...] = Field(
        (), description="Private keys that sign what is deployed (docs/signing.md)."
    )
    signing_folder: Path = Field(
        default_factory=lambda: _user_folder("XDG_DATA_HOME", ".local/share") / "signing",
        description="Folder of new signing keys, of key lists, and of what was published.",
    )
    signature_package: str = Field(
        SIGNATURE_PACKAGE, description="Package holding a release's signature."
    )
    signing_passphrase_file: Path | None = Field(
        None, description="File holding the signing keys' passphrase, mode 0600."
    )
    api_key_file: Path | None = Field(None, description="File holding the API key, mode 0600.")
    passphrase_file: Path | None = Field(
        None, description="File holding the CA key's passphrase, mode 0600."
    )

    @field_validator("url")
    @classmethod
    def _http(cls, url: str) -> str:
        if not _is_address(url, "http", "https"):
            raise ValueError(f"{url!r} is no https://host[:port] address")
        return url.rstrip("/").removesuffix("/v1")

    @field_validator("gateway")
    @classmethod
    def _coaps(cls, gateway: str | None) -> str | None:
        if gateway is not None and not _is_address(gateway, "coaps"):
            raise ValueError(f"{gateway!r} is no coaps://host[:port] address")
        return gateway

    @property
    def this_project(self) -> str:
        """The project's id. Raises WrongUsage when none is set."""
        if not self.project:
            raise WrongUsage(
                'no project: give --project, set EDGEFERRY_PROJECT, or write project = "..." '
                f"into {default_file()}"
            )
        return self.project

    @property
    def release_packages(self) -> tuple[str, str, str, str]:
        """The packages that make a release, in the order model, labels, settings, golden set."""
        return (
            self.model_package,
            self.labels_package,
            self.model_settings_package,
            self.golden_set_package,
        )

    @property
    def device_gateway(self) -> str:
        """The gateway's address. Raises WrongUsage when only another cloud's API is known."""
        if self.gateway is not None:
            return self.gateway
        if self.url != GOLIOTH_URL:
            raise WrongUsage(
                f"devices can't be told where the cloud of {self.url} is: give --gateway "
                "coaps://HOST:PORT, or gateway in operator.toml"
            )
        return GOLIOTH_GATEWAY

    @property
    def pack_folder(self) -> Path:
        """Where devices' packs go."""
        return self.packs or self.ca / "devices"


def default_file() -> Path:
    """The file that is read when no other is named."""
    return _user_folder("XDG_CONFIG_HOME", ".config") / "operator.toml"


def load_operator(path: Path | None = None, **given: Any) -> OperatorSettings:
    """Read the settings; what is ``given`` and not None stands above the file.

    Raises:
        WrongUsage: the file can't be used; every fault of it is named.
    """
    origin = path or default_file()
    table = _read(origin, required=path is not None)
    # An option that may be repeated is an empty list where it is not given.
    chosen = {name: value for name, value in given.items() if value not in (None, [])}
    try:
        return OperatorSettings(**{**table, **chosen})
    except ValidationError as faults:
        raise WrongUsage("\n".join(_explain(origin, faults, chosen))) from None


def _read(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        if not required and isinstance(error, FileNotFoundError):
            return {}
        raise WrongUsage(f"{path}: {error}; name another file with --operator") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise WrongUsage(f"{path}: no valid TOML: {error}") from error
    return {name: _from_folder(path, name, value) for name, value in table.items()}


def _from_folder(file: Path, name: str, value: Any) -> Any:
    field = OperatorSettings.model_fields.get(name)
    kind = field.annotation if field is not None else None
    if kind in (Path, Path | None) and isinstance(value, str):
        return file.parent / Path(value).expanduser()
    if kind == tuple[Path, ...] and isinstance(value, list):
        return [file.parent / Path(each).expanduser() for each in value]
    return value


def _explain(origin: Path, faults: ValidationError, chosen: dict[str, Any]) -> list[str]:
    lines = []
    for fault in faults.errors(include_url=False, include_input=False):
        name = ".".join(str(part) for part in fault["loc"])
        where = f"--{name.replace('_', '-')}" if name in chosen else f"{origin}: {name}"
        if fault["type"] == "extra_forbidden":
            near = difflib.get_close_matches(name, OperatorSettings.model_fields, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            lines.append(f"{origin}: unknown key {name}{hint}")
        else:
            lines.append(f"{where}: {fault['msg'].removeprefix('Value error, ')}")
    return lines


def _is_address(text: str, *schemes: str) -> bool:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:  # brackets that don't close, or a port that can't be
        return False
    return parts.scheme in schemes and bool(parts.hostname) and port != 0


def _user_folder(variable: str, otherwise: str) -> Path:
    """XDG Base Directory Specification: unset or relative means the default."""
    chosen = Path(os.environ.get(variable, ""))
    return (chosen if chosen.is_absolute() else Path.home() / otherwise) / "edgeferry"
