"""The configuration: one TOML file, every key also as ``EDGEFERRY_<SECTION>__<KEY>``.

The environment wins over the file. ``GOLIOTH_PSK_ID`` and ``GOLIOTH_PSK`` give the PSK credentials
their well-known names; files and systemd credentials keep the key out of both.
"""

from __future__ import annotations

import os
import random
import tomllib
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from agent.credentials.settings import GoliothSettings
from agent.errors import ConfigurationError
from agent.faults import explain
from agent.remote.settings import RemoteSettings
from agent.samples.settings import SampleSettings
from agent.service.logs import CloudLevelName, LogLevelName
from agent.store.names import PackageNames
from agent.telemetry.settings import TelemetrySettings
from agent.trial.settings import ProofSettings
from agent.trust.settings import TrustSettings
from agent.window_settings import WindowSettings
from agent.worker.settings import DEFAULT_STATE_DIR, WorkerSettings
from states.gates import Gates, TimeWindow
from states.policy import Policy

DEFAULT_PATH = Path("/etc/edgeferry/agent.toml")
PACKAGES = 5


class Section(BaseModel):
    """A table of the file; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DeviceSettings(Section):
    """Where this device keeps its state."""

    state_dir: Path = Field(DEFAULT_STATE_DIR, description="Journal, blobs and releases.")
    model_package: str = Field("ai-model", description="Package holding the .tflite file.")
    labels_package: str = Field("labels", description="Package holding one label per line.")
    model_settings_package: str = Field(
        "model-settings",
        description="Optional package holding model.json: how pictures are prepared for the "
        "model; wins over [worker] (docs/model-settings.md).",
    )
    golden_set_package: str = Field(
        "golden-set",
        description="Optional package holding labelled pictures in a ZIP, on which a model is "
        "tried before it serves (docs/golden-set.md).",
    )
    signature_package: str = Field(
        "release-signature",
        description="Package holding the signature of a release, if [trust] names keys.",
    )
    keep_releases: int = Field(2, ge=0, description="Releases kept beside active and previous.")
    reserve_bytes: int = Field(
        8 << 20, ge=0, description="Space left free, so that a full disk can still be reported."
    )
    largest_release: int = Field(1 << 30, gt=0, description="Bytes a release may have at most.")

    @property
    def names(self) -> PackageNames:
        """Which package of a deployment is which."""
        return PackageNames(
            self.model_package,
            self.labels_package,
            self.model_settings_package,
            self.golden_set_package,
        )

    @model_validator(mode="after")
    def _one_package_each(self) -> Self:
        if len({*self.names.handled, self.signature_package}) < PACKAGES:
            raise ValueError("two of the five packages have the same name; give each its own")
        return self


def _windows(texts: tuple[str, ...]) -> tuple[str, ...]:
    for text in texts:
        TimeWindow.parse(text)
    return texts


Windows = Annotated[tuple[str, ...], AfterValidator(_windows)]


class DownloadSettings(Section):
    """How and when files are fetched."""

    windows: Windows = Field(
        (), description='Times of day for downloads, like ["22:00-06:00"]; any time when empty.'
    )
    bytes_per_second: int = Field(
        0, ge=0, description="Most the agent takes of its link, both ways together; 0 for no cap."
    )
    in_flight: int = Field(
        0,
        ge=0,
        le=1024,
        description="Most block requests under way; 0 for what the link carries, 1 is lock-step.",
    )
    checkpoint_blocks: int = Field(64, ge=1, description="Blocks between two checkpoints.")
    checkpoint_seconds: float = Field(
        5.0, gt=0, description="Longest time between two; at 20 blocks/s the count comes first."
    )


class UpdateSettings(ProofSettings, WindowSettings):
    """When a release may take over, how patient an update is, and what proves a release."""

    activation_windows: Windows = Field(
        (), description="Times of day at which a release may take over; any time when empty."
    )

    first_retry_seconds: float = Field(5.0, gt=0, description="First wait; doubles each time.")
    longest_retry_seconds: float = Field(3600.0, gt=0, description="Longest wait.")


class LogSettings(Section):
    """What the agent writes to standard error, and sends to the cloud's log."""

    level: LogLevelName = Field("info", description="Least level: debug, info, warning or error.")
    cloud_level: CloudLevelName = Field(
        "warning", description="Least level of what goes to the cloud's log too; off for nothing."
    )


class Settings(BaseSettings):
    """All of it."""

    model_config = SettingsConfigDict(
        env_prefix="EDGEFERRY_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    golioth: GoliothSettings = GoliothSettings()
    device: DeviceSettings = DeviceSettings()
    trust: TrustSettings = TrustSettings()
    download: DownloadSettings = DownloadSettings()
    update: UpdateSettings = UpdateSettings()
    worker: WorkerSettings = WorkerSettings()
    samples: SampleSettings = SampleSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    remote: RemoteSettings = RemoteSettings()
    log: LogSettings = LogSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is pydantic's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment stands above the file, which comes as init arguments."""
        return env_settings, init_settings

    def gates(self) -> Gates:
        """When steps may begin."""
        return Gates(
            download=tuple(map(TimeWindow.parse, self.download.windows)),
            activation=tuple(map(TimeWindow.parse, self.update.activation_windows)),
        )

    def policy(self) -> Policy:
        """The numbers the law goes by. Raises ConfigurationError for a key nobody can read."""
        update, device = self.update, self.device
        return Policy(
            required_packages=(device.model_package, device.labels_package),
            trusted_keys=self.trust.keys(),
            largest_release=device.largest_release,
            first_retry=update.first_retry_seconds,
            longest_retry=update.longest_retry_seconds,
            jitter=random.SystemRandom().uniform,
        ).with_window(update.window_limits())


def load_settings(path: Path | None) -> Settings:
    """Read the configuration; without ``path`` the default file, if there is one.

    Raises:
        ConfigurationError: every fault of the file at once, each with its key.
    """
    table = _read(path if path is not None else DEFAULT_PATH, required=path is not None)
    try:
        return Settings(**_with_golioth_names(table))
    except ValidationError as faults:
        origin = path or DEFAULT_PATH
        raise ConfigurationError("\n".join(explain(str(origin), Settings, faults))) from None


def _read(path: Path, *, required: bool) -> dict[str, Any]:
    if not required and not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: {error}; name another file with --config") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigurationError(f"{path}: no valid TOML: {error}") from error


def _with_golioth_names(table: dict[str, Any]) -> dict[str, Any]:
    well_known = {"psk_id": os.environ.get("GOLIOTH_PSK_ID"), "psk": os.environ.get("GOLIOTH_PSK")}
    given = {key: value for key, value in well_known.items() if value}
    golioth = table.get("golioth", {})
    if not given or not isinstance(golioth, dict):
        return table
    return {**table, "golioth": {**golioth, **given}}
