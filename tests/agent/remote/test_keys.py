"""Which settings a device takes, and what it says of the others: a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.config import Settings
from agent.remote.keys import REMOTE_KEYS, merge
from protocol.device_settings import SettingCode, is_setting_key
from protocol.formats import PlainValue

FILE = Settings()
FORMAT, RANGE = SettingCode.VALUE_FORMAT_NOT_VALID, SettingCode.VALUE_OUTSIDE_RANGE
UNKNOWN, INVALID = SettingCode.KEY_NOT_RECOGNIZED, SettingCode.KEY_NOT_VALID


def in_force(settings: Settings, name: str) -> Any:
    key = REMOTE_KEYS[name]
    return getattr(getattr(settings, key.section), key.name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UPDATE_WINDOW_FRAMES", 50),
        ("UPDATE_GOLDEN_MINIMUM_ACCURACY", 0.75),
        ("UPDATE_GOLDEN_MINIMUM_ACCURACY", 1),  # a float may be a whole number
        ("UPDATE_LATENCY_BUDGET_MS", 80.0),
        ("SAMPLES_ON", True),
        ("SAMPLES_NEAR", 0.5),
        ("METRICS_SECONDS", 5),
        ("LOG_LEVEL", "debug"),
        ("LOG_CLOUD_LEVEL", "off"),
        ("DOWNLOAD_BYTES_PER_SECOND", 0),
    ],
)
def test_a_good_value_is_in_force(name: str, value: PlainValue) -> None:
    merged = merge(FILE, {name: value})
    assert merged.errors == ()
    assert merged.in_force == {name: value}
    assert in_force(merged.settings, name) == value
    assert merged.settings.model_copy(update={REMOTE_KEYS[name].section: None}) == FILE.model_copy(
        update={REMOTE_KEYS[name].section: None}
    )


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("UPDATE_WINDOW_FRAMES", 0, RANGE),
        ("UPDATE_WINDOW_FRAMES", -5, RANGE),
        ("UPDATE_WINDOW_FRAMES", 10.0, FORMAT),
        ("UPDATE_WINDOW_FRAMES", "10", FORMAT),
        ("UPDATE_WINDOW_FRAMES", True, FORMAT),
        ("UPDATE_WINDOW_FRAMES", None, FORMAT),
        ("UPDATE_WINDOW_FRAMES", [10], FORMAT),
        ("UPDATE_GOLDEN_MINIMUM_ACCURACY", 1.01, RANGE),
        ("UPDATE_GOLDEN_MINIMUM_ACCURACY", "0.5", FORMAT),
        ("UPDATE_GOLDEN_MINIMUM_ACCURACY", True, FORMAT),
        ("UPDATE_WINDOW_LATENCY_RATIO", 1, RANGE),
        ("SAMPLES_ON", 1, FORMAT),
        ("SAMPLES_ON", "true", FORMAT),
        ("SAMPLES_BELOW", -0.1, RANGE),
        ("METRICS_SECONDS", 0.5, RANGE),
        ("TELEMETRY_QUEUE_BYTES", 1 << 20, UNKNOWN),
        ("LOG_LEVEL", "loud", RANGE),
        ("LOG_LEVEL", 10, RANGE),
        ("DOWNLOAD_BYTES_PER_SECOND", -1, RANGE),
        ("DOWNLOAD_BYTES_PER_SECOND", {"a": 1}, FORMAT),
        ("GOLIOTH_URI", "coaps://elsewhere", UNKNOWN),
        ("DEVICE_STATE_DIR", "/", UNKNOWN),
        ("REMOTE_ALLOW", True, UNKNOWN),
        ("update.window_frames", 5, INVALID),
        ("A" * 64, 5, INVALID),
    ],
)
def test_a_bad_value_has_its_code_and_changes_nothing(
    name: str, value: PlainValue, code: SettingCode
) -> None:
    merged = merge(FILE, {name: value})
    assert [(error.key, error.code) for error in merged.errors] == [(name, code)]
    assert merged.errors[0].details
    assert (merged.settings, merged.in_force) == (FILE, {})


def test_good_values_are_taken_beside_bad_ones() -> None:
    sent: dict[str, PlainValue] = {
        "UPDATE_WINDOW_FRAMES": 50,
        "UPDATE_WINDOW_ERRORS": "none",
        "SAMPLES_ON": True,
        "COLOUR": "red",
    }
    merged = merge(FILE, sent)
    assert set(merged.in_force) == {"UPDATE_WINDOW_FRAMES", "SAMPLES_ON"}
    assert {error.key for error in merged.errors} == {"UPDATE_WINDOW_ERRORS", "COLOUR"}
    assert merged.settings.policy().window.frames == 50


def test_every_setting_has_a_key_golioth_takes_and_stands_in_the_documentation() -> None:
    page = (Path(__file__).parents[3] / "docs" / "settings.md").read_text()
    for name, key in REMOTE_KEYS.items():
        assert is_setting_key(name)
        assert key.why
        in_force(FILE, name)
        assert f"`{name}`" in page, name
