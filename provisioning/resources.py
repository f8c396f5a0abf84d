"""What the management API speaks about, as far as this client uses it.

Field names are the API's in snake case. Golioth: empty fields are left out, 64-bit numbers may come
as text, and times are RFC 3339 in UTC. Unknown fields are ignored.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel


class Resource(BaseModel):
    """An immutable object of the API."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, extra="ignore", frozen=True
    )

    @model_validator(mode="before")
    @classmethod
    def _empty_is_absent(cls, given: Any) -> Any:
        """Null and empty text mean the same as leaving the field out."""
        if not isinstance(given, dict):
            return given
        return {name: value for name, value in given.items() if value not in (None, "")}


class Project(Resource):
    """A project; ``id`` is its slug."""

    id: str
    name: str = ""
    organization_id: str = ""


class UpdateReport(Resource):
    """What a device last said about one package; codes are Golioth's state and reason numbers."""

    package: str
    version: str = ""
    target: str = ""
    state: str = ""
    state_code: int = 0
    reason: str = ""
    reason_code: int = 0
    time: datetime | None = None


class DeviceMetadata(Resource):
    """What the cloud knows of a device by itself; ``update`` by package."""

    status: str = ""
    last_report: datetime | None = None
    last_seen_online: datetime | None = None
    last_seen_offline: datetime | None = None
    update: dict[str, UpdateReport] = {}


class Device(Resource):
    """A device of the project."""

    id: str
    name: str = ""
    hardware_ids: tuple[str, ...] = ()
    enabled: bool = True
    cohort_id: str | None = None
    certificate_id: str | None = None
    metadata: DeviceMetadata = DeviceMetadata()
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def updates(self) -> dict[str, UpdateReport]:
        """What the device last reported, by package."""
        return self.metadata.update


class Credential(Resource):
    """A pre-shared key; ``identity`` is what the device gives, ``<name>@<project>``."""

    id: str
    type: str = "PRE_SHARED_KEY"
    identity: str = ""
    pre_shared_key: str = Field(default="", repr=False)
    created_at: datetime | None = None


class CertificateContent(Resource):
    """What a CA certificate says; the serial number is text, decimal or hexadecimal."""

    subject: str = ""
    issuer: str = ""
    serial_number: str = ""


class CaCertificate(Resource):
    """A CA certificate that the project trusts; ``cert_type`` is "root" or "intermediate"."""

    id: str
    cert_type: str = "root"
    enabled: bool = True
    certificate_content: CertificateContent = CertificateContent()
    created_at: datetime | None = None

    def has_serial(self, serial: int) -> bool:
        """Whether it is the certificate of that serial number, in whatever form the API says it."""
        said = self.certificate_content.serial_number.replace(":", "").lower()
        return said.removeprefix("0x").lstrip("0") in (str(serial), f"{serial:x}")


class Package(Resource):
    """A thing that has versions."""

    package_id: str
    description: str = ""
    metadata: dict[str, str] = {}


class Artifact(Resource):
    """An immutable version of a package; ``size`` in bytes.

    ``sha256`` is 64 hexadecimal digits, None where the API does not tell it.
    """

    id: str
    package: str
    version: str
    size: int = 0
    sha256: str | None = Field(
        default=None, validation_alias=AliasPath("binaryInfo", "digests", "sha256", "digest")
    )
    created_at: datetime | None = None


class Cohort(Resource):
    """A group of devices that get the same deployments."""

    cohort_id: str
    name: str = ""
    device_count: int = 0
    active_deployment_id: str | None = None
    created_at: datetime | None = None


class Deployment(Resource):
    """Artifacts given to a cohort at one time, for good."""

    deployment_id: str
    name: str = ""
    artifact_ids: tuple[str, ...] = ()
    created_at: datetime | None = None


class OtaEvent(Resource):
    """One report of a device: ``event_type`` is the state's name, ``status`` the reason number."""

    device_id: str
    package_id: str
    event_type: str
    status: int = 0
    message: str = ""
    current_version: str = ""
    target_version: str = ""
    timestamp: datetime | None = None


class StreamEntry(Resource):
    """A document that a device streamed; ``time`` is when it arrived."""

    time: datetime
    # Golioth's description of its API says deviceId, its own client reads device_id.
    device_id: str = Field(validation_alias=AliasChoices("deviceId", "device_id"))
    document: Any = None
