"""Which keys of the configuration the operator may set through Golioth's Settings, and the merge.

The name of a setting is made of the configuration key by one rule: ``update.window_frames`` is
``UPDATE_WINDOW_FRAMES``; telemetry's keys say by themselves what they are about. What a value may
be is said by the configuration's own models alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ValidationError

from agent.config import Settings
from agent.samples.settings import SampleChoice
from agent.window_settings import WindowSettings
from protocol.device_settings import SettingCode, SettingError, is_setting_key
from protocol.formats import PlainValue

_ALLOWED: Mapping[str, tuple[str, Iterable[str]]] = {
    # Section: why its keys may be set from afar, and which.
    "update": (
        "what a release must show is learnt from the fleet, and is wrong everywhere at once",
        (
            "golden_minimum_accuracy",
            "golden_margin",
            "latency_budget_ms",
            "latency_ratio",
            *WindowSettings.model_fields,
        ),
    ),
    "samples": (
        "which pictures are wanted changes with what the next training needs",
        (*SampleChoice.model_fields, "upload", "upload_bytes_per_day"),
    ),
    "log": ("a device is looked at closely while it is in trouble", ("level", "cloud_level")),
    "telemetry": ("how closely a device is watched costs the link's bytes", ("metrics_seconds",)),
    "download": ("what a link may carry is known to whoever pays for it", ("bytes_per_second",)),
}

_OUTSIDE_RANGE = frozenset(
    {
        "greater_than",
        "greater_than_equal",
        "less_than",
        "less_than_equal",
        "finite_number",
        "literal_error",
        "value_error",
    }
)


@dataclass(frozen=True)
class RemoteKey:
    """A configuration key that may be set from afar, the setting's name, and why it may."""

    section: str
    name: str
    why: str

    @property
    def setting(self) -> str:
        """The name at Golioth."""
        name = self.name if self.section == "telemetry" else f"{self.section}_{self.name}"
        return name.upper()


REMOTE_KEYS: Mapping[str, RemoteKey] = {
    key.setting: key
    for section, (why, names) in _ALLOWED.items()
    for key in (RemoteKey(section, name, why) for name in names)
}


@dataclass(frozen=True)
class Merged:
    """The configuration with what could be taken of the operator's values, and what could not."""

    settings: Settings
    in_force: Mapping[str, PlainValue]
    errors: tuple[SettingError, ...]


def merge(file: Settings, values: Mapping[str, PlainValue]) -> Merged:
    """Put the operator's values over the file's, each judged by itself, in the order of names."""
    settings = file
    in_force: dict[str, PlainValue] = {}
    errors: list[SettingError] = []
    for name, value in sorted(values.items()):
        key = REMOTE_KEYS.get(name)
        try:
            if key is None:
                errors.append(_unknown(name))
            else:
                settings = _with(settings, key, value)
                in_force[name] = value
        except ValidationError as fault:
            errors.append(_refused(name, fault))
    return Merged(settings, in_force, tuple(errors))


def _with(settings: Settings, key: RemoteKey, value: PlainValue) -> Settings:
    section: BaseModel = getattr(settings, key.section)
    # Strict: text is no number and true is no 1; but a whole number is a float.
    changed = type(section).model_validate({**dict(section), key.name: value}, strict=True)
    return settings.model_copy(update={key.section: changed})


def _unknown(name: str) -> SettingError:
    if not is_setting_key(name):
        return SettingError(name, SettingCode.KEY_NOT_VALID, "use A-Z, 0-9 and _, at most 63")
    return SettingError(name, SettingCode.KEY_NOT_RECOGNIZED, "not a setting of this agent")


def _refused(name: str, fault: ValidationError) -> SettingError:
    found = fault.errors(include_url=False, include_input=False)[0]
    return SettingError(name, _code(found["type"]), found["msg"])


def _code(fault: str) -> SettingCode:
    if fault in _OUTSIDE_RANGE:
        return SettingCode.VALUE_OUTSIDE_RANGE
    if fault.endswith("_type"):
        return SettingCode.VALUE_FORMAT_NOT_VALID
    return SettingCode.GENERAL_ERROR
