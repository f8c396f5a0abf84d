"""LightDB State values and log lines."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from protocol.errors import CodecError
from protocol.fields import Fields
from protocol.formats import (
    ContentFormat,
    PlainValue,
    dump_document,
    load_document,
    plain_value,
)

# Golioth: one log line fits one datagram.
MAX_LOG_BYTES = 1024
MAX_MODULE = 64
_CUT = "…"
_LOG_FIELDS = frozenset({"level", "module", "msg"})


class LogLevel(StrEnum):
    """Golioth: the four levels of a log line."""

    ERROR = "error"
    WARN = "warn"
    INFO = "info"
    DEBUG = "debug"


@dataclass(frozen=True)
class LogLine:
    """One line for the cloud's log; ``module`` says which part of the device wrote it."""

    level: LogLevel
    module: str
    message: str


def encode_value(value: object, content_format: int = ContentFormat.JSON) -> bytes:
    """Encode a JSON value (None, bool, int, finite float, text, list, map with text keys).

    Raises CodecError with the key path for anything else.
    """
    return dump_document(plain_value(value, "value"), content_format, "value")


def decode_value(payload: bytes, content_format: int = ContentFormat.JSON) -> PlainValue:
    """Decode a JSON value from JSON or CBOR; an empty payload is null (Golioth: both are used).

    Raises CodecError.
    """
    if not payload:
        return None
    return plain_value(load_document(payload, content_format, "value"), "value")


def encode_log(line: LogLine) -> bytes:
    """Encode a log line as a CBOR map of at most 1024 bytes.

    A message that would not fit is cut between two characters and ends in an ellipsis.
    """
    document = {"level": str(line.level), "module": _fit(line.module, MAX_MODULE), "msg": ""}
    # The empty message already counts one length byte; a long one needs two more.
    room = MAX_LOG_BYTES - len(dump_document(document, ContentFormat.CBOR, "log line")) - 2
    document["msg"] = _fit(line.message, room)
    return dump_document(document, ContentFormat.CBOR, "log line")


def decode_log(
    payload: bytes, content_format: int = ContentFormat.CBOR
) -> tuple[LogLine, dict[str, PlainValue]]:
    """Decode a log line (CBOR or JSON); and what else it says (Golioth: its metadata).

    Raises CodecError for an unknown level or a missing or ill-typed message.
    """
    document = plain_value(load_document(payload, content_format, "log line"), "log line")
    fields = Fields(document, "log line")
    level = _level(fields)
    message, module = fields.find("msg"), fields.find("module")
    if not isinstance(message, str):
        raise CodecError(f"{fields.place('msg')}: must be text")
    line = LogLine(level, module if isinstance(module, str) else "", message)
    metadata = dict(document) if isinstance(document, dict) else {}
    return line, {key: value for key, value in metadata.items() if key not in _LOG_FIELDS}


def _level(fields: Fields) -> LogLevel:
    level = fields.text("level", limit=16)
    try:
        return LogLevel(level)
    except ValueError as error:
        raise CodecError(
            f"{fields.place('level')}: must be one of {', '.join(LogLevel)}, not {level!r}"
        ) from error


def _fit(text: str, limit: int) -> str:
    # Unpaired surrogates (from undecodable file names) must not cost the whole line.
    encoded = text.encode(errors="replace")
    if len(encoded) <= limit:
        return encoded.decode()
    return encoded[: limit - len(_CUT.encode())].decode(errors="ignore") + _CUT
