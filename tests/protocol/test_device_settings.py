from __future__ import annotations

from contextlib import suppress

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.device_settings import (
    DeviceSettings,
    SettingCode,
    SettingError,
    SettingsStatus,
    decode_settings,
    decode_settings_status,
    encode_settings,
    encode_settings_status,
    is_setting_key,
)
from protocol.errors import CodecError
from protocol.fields import MAX_INTEGER
from protocol.formats import ContentFormat

FORMATS = [ContentFormat.CBOR, ContentFormat.JSON]
texts = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=255
)
scalars = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
settings = st.builds(
    DeviceSettings,
    version=st.integers(0, MAX_INTEGER),
    values=st.dictionaries(st.from_regex(r"[A-Z0-9_]{1,63}", fullmatch=True), scalars),
)
statuses = st.builds(
    SettingsStatus,
    version=st.none() | st.integers(0, MAX_INTEGER),
    errors=st.lists(
        st.builds(
            SettingError,
            key=texts,
            code=st.sampled_from(SettingCode),
            details=st.none() | texts,
        )
    ).map(tuple),
)


@given(settings, st.sampled_from(FORMATS))
def test_settings_survive_the_wire(value: DeviceSettings, content_format: ContentFormat) -> None:
    assert decode_settings(encode_settings(value, content_format), content_format) == value


@given(statuses, st.sampled_from(FORMATS))
def test_a_verdict_survives_the_wire(value: SettingsStatus, content_format: ContentFormat) -> None:
    encoded = encode_settings_status(value, content_format)
    assert decode_settings_status(encoded, content_format) == value


@given(st.binary())
def test_arbitrary_bytes_raise_nothing_but_a_codec_error(payload: bytes) -> None:
    for content_format in (*FORMATS, ContentFormat.TEXT):
        with suppress(CodecError):
            decode_settings(payload, content_format)
        with suppress(CodecError):
            decode_settings_status(payload, content_format)


def test_a_whole_number_that_is_a_float_stays_one() -> None:
    encoded = encode_settings(DeviceSettings(1, {"RATE": 10.0}))
    assert cbor2.loads(encoded) == {"version": 1, "settings": {"RATE": 10.0}}
    decoded = decode_settings(encoded)
    assert decoded is not None
    assert isinstance(decoded.values["RATE"], float)


def test_no_settings_are_null_and_ok_is_no_settings_document() -> None:
    assert cbor2.loads(encode_settings(DeviceSettings())) == {"version": 0, "settings": None}
    assert decode_settings(encode_settings(DeviceSettings())) == DeviceSettings()
    assert decode_settings(b"\x62OK", ContentFormat.CBOR) is None
    assert decode_settings(b'"OK"', ContentFormat.JSON) is None


def test_a_verdict_is_written_as_the_sdk_writes_it() -> None:
    fine = encode_settings_status(SettingsStatus(7), ContentFormat.JSON)
    assert fine == b'{"version":7}'
    error = SettingError("RATE", SettingCode.VALUE_OUTSIDE_RANGE)
    bad = encode_settings_status(SettingsStatus(7, (error,)), ContentFormat.JSON)
    assert bad == b'{"errors":[{"setting_key":"RATE","error_code":4}],"version":7}'


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b'{"version":-1}', r"settings\.version: must be an integer"),
        (b'{"version":1,"settings":[1]}', r"settings\.settings: must be a map or null"),
        (b"[]", "settings: must be a map"),
        (b'{"settings":{"A":1e999}}', r"settings\.settings\.A"),
    ],
)
def test_bad_settings_are_refused_by_place(payload: bytes, message: str) -> None:
    with pytest.raises(CodecError, match=message):
        decode_settings(payload, ContentFormat.JSON)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b'{"errors":{}}', r"errors: must be an array"),
        (b'{"errors":[7]}', r"errors\[0\]: must be a map"),
        (b'{"errors":[{"setting_key":"A","error_code":9}]}', "a number from 0 to 6, not 9"),
        (b'{"errors":[{"error_code":1}]}', r"errors\[0\]\.setting_key: is missing"),
        (b'{"version":"new"}', r"version: must be an integer"),
    ],
)
def test_a_bad_verdict_is_refused_by_place(payload: bytes, message: str) -> None:
    with pytest.raises(CodecError, match=message):
        decode_settings_status(payload, ContentFormat.JSON)


def test_keys_are_capitals_digits_and_underscores() -> None:
    assert is_setting_key("MIN_CONFIDENCE_2")
    for bad in ("", "lower", "A-B", "A\n", "X" * 64):
        assert not is_setting_key(bad), bad
