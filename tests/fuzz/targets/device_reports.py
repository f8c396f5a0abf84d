"""What devices say to the cloud: each decoder, and back through its encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from protocol.device_settings import (
    SettingCode,
    SettingError,
    SettingsStatus,
    decode_settings_status,
    encode_settings_status,
)
from protocol.errors import CodecError
from protocol.formats import ContentFormat
from protocol.report import OtaReason, OtaReport, OtaState, decode_report, encode_report
from protocol.rpc import RpcCode, RpcResult, decode_result, encode_result
from protocol.values import (
    LogLevel,
    LogLine,
    decode_log,
    decode_value,
    encode_log,
    encode_value,
)
from tests.fuzz.target import Attempt, chosen, refusing, require

FORMATS = (ContentFormat.CBOR, ContentFormat.JSON)
Decode = Callable[[bytes, int], Any]
Encode = Callable[[Any, int], bytes]

CODECS: tuple[tuple[Decode, Encode], ...] = (
    (decode_report, encode_report),
    (decode_value, encode_value),
    (decode_settings_status, encode_settings_status),
    (decode_result, encode_result),
)
_LOG = len(CODECS)


@contextmanager
def opened() -> Iterator[Attempt]:
    """Ready to try cases: a byte for decoder and format, then the document."""
    yield _attempt


def seeds() -> Iterator[bytes]:
    """One of each kind, in each format."""
    error = SettingError("LOG_LEVEL", SettingCode.VALUE_OUTSIDE_RANGE, "not a level")
    documents = (
        OtaReport("ai-model", OtaState.DOWNLOADING, OtaReason.AWAIT_RETRY, "1", "2"),
        {"state": "idle", "active": {"id": "r1", "versions": {"ai-model": "1"}}, "n": [1, 2.5]},
        SettingsStatus(1_700_000_000_000, (error,)),
        RpcResult("call/1", RpcCode.OK, {"level": "info"}),
    )
    for kind, (document, (_, encode)) in enumerate(zip(documents, CODECS, strict=True)):
        for number, content_format in enumerate(FORMATS):
            yield bytes([kind * 2 + number]) + encode(document, content_format)
    lists = [b"\xd8\x1c\x82" + 2 * (b"\xd8\x1d\x18" + bytes([n])) for n in range(30)]
    yield b"\x02\x98\x1f\xd8\x1c\x80" + b"".join(lists)
    line = encode_log(LogLine(LogLevel.WARN, "agent.download", "the link is slow"))
    yield bytes([_LOG * 2]) + line
    yield bytes([_LOG * 2 + 1]) + b'{"level":"info","module":"m","msg":"hello","uptime":7}'


def _attempt(data: bytes) -> None:
    number, payload = chosen(data, 2 * (_LOG + 1))
    kind, content_format = number // 2, FORMATS[number % 2]
    with refusing(CodecError):
        if kind == _LOG:
            line, _ = decode_log(payload, content_format)
            require(len(encode_log(line)) <= 1024, "a long log line")
            return
        decode, encode = CODECS[kind]
        document = decode(payload, content_format)
        for form in FORMATS:
            require(decode(encode(document, form), form) == document, "another one once encoded")
