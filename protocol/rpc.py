"""Remote procedure calls: what the operator asks of a device, and its answer.

Golioth: a device observes ``.rpc`` and gets ``{"id", "method", "params"}``; it answers to
``.rpc/status`` with ``{"id", "detail", "statusCode"}``. CBOR or JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from protocol.errors import CodecError
from protocol.fields import MAX_TEXT, Fields
from protocol.formats import (
    ContentFormat,
    PlainValue,
    dump_document,
    is_acknowledgement,
    load_document,
    plain_value,
)


class RpcCode(IntEnum):
    """Golioth: how a call ended; the codes of gRPC."""

    OK = 0
    CANCELED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


@dataclass(frozen=True)
class RpcCall:
    """One call; ``id`` ties the answer to it, ``params`` is positional."""

    id: str
    method: str
    params: tuple[PlainValue, ...] = ()


@dataclass(frozen=True)
class RpcResult:
    """The device's answer; ``detail`` is any JSON value, None when there is nothing to say."""

    id: str
    code: RpcCode = RpcCode.OK
    detail: PlainValue = None


def encode_call(call: RpcCall, content_format: int = ContentFormat.CBOR) -> bytes:
    """Encode a call. Raises CodecError for parameters that are no JSON values."""
    params = plain_value(list(call.params), "RPC call.params")
    document = {"id": call.id, "method": call.method, "params": params}
    return dump_document(document, content_format, "RPC call")


def decode_call(payload: bytes, content_format: int = ContentFormat.CBOR) -> RpcCall | None:
    """Decode a call; None for the bare OK that Golioth sends to a new observer.

    Raises CodecError naming the field: id, method and an array of params are all required. An
    object in place of the array (Golioth's Python client sends keyword arguments so) is its one
    member, none when empty.
    """
    if is_acknowledgement(payload):
        return None
    fields = Fields(load_document(payload, content_format, "RPC call"), "RPC call")
    params = plain_value(fields.find("params"), fields.place("params"))
    if isinstance(params, dict):
        params = [params] if params else []
    if not isinstance(params, list):
        raise CodecError(f"{fields.place('params')}: must be an array")
    return RpcCall(
        fields.text("id", limit=MAX_TEXT), fields.text("method", limit=MAX_TEXT), tuple(params)
    )


def encode_result(result: RpcResult, content_format: int = ContentFormat.CBOR) -> bytes:
    """Encode an answer with its keys in the order of Golioth's SDK; no detail is left out.

    Raises CodecError for a detail that is no JSON value.
    """
    document: dict[str, object] = {"id": result.id}
    if result.detail is not None:
        document["detail"] = plain_value(result.detail, "RPC result.detail")
    document["statusCode"] = int(result.code)
    return dump_document(document, content_format, "RPC result")


def decode_result(payload: bytes, content_format: int = ContentFormat.CBOR) -> RpcResult:
    """Decode an answer (Golioth's documentation writes ``status`` for ``statusCode``: both count).

    Raises CodecError naming the field.
    """
    fields = Fields(load_document(payload, content_format, "RPC result"), "RPC result")
    return RpcResult(
        id=fields.text("id", limit=MAX_TEXT),
        code=fields.member(RpcCode, "statusCode", "status"),
        detail=plain_value(fields.find("detail"), fields.place("detail")),
    )
