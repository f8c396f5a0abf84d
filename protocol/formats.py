"""Content formats, and documents (CBOR or JSON) to and from bytes.

Sizes and nesting are bounded because the bytes come from the network. CBOR is taken with
definite and indefinite lengths (Golioth: its device SDK writes ``BF … FF``); what is written here
always has definite lengths. Tags mean nothing here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from enum import IntEnum
from io import BytesIO
from typing import NoReturn, TypeAlias

import cbor2

from protocol.errors import CodecError

MAX_DOCUMENT_BYTES = 256 * 1024
MAX_DEPTH = 32

# JSON's data model, which is what LightDB State stores.
PlainValue: TypeAlias = "bool | int | float | str | list[PlainValue] | dict[str, PlainValue] | None"


class ContentFormat(IntEnum):
    """CoAP Content-Format numbers (RFC 7252 section 12.3, RFC 8949 section 9.3)."""

    TEXT = 0
    OCTETS = 42
    JSON = 50
    CBOR = 60


def is_acknowledgement(payload: bytes) -> bool:
    """Whether the payload is the bare text ``OK``, in CBOR or JSON.

    Golioth: sent as the first answer to some observations in place of a document; to be ignored.
    """
    return payload in (b"\x62OK", b'"OK"')


def load_document(payload: bytes, content_format: int, what: str) -> object:
    """Decode one document of that format; ``what`` names it in errors.

    Raises CodecError, and nothing else, for anything that is no such document.
    """
    if len(payload) > MAX_DOCUMENT_BYTES:
        raise CodecError(
            f"{what}: {len(payload)} bytes are more than the {MAX_DOCUMENT_BYTES} accepted"
        )
    try:
        if content_format == ContentFormat.CBOR:
            return _load_cbor(payload)
        if content_format == ContentFormat.JSON:
            return json.loads(payload, parse_constant=_refuse_constant)
    except Exception as error:
        # Decoders fail in many ways (recursion, overflow, bad UTF-8, unhashable keys);
        # to the caller they are all the same: these bytes are no document.
        name = "CBOR" if content_format == ContentFormat.CBOR else "JSON"
        raise CodecError(f"{what}: {len(payload)} bytes are not valid {name}: {error}") from error
    raise CodecError(
        f"{what}: content format {content_format} is not supported; ask for CBOR (60) or JSON (50)"
    )


def dump_document(document: object, content_format: int, what: str) -> bytes:
    """Encode plain values; map keys keep their order, CBOR lengths are definite.

    Raises CodecError when the value or the format can't be encoded.
    """
    try:
        if content_format == ContentFormat.CBOR:
            return cbor2.dumps(document)
        if content_format == ContentFormat.JSON:
            text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            return text.encode()
    except (cbor2.CBOREncodeError, ValueError, TypeError, RecursionError) as error:
        raise CodecError(f"{what}: can't be encoded: {error}") from error
    raise CodecError(
        f"{what}: content format {content_format} is not supported; use CBOR (60) or JSON (50)"
    )


def plain_value(document: object, what: str) -> PlainValue:
    """The document, once proved to hold nothing but JSON's types.

    Tagged CBOR, byte strings, NaN, non-text keys and cycles raise CodecError with the key path.
    """
    return _plain(document, what, MAX_DEPTH)


def shown(value: object) -> str:
    """The value as an error message may show it: small, and without failing on hostile ones."""
    if isinstance(value, str | float | bool):
        return f"{value!r:.80}"
    if isinstance(value, int) and abs(value) < 2**64:
        return str(value)
    # The text of a huge integer or of a deeply nested list is refused by Python itself.
    return f"a value of type {type(value).__name__}"


def _load_cbor(payload: bytes) -> object:
    stream = BytesIO(payload)
    document: object = cbor2.CBORDecoder(stream, semantic_decoders=_NO_TAGS).decode()
    if stream.tell() != len(payload):
        raise ValueError("there are bytes after the end of the document")
    return document


class _Tagged:
    """In place of whatever has a tag: no value of any kind that documents here have."""


class _NoTags(Mapping[int, cbor2.SemanticDecoderCallback]):
    """Makes nothing of any tag.

    With shared references (tags 25 to 29) a datagram would be gigabytes once it is looked through
    or written again.
    """

    def __getitem__(self, tag: int) -> cbor2.SemanticDecoderCallback:
        return _tagged

    def __iter__(self) -> Iterator[int]:
        return iter(())

    def __len__(self) -> int:
        return 0


_NO_TAGS = _NoTags()


def _tagged(*_: object) -> _Tagged:
    return _Tagged()


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def _plain(value: object, where: str, depth: int) -> PlainValue:
    if depth == 0:
        raise CodecError(f"{where}: nested more than {MAX_DEPTH} levels deep; flatten it")
    if isinstance(value, Mapping):
        return {
            _plain_text(key, f"key of {where}"): _plain(item, f"{where}.{key!s:.40}", depth - 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}[{i}]", depth - 1) for i, item in enumerate(value)]
    if isinstance(value, str):
        return _plain_text(value, where)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**64:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise CodecError(
        f"{where}: {shown(value)} is no JSON value; send text or a finite number of at most 64 bits"
    )


def _plain_text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise CodecError(f"{where}: must be text, not {type(value).__name__}")
    if not is_encodable(value):
        raise CodecError(f"{where}: holds half a surrogate pair; send valid Unicode")
    return value


def is_encodable(text: str) -> bool:
    """Whether the text can be written as UTF-8; JSON escapes can smuggle in lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
