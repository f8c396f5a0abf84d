"""The records of the management API, in its JSON shapes.

Golioth: camelCase, empty optional fields are left out, 64-bit integers may be JSON strings.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Record(BaseModel):
    """A record; ``shape()`` is what a caller of the API sees."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)

    def shape(self) -> dict[str, Any]:
        """The JSON shape."""
        return self.model_dump(by_alias=True, exclude_none=True)


class Organization(Record):
    """An organization owns projects."""

    id: str
    name: str
    created_at: str


class Project(Record):
    """A project owns devices and everything they get."""

    id: str
    name: str
    organization_id: str
    roles: list[str] = Field(default_factory=lambda: ["project:admin"])
    created_at: str
    updated_at: str


class ApiKey(Record):
    """An API key; the secret itself is shown once, when it is made."""

    id: str
    name: str
    key: str | None = Field(default=None, repr=False)
    type: Literal["API_KEY"] = "API_KEY"
    key_tags: list[str] = Field(default_factory=list)
    created_at: str


class Tag(Record):
    """What an operator marks devices with."""

    id: str
    name: str
    project_id: str
    created_at: str
    updated_at: str


class Blueprint(Record):
    """A kind of device."""

    id: str
    name: str
    board_id: str | None = None
    platform: str | None = None
    project_id: str
    created_at: str
    updated_at: str


class Setting(Record):
    """A setting of a project, or with an id of a blueprint or device their value for one."""

    id: str
    key: str
    data_type: str
    value: Any
    device_id: str | None = None
    blueprint_id: str | None = None
    project_id: str
    created_at: str
    updated_at: str


class SettingsSync(Record):
    """How a device stands to its settings."""

    status: Literal["no-settings", "in-sync", "out-of-sync"]
    status_detail: str
    sync_time: str | None = None
    reported_version: str | None = None
    errors: list[dict[str, str | int]]


class DeviceMetadata(Record):
    """What the cloud learned about a device by itself."""

    status: str = "-"
    last_report: str | None = None
    last_seen_online: str | None = None
    last_seen_offline: str | None = None
    last_settings_status: SettingsSync | None = None
    update: dict[str, dict[str, str]] = Field(default_factory=dict)


class Device(Record):
    """A device. ``status`` is a dash for ever (Golioth: deprecated)."""

    id: str
    name: str
    hardware_ids: list[str]
    tag_ids: list[str] = Field(default_factory=list)
    blueprint_id: str | None = None
    cohort_id: str | None = None
    certificate_id: str | None = None
    enabled: bool = True
    status: str = "-"
    last_report: str | None = None
    metadata: DeviceMetadata = Field(default_factory=DeviceMetadata)
    created_at: str
    updated_at: str


class Credential(Record):
    """A pre-shared key; ``identity`` ends in ``@<project id>``."""

    id: str
    type: Literal["PRE_SHARED_KEY"] = "PRE_SHARED_KEY"
    identity: str
    pre_shared_key: str = Field(repr=False)
    created_at: str


class CertificateContent(Record):
    """What is written in a CA certificate."""

    subject: str
    issuer: str
    not_before: str
    not_after: str
    serial_number: str
    public_key_algorithm: str
    signature_algorithm: str
    version: int


class Certificate(Record):
    """A CA certificate that devices of the project may be signed by."""

    id: str
    cert_type: str
    enabled: bool = True
    demo: bool
    project_id: str
    created_at: str
    certificate_content: CertificateContent


class Package(Record):
    """One upgradeable unit of a device."""

    package_id: str
    description: str
    metadata: dict[str, str]
    created_at: str
    updated_at: str


class Artifact(Record):
    """One version of a package. ``size`` is bytes as text, as the API writes 64-bit integers."""

    id: str
    package: str
    version: str
    size: str
    blueprint_id: str | None = None
    binary_info: dict[str, Any]
    created_at: str
    updated_at: str

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes, 64 lower-case hexadecimal digits."""
        return str(self.binary_info["digests"]["sha256"]["digest"])

    @property
    def type(self) -> str:
        """What the bytes look like: ``mcuboot`` or ``default``."""
        return str(self.binary_info["type"])


class Cohort(Record):
    """Devices that get the same deployments."""

    cohort_id: str
    name: str
    device_count: int
    active_deployment_id: str | None = None
    created_at: str
    updated_at: str


class Deployment(Record):
    """What a cohort is to hold; never changes."""

    deployment_id: str
    name: str
    artifact_ids: list[str]
    created_at: str


class OtaEvent(Record):
    """One state report of a device about a package of its active deployment."""

    device_id: str
    package_id: str
    event_type: str
    status: int
    message: str
    current_version: str
    target_version: str
    timestamp: str


class FirmwareLog(Record):
    """The same report in the older feed (Golioth: codes as decimal text)."""

    device_id: str
    package: str
    version: str
    target: str
    state: str
    state_code: str
    reason: str
    reason_code: str
    time: str


class EventCount(Record):
    """How many events of a type there were."""

    event_type: str
    count: int


class EventStats(Record):
    """Events counted by type over a stretch of time; ``duration`` is in seconds, as text."""

    timestamp: str
    duration: str
    stats: list[EventCount]


class StreamEntry(Record):
    """What a device sent at a time. Both spellings of its id: Golioth's answers differ."""

    time: str
    device_id: str
    device_id_legacy: str = Field(serialization_alias="device_id")
    data: Any

    def shape(self) -> dict[str, Any]:
        """The JSON shape; null is data too."""
        return self.model_dump(by_alias=True)


class LogEntry(Record):
    """One log line. Both spellings of the device's id: the API's own, and its Python client's."""

    device_id: str
    device_id_legacy: str = Field(serialization_alias="device_id")
    level: str
    module: str
    message: str
    metadata: dict[str, Any]
    type: str
    timestamp: str
