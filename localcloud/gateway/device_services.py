"""Settings and remote procedure calls, as devices see them."""

from __future__ import annotations

from aiocoap import Code, Message

from localcloud.changes import Topic
from localcloud.gateway.answers import BytesBody, accepted_format, content, content_format_of
from localcloud.gateway.exchange import WRITE, Exchange
from protocol.device_settings import DeviceSettings, decode_settings_status, encode_settings
from protocol.formats import ContentFormat
from protocol.rpc import RpcCall, decode_result, encode_call
from protocol.values import encode_value


async def settings(exchange: Exchange) -> None:
    """``.c``: the device's settings; an observer first gets the text OK (Golioth)."""
    exchange.allow(Code.GET)
    store, device_id = exchange.store, exchange.session.device_id
    if not exchange.observes:
        return exchange.answer(_render_settings(exchange, store.settings.for_device(device_id)))
    exchange.notify(_ok(exchange))
    with exchange.changes.watch(Topic.SETTINGS, device_id) as changed:
        sent = DeviceSettings()
        while True:
            current = store.settings.for_device(device_id)
            if current != sent:
                exchange.notify(_render_settings(exchange, current))
                sent = current
            await changed.wait()
            changed.clear()


def _render_settings(exchange: Exchange, current: DeviceSettings) -> Message:
    content_format = accepted_format(exchange.request)
    body = BytesBody(encode_settings(current, content_format))
    return content(exchange.request, body, content_format)


async def settings_status(exchange: Exchange) -> None:
    """``.c/status``: what the device says about its settings."""
    exchange.allow(*WRITE)
    request = exchange.request
    status = decode_settings_status(request.payload, content_format_of(request, ContentFormat.CBOR))
    exchange.store.settings.record_status(exchange.session.device_id, status)
    exchange.answer(Message(code=Code.CHANGED))


async def calls(exchange: Exchange) -> None:
    """``.rpc``: calls as they come; an observer first gets the text OK (Golioth)."""
    exchange.allow(Code.GET)
    if not exchange.observes:
        return exchange.answer(_ok(exchange))
    content_format = accepted_format(exchange.request)

    def send(call: RpcCall) -> None:
        body = BytesBody(encode_call(call, content_format))
        exchange.notify(content(exchange.request, body, content_format))

    exchange.notify(_ok(exchange))
    return await exchange.calls.deliver(exchange.session.device_id, send)


async def call_status(exchange: Exchange) -> None:
    """``.rpc/status``: the answer to a call."""
    exchange.allow(*WRITE)
    request = exchange.request
    result = decode_result(request.payload, content_format_of(request, ContentFormat.CBOR))
    exchange.calls.answer(exchange.session.device_id, result)
    exchange.answer(Message(code=Code.CHANGED))


def _ok(exchange: Exchange) -> Message:
    content_format = accepted_format(exchange.request)
    body = BytesBody(encode_value("OK", content_format))
    return content(exchange.request, body, content_format)
