from __future__ import annotations

from contextlib import suppress

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import CodecError
from protocol.formats import ContentFormat
from protocol.report import OtaReason, OtaReport, OtaState, decode_report, encode_report

texts = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=255
)
reports = st.builds(
    OtaReport,
    package=texts,
    state=st.sampled_from(OtaState),
    reason=st.sampled_from(OtaReason),
    version=st.none() | texts,
    target=st.none() | texts,
)


@given(reports, st.sampled_from([ContentFormat.CBOR, ContentFormat.JSON]))
def test_a_report_survives_the_wire(report: OtaReport, content_format: ContentFormat) -> None:
    assert decode_report(encode_report(report, content_format), content_format) == report


@given(st.binary() | st.binary(max_size=30).map(lambda b: b"\xbf\x61s" + b))
def test_arbitrary_bytes_raise_nothing_but_a_codec_error(payload: bytes) -> None:
    for content_format in (ContentFormat.JSON, ContentFormat.CBOR, ContentFormat.TEXT):
        with suppress(CodecError):
            decode_report(payload, content_format)


@given(
    st.dictionaries(
        st.sampled_from(["s", "r", "pkg", "v", "t", "state", "version"]),
        st.integers() | st.floats() | st.text() | st.booleans() | st.none() | st.binary(),
    )
)
def test_arbitrary_fields_raise_nothing_but_a_codec_error(plain: dict[str, object]) -> None:
    with suppress(CodecError):
        decode_report(cbor2.dumps(plain))


def test_keys_are_short_and_in_the_order_of_the_sdk() -> None:
    report = OtaReport("main", OtaState.DOWNLOADING, OtaReason.READY, "1.2.3", "1.2.4")
    payload = encode_report(report)
    assert payload == bytes.fromhex(
        "a5 6173 01 6172 00 63706b67 646d61696e 6176 65312e322e33 6174 65312e322e34"
    )
    assert len(payload) < 64


def test_the_sdks_indefinite_map_is_understood() -> None:
    payload = bytes.fromhex(
        "bf 6173 01 6172 00 63706b67 646d61696e 6176 65312e322e33 6174 65312e322e34 ff"
    )
    assert decode_report(payload) == OtaReport(
        "main", OtaState.DOWNLOADING, OtaReason.READY, "1.2.3", "1.2.4"
    )


def test_missing_fields_take_the_documented_defaults() -> None:
    assert decode_report(b"\xa0") == OtaReport("main", OtaState.IDLE, OtaReason.READY)


def test_long_names_are_understood() -> None:
    payload = b'{"state":3,"reason":5,"package":"labels","version":"1","target":"2","extra":[]}'
    assert decode_report(payload, ContentFormat.JSON) == OtaReport(
        "labels", OtaState.UPDATING, OtaReason.INTEGRITY_CHECK_FAILURE, "1", "2"
    )


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({"s": 4}, r"OTA report.state \(key s\): must be a number from 0 to 3, not 4"),
        ({"r": 12}, r"OTA report.reason \(key r\): must be a number from 0 to 11, not 12"),
        ({"s": "1"}, r"OTA report.state \(key s\): must be an integer"),
        ({"pkg": 1}, r"OTA report.package \(key pkg\): must be text"),
        ({"v": ""}, r"OTA report.version \(key v\): must have 1 to 255 characters"),
        ([], r"OTA report: must be a map"),
    ],
)
def test_what_is_wrong_is_named(plain: object, message: str) -> None:
    with pytest.raises(CodecError, match=message):
        decode_report(cbor2.dumps(plain))
