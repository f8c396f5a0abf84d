from __future__ import annotations

from contextlib import suppress

import cbor2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol.errors import CodecError
from protocol.formats import ContentFormat
from protocol.values import (
    MAX_LOG_BYTES,
    LogLevel,
    LogLine,
    decode_log,
    decode_value,
    encode_log,
    encode_value,
)

JSON, CBOR = ContentFormat.JSON, ContentFormat.CBOR
texts = st.text(st.characters(codec="utf-8"))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=20,
)


@given(values, st.sampled_from([JSON, CBOR]))
def test_a_value_survives_the_wire(value: object, content_format: ContentFormat) -> None:
    assert decode_value(encode_value(value, content_format), content_format) == value


@given(st.binary())
@example(b"\xd8\x1c\x81\xd8\x1d\x00")  # a list that holds itself
@example(b"\xf9\x7e\x00")  # NaN
@example(b"\xf7")  # undefined
@example(b"\xa1\x01\x02")  # a key that is no text
@example(b'"\\ud800"')
@example(b"NaN")
@example(b"[" * 40 + b"]" * 40)
def test_arbitrary_bytes_raise_nothing_but_a_codec_error(payload: bytes) -> None:
    for content_format in (JSON, CBOR, ContentFormat.OCTETS):
        value: object = None
        with suppress(CodecError):
            value = decode_value(payload, content_format)
        encode_value(value, JSON)


def test_shared_references_do_not_make_gigabytes_of_a_datagram() -> None:
    # [[], [0, 0], [1, 1], ...], each number a reference to the list before.
    lists = [b"\xd8\x1c\x80"]
    lists += [b"\xd8\x1c\x82" + 2 * (b"\xd8\x1d\x18" + bytes([n])) for n in range(30)]
    payload = b"\x98" + bytes([len(lists)]) + b"".join(lists)
    assert len(payload) < 400
    with pytest.raises(CodecError, match="is no JSON value"):
        decode_value(payload, CBOR)


@pytest.mark.parametrize(
    ("payload", "content_format"), [(b"", JSON), (b"", CBOR), (b"null", JSON), (b"\xf6", CBOR)]
)
def test_null_has_more_than_one_form(payload: bytes, content_format: ContentFormat) -> None:
    assert decode_value(payload, content_format) is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [1, float("nan")]}, r"value\.a\[1\]: nan is no JSON value"),
        ({"a": {1: 2}}, r"key of value\.a: must be text"),
        (b"raw", "value: a value of type bytes is no JSON value"),
        (2**64, "at most 64 bits"),
        ([10**5000], r"value\[0\]: a value of type int is no JSON value"),
    ],
)
def test_a_value_the_cloud_could_not_store_is_named(value: object, message: str) -> None:
    with pytest.raises(CodecError, match=message):
        encode_value(value)


@given(st.sampled_from(LogLevel), st.text(max_size=300), st.text(max_size=2000))
@example(LogLevel.INFO, "agent", "🍊" * 1000)
@example(LogLevel.INFO, "\udc80", "\udc80 from a file name")
def test_a_log_line_fits_one_datagram_and_stays_readable(
    level: LogLevel, module: str, message: str
) -> None:
    payload = encode_log(LogLine(level, module, message))
    assert len(payload) <= MAX_LOG_BYTES
    line, _ = decode_log(payload)
    assert line.level == level
    expected = message.encode(errors="replace").decode()
    assert line.message == expected or (
        line.message.endswith("…") and expected.startswith(line.message[:-1])
    )


def test_a_short_line_is_sent_as_it_is() -> None:
    line = LogLine(LogLevel.WARN, "downloader", "link lost")
    assert cbor2.loads(encode_log(line)) == {
        "level": "warn",
        "module": "downloader",
        "msg": "link lost",
    }
    assert decode_log(encode_log(line)) == (line, {})


def test_a_line_that_just_fits_is_not_cut() -> None:
    room = MAX_LOG_BYTES - len(encode_log(LogLine(LogLevel.INFO, "m", ""))) - 2
    assert len(encode_log(LogLine(LogLevel.INFO, "m", "x" * room))) == MAX_LOG_BYTES
    assert decode_log(encode_log(LogLine(LogLevel.INFO, "m", "x" * room)))[0].message == "x" * room
    assert (
        decode_log(encode_log(LogLine(LogLevel.INFO, "m", "x" * (room + 1))))[0].message[-1] == "…"
    )


def test_the_sdks_indefinite_map_and_json_are_understood() -> None:
    indefinite = b"\xbf\x65level\x64info\x66module\x61m\x63msg\x62hi\xff"
    assert decode_log(indefinite) == (LogLine(LogLevel.INFO, "m", "hi"), {})
    line = LogLine(LogLevel.ERROR, "", "")
    assert decode_log(b'{"level":"error","msg":"","n":1}', JSON) == (line, {"n": 1})


@given(st.binary())
def test_arbitrary_log_bytes_raise_nothing_but_a_codec_error(payload: bytes) -> None:
    for content_format in (JSON, CBOR):
        with suppress(CodecError):
            decode_log(payload, content_format)


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({"level": "fatal", "msg": "x"}, "level: must be one of error, warn, info, debug"),
        ({"msg": "x"}, "level: is missing"),
        ({"level": "info"}, "msg: must be text"),
    ],
)
def test_what_is_wrong_with_a_log_line_is_named(plain: object, message: str) -> None:
    with pytest.raises(CodecError, match=message):
        decode_log(cbor2.dumps(plain))
