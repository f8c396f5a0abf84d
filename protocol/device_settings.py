"""Settings: values the operator sets for a device, and the device's verdict on them.

Golioth: GET or observe ``.c``, CBOR or JSON: ``{"version", "settings": {KEY: value} | null}``. The
verdict goes to ``.c/status``: ``{"errors": [{"setting_key", "error_code", "details"}], "version"}``
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum

from protocol.errors import CodecError
from protocol.fields import MAX_INTEGER, MAX_TEXT, Fields
from protocol.formats import (
    ContentFormat,
    PlainValue,
    dump_document,
    is_acknowledgement,
    load_document,
    plain_value,
)

MAX_SETTINGS = 256
MAX_SETTING_KEY = 63

_KEY = re.compile(rf"[A-Z0-9_]{{1,{MAX_SETTING_KEY}}}\Z")


class SettingCode(IntEnum):
    """Golioth: what a device may say about one setting."""

    SUCCESS = 0
    KEY_NOT_RECOGNIZED = 1
    KEY_NOT_VALID = 2
    VALUE_FORMAT_NOT_VALID = 3
    VALUE_OUTSIDE_RANGE = 4
    VALUE_STRING_TOO_LONG = 5
    GENERAL_ERROR = 6


@dataclass(frozen=True)
class DeviceSettings:
    """All settings of a device. ``version`` is the time of the last change, Unix milliseconds.

    Values keep whatever JSON type they came with, so that a device can judge each by itself.
    """

    version: int = 0
    values: Mapping[str, PlainValue] = field(default_factory=dict)


@dataclass(frozen=True)
class SettingError:
    """Why a device did not take one setting."""

    key: str
    code: SettingCode
    details: str | None = None


@dataclass(frozen=True)
class SettingsStatus:
    """A device's verdict on the settings of ``version``; those without an error are in use."""

    version: int | None = None
    errors: tuple[SettingError, ...] = ()


def is_setting_key(text: str) -> bool:
    """Whether the text may name a setting (Golioth: 1 to 63 of A-Z, 0-9 and _)."""
    return _KEY.match(text) is not None


def encode_settings(settings: DeviceSettings, content_format: int = ContentFormat.CBOR) -> bytes:
    """Encode settings; none at all become null (Golioth). Floats stay floats.

    Raises CodecError for a value that is no JSON value.
    """
    values = plain_value(settings.values, "settings") or None
    document = {"version": settings.version, "settings": values}
    return dump_document(document, content_format, "settings")


def decode_settings(
    payload: bytes, content_format: int = ContentFormat.CBOR
) -> DeviceSettings | None:
    """Decode settings; None for the bare OK that Golioth sends to a new observer.

    Raises CodecError for anything else that is no settings document, naming the place.
    """
    if is_acknowledgement(payload):
        return None
    fields = Fields(load_document(payload, content_format, "settings"), "settings")
    values = plain_value(fields.find("settings"), fields.place("settings"))
    if not isinstance(values, dict | None):
        raise CodecError(f"{fields.place('settings')}: must be a map or null")
    if values is not None and len(values) > MAX_SETTINGS:
        raise CodecError(
            f"{fields.place('settings')}: {len(values)} are more than the {MAX_SETTINGS} accepted"
        )
    return DeviceSettings(fields.integer("version", maximum=MAX_INTEGER, default=0), values or {})


def encode_settings_status(
    status: SettingsStatus, content_format: int = ContentFormat.CBOR
) -> bytes:
    """Encode a verdict; as in Golioth's SDK the errors come first and are left out when none."""
    document: dict[str, object] = {}
    if status.errors:
        document["errors"] = [_error_document(error) for error in status.errors]
    document["version"] = status.version
    return dump_document(document, content_format, "settings status")


def shortened(status: SettingsStatus, most_bytes: int) -> SettingsStatus:
    """The verdict so that its CBOR fits: without details, then without the last errors, if need be.

    What is left out still shows: a status with errors is never taken for one without.
    """
    errors = status.errors
    if len(encode_settings_status(status)) > most_bytes:
        errors = tuple(replace(error, details=None) for error in errors)
    while errors and len(encode_settings_status(replace(status, errors=errors))) > most_bytes:
        errors = errors[:-1]
    return replace(status, errors=errors)


def decode_settings_status(
    payload: bytes, content_format: int = ContentFormat.CBOR
) -> SettingsStatus:
    """Decode a verdict; a missing version (as Golioth's Pouch may send) is None.

    Raises CodecError naming the field.
    """
    fields = Fields(load_document(payload, content_format, "settings status"), "settings status")
    errors = tuple(
        _decode_error(Fields(item, f"settings status.errors[{index}]"))
        for index, item in enumerate(fields.array("errors", most=MAX_SETTINGS, default=()))
    )
    version = fields.find("version")
    return SettingsStatus(
        None if version is None else fields.integer("version", maximum=MAX_INTEGER), errors
    )


def _error_document(error: SettingError) -> dict[str, object]:
    document: dict[str, object] = {"setting_key": error.key, "error_code": int(error.code)}
    if error.details is not None:
        document["details"] = error.details
    return document


def _decode_error(fields: Fields) -> SettingError:
    return SettingError(
        key=fields.text("setting_key", limit=MAX_TEXT),
        code=fields.member(SettingCode, "error_code"),
        details=fields.optional_text("details", limit=MAX_TEXT),
    )
