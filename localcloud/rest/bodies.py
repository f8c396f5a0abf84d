"""Request bodies. Like grpc-gateway: unknown fields are ignored, null means not given."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from localcloud.errors import InvalidArgument
from localcloud.storage.database import MAX_PAGE


class Body(BaseModel):
    """camelCase on the wire; the protobuf spelling is understood as well."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


def _null_as(empty: object) -> BeforeValidator:
    return BeforeValidator(lambda value: empty if value is None else value)


def _no_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not hold a NUL character")
    return value


Text = Annotated[str, Field(max_length=255), AfterValidator(_no_nul), _null_as("")]
# The same where null is told from nothing: it leaves things as they are.
_Texts = Annotated[list[Text], Field(max_length=100)]
_Description = Annotated[str, Field(max_length=4096), AfterValidator(_no_nul)]
_Metadata = Annotated[dict[Text, _Description], Field(max_length=100)]

Texts = Annotated[_Texts, _null_as([])]


class Name(Body):
    """A body that only names something."""

    name: Text = ""

    def required(self, what: str) -> str:
        """The name, or InvalidArgument."""
        if not self.name:
            raise InvalidArgument(f"name: {what} needs a name")
        return self.name


class BlueprintBody(Name):
    """POST, PUT and PATCH a blueprint."""

    board_id: Text = ""
    platform: Text = ""


class NewDevice(Body):
    """POST devices."""

    name: Text = ""
    hardware_ids: Texts = []
    tag_ids: Texts = []
    blueprint_id: Text = ""
    cohort_id: Text = ""


class DeviceChange(Body):
    """PUT and PATCH a device.

    ``cohort_id`` or ``blueprint_id`` null or empty takes the device out of it; absent keeps it.
    """

    name: Text = ""
    enabled: bool | None = None
    hardware_ids: _Texts | None = None
    add_hardware_id: Texts = []
    remove_hardware_id: Texts = []
    tag_ids: _Texts | None = None
    add_tag_id: Texts = []
    remove_tag_id: Texts = []
    blueprint_id: Text = ""
    cohort_id: Text = ""


class NewCredential(Body):
    """POST credentials."""

    type: Text = "PRE_SHARED_KEY"
    identity: Text = ""
    pre_shared_key: Text = Field(default="", repr=False)
    device_id: Text = ""


class Provisioning(NewDevice):
    """POST provisioning: a device and its key in one call."""

    type: Text = "PRE_SHARED_KEY"
    identity: Text = ""
    pre_shared_key: Text = Field(default="", repr=False)


class NewCertificate(Body):
    """POST certificates; ``cert_file`` is base64 of the PEM text."""

    cert_file: str
    cert_type: Text = "root"
    demo: Annotated[bool, _null_as(False)] = False


class NewPackage(Body):
    """POST packages."""

    package_id: Text
    description: Annotated[_Description, _null_as("")] = ""
    metadata: Annotated[_Metadata, _null_as({})] = {}


class PackageChange(Body):
    """PUT a package."""

    description: _Description | None = None
    metadata: _Metadata | None = None


class NewArtifact(Body):
    """POST artifacts; ``content`` is base64 of the file."""

    project_id: Text
    package: Text = "main"
    version: Text
    content: str = Field(repr=False)
    blueprint_id: Text = ""


class NewDeployment(Body):
    """POST deployments."""

    name: Text = ""
    artifact_ids: Texts = []


class NewSetting(Body):
    """POST settings; the value's type is checked against ``data_type``."""

    key: Text = ""
    data_type: Text = ""
    value: Any = None
    device_id: Text = ""
    blueprint_id: Text = ""


class SettingChange(Body):
    """PUT and PATCH a setting."""

    value: Any = None


class NewCall(Body):
    """POST rpc; ``timeout`` in seconds, 0 for the default."""

    method: Annotated[Text, Field(min_length=1, max_length=128)]
    params: Annotated[list[Any] | dict[str, Any], _null_as([])] = []
    timeout: Annotated[int, Field(ge=0, le=300), _null_as(0)] = 0


class StreamRange(Body):
    """GET stream. ``encoded_query`` is a query as JSON text."""

    start: Text = ""
    end: Text = ""
    interval: Text = ""
    page: Annotated[int, Field(lt=2**31), _null_as(0)] = 0
    per_page: Annotated[int, _null_as(MAX_PAGE)] = MAX_PAGE
    encoded_query: Annotated[str, Field(max_length=16_384), _null_as("")] = ""
    device_id: Texts = []


class StreamQueryBody(StreamRange):
    """POST stream. ``encoded_query`` goes before ``query``."""

    query: dict[str, Any] | None = None


def decode_base64(field: str, text: str) -> bytes:
    """Bytes of a base64 field, standard or URL-safe alphabet. Raises InvalidArgument."""
    standard = text.translate(str.maketrans("-_", "+/"))
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidArgument(f"{field}: not base64 ({error})") from error


def refuse_other_credentials(kind: str) -> None:
    """Only pre-shared keys are stored; certificates need no credential of their own."""
    if kind != "PRE_SHARED_KEY":
        raise InvalidArgument(
            f"type {kind!r}: only PRE_SHARED_KEY; for certificates upload the CA to certificates"
        )
