"""Settings and remote procedure calls, as devices see them."""

from __future__ import annotations

from aiocoap import Code, Message

from localcloud.changes import Topic
from localcloud.gateway.exchange import WRITE, Exchange
from protocol.device_settings import DeviceSettings, decode_settings_status, encode_settings
from protocol.formats import ContentFormat
from protocol.rpc import RpcCall, decode_result, encode_call
from protocol.values import encode_value


async def settings(exchange: Exchange) -> None:
    """``.c``: the device's settings; an observer first gets the text OK (Golioth)."""
    exchange.allow(Code.GET)

    def encode(content_format: ContentFormat) -> bytes:
        current = exchange.store.settings.for_device(exchange.session.device_id)
        return encode_settings(current, content_format)

    if not exchange.observes:
        return exchange.answer(exchange.document(encode))
    exchange.notify(_ok(exchange))
    return await exchange.observe(Topic.SETTINGS, encode, known=_no_settings)


def _no_settings(content_format: ContentFormat) -> bytes:
    return encode_settings(DeviceSettings(), content_format)


async def settings_status(exchange: Exchange) -> None:
    """``.c/status``: what the device says about its settings."""
    exchange.allow(*WRITE)
    status = exchange.decoded(decode_settings_status, ContentFormat.CBOR)
    exchange.store.settings.record_status(exchange.session.device_id, status)
    exchange.answer(Message(code=Code.CHANGED))


async def calls(exchange: Exchange) -> None:
    """``.rpc``: calls as they come; an observer first gets the text OK (Golioth).

    An observer whose place another one of the same device takes is told that no call follows: a
    device that registers anew now and then would leave one behind each time.
    """
    exchange.allow(Code.GET)
    if exchange.observes:

        def send(call: RpcCall) -> None:
            exchange.notify(exchange.document(lambda form: encode_call(call, form)))

        exchange.notify(_ok(exchange))
        await exchange.calls.deliver(exchange.session.device_id, send)
    exchange.answer(_ok(exchange))


async def call_status(exchange: Exchange) -> None:
    """``.rpc/status``: the answer to a call."""
    exchange.allow(*WRITE)
    result = exchange.decoded(decode_result, ContentFormat.CBOR)
    exchange.calls.answer(exchange.session.device_id, result)
    exchange.answer(Message(code=Code.CHANGED))


def _ok(exchange: Exchange) -> Message:
    return exchange.document(lambda form: encode_value("OK", form))
