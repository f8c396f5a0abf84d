"""Golioth's device services: OTA, LightDB State, stream, logs and signs of life."""

from __future__ import annotations

from aiocoap import Code, Message

from localcloud.changes import Topic
from localcloud.gateway.answers import (
    Body,
    BytesBody,
    Refusal,
    accepted_format,
    content,
    content_format_of,
)
from localcloud.gateway.exchange import WRITE, Exchange
from localcloud.identifiers import check_package, timestamp
from localcloud.storage.events import reason_text
from protocol.formats import ContentFormat, PlainValue, load_document, plain_value
from protocol.report import OtaReport, decode_report
from protocol.values import decode_log, decode_value, encode_value

COMPONENTS = (".u", "c")
"""The path above packages and their versions."""

_LOG_FIELDS = frozenset({"level", "module", "msg"})


async def desired(exchange: Exchange) -> None:
    """``.u/desired``: the manifest, the same bytes however it is asked for."""
    exchange.allow(Code.GET)
    content_format = accepted_format(exchange.request)

    def render() -> Message:
        manifest = exchange.store.deployments.manifest_for(exchange.session.device_id)
        body = BytesBody(manifest.payload(content_format))
        return content(exchange.request, body, content_format)

    if exchange.observes:
        await exchange.observe(Topic.MANIFEST, render)
    else:
        exchange.answer(render())


async def component(exchange: Exchange) -> None:
    """``.u/c/<package>@<version>``: bytes of an artifact; ``.u/c/<package>``: a state report."""
    package, at, version = exchange.path[-1].partition("@")
    if not at:
        exchange.allow(*WRITE)
        return report(exchange, package)
    exchange.allow(Code.GET)
    exchange.answer(content(exchange.request, _artifact(exchange, package, version)))
    return None


def _artifact(exchange: Exchange, package: str, version: str) -> Body:
    # No Content-Format: Golioth sends none with component blocks.
    found = exchange.store.artifacts.content(exchange.session.project_id, package, version)
    if found is None:
        raise Refusal(Code.NOT_FOUND, f"no artifact {package}@{version} in this project")
    return found


def report(exchange: Exchange, package: str) -> None:
    """Take in a state report about a package."""
    request = exchange.request
    sent = decode_report(request.payload, content_format_of(request, ContentFormat.CBOR))
    # The path says which package; the field in the body is only its echo.
    ota_report = OtaReport(
        check_package(package), sent.state, sent.reason, sent.version, sent.target
    )
    with exchange.store.atomic():
        _record(exchange, ota_report)
    exchange.answer(Message(code=Code.CHANGED))


def _record(exchange: Exchange, ota_report: OtaReport) -> None:
    store, session, package = exchange.store, exchange.session, ota_report.package
    status = _status(ota_report)
    store.devices.set_update_status(session.device_id, package, status)
    cohort = store.deployments.active_cohort_with(session.device_id, package)
    if cohort is not None:
        store.events.add(session.project_id, session.device_id, cohort, ota_report)
    else:
        store.logs.add(
            session.project_id,
            session.device_id,
            level="WARN",
            module="ota",
            message=f"Package {package} is not included in the active deployment",
            metadata=status,
            kind="DIAGNOSTICS",
        )


def _status(ota_report: OtaReport) -> dict[str, str]:
    return {
        "package": ota_report.package,
        "version": ota_report.version or "",
        "target": ota_report.target or "",
        "state": ota_report.state.name,
        "stateCode": str(int(ota_report.state)),
        "reason": reason_text(ota_report),
        "reasonCode": str(int(ota_report.reason)),
        "time": timestamp(),
    }


async def state(exchange: Exchange) -> None:
    """``.d/<path>``: the device's own LightDB State."""
    exchange.allow(Code.GET, Code.DELETE, *WRITE)
    device_id, path = exchange.session.device_id, exchange.path[1:]
    if exchange.observes:
        await _observe_state(exchange, path)
    elif exchange.code == Code.GET:
        value = exchange.store.state.read(device_id, path)
        exchange.answer(_render_value(exchange, value))
    elif exchange.code == Code.DELETE:
        exchange.store.state.delete(device_id, path)
        exchange.answer(Message(code=Code.DELETED))
    else:
        request = exchange.request
        value = decode_value(request.payload, content_format_of(request, ContentFormat.JSON))
        exchange.store.state.write(device_id, path, value)
        exchange.answer(Message(code=Code.CHANGED))


async def _observe_state(exchange: Exchange, path: tuple[str, ...]) -> None:
    device_id, topic = exchange.session.device_id, Topic.STATE
    with exchange.changes.watch(topic, device_id) as changed:
        sent: bytes | None = None
        while True:
            value = exchange.store.state.read(device_id, path)
            encoded = encode_value(value, ContentFormat.JSON)
            if encoded != sent:
                sent = encoded
                exchange.notify(_render_value(exchange, value))
            await changed.wait()
            changed.clear()


def _render_value(exchange: Exchange, value: PlainValue) -> Message:
    content_format = accepted_format(exchange.request)
    body = BytesBody(encode_value(value, content_format))
    return content(exchange.request, body, content_format)


async def logs(exchange: Exchange) -> None:
    """``.s/logs``, and ``logs`` of older SDKs: one log line; further fields are its metadata."""
    exchange.allow(*WRITE)
    content_format = content_format_of(exchange.request, ContentFormat.CBOR)
    payload = exchange.request.payload
    line = decode_log(payload, content_format)
    document = plain_value(load_document(payload, content_format, "log line"), "log line")
    assert isinstance(document, dict), "decode_log takes nothing else"
    exchange.store.logs.add(
        exchange.session.project_id,
        exchange.session.device_id,
        level=line.level.name,
        module=line.module,
        message=line.message,
        metadata={key: value for key, value in document.items() if key not in _LOG_FIELDS},
    )
    exchange.answer(Message(code=Code.CHANGED))


async def stream(exchange: Exchange) -> None:
    """``.s/<path>``: JSON and CBOR are kept; the rest is accepted, as Golioth does, and noted."""
    exchange.allow(*WRITE)
    request, path = exchange.request, exchange.path[1:]
    store, session = exchange.store, exchange.session
    content_format = content_format_of(request, ContentFormat.JSON)
    if content_format in (ContentFormat.JSON, ContentFormat.CBOR):
        value = decode_value(request.payload, content_format)
        store.stream.add(session.project_id, session.device_id, path, value)
    else:
        store.logs.add(
            session.project_id,
            session.device_id,
            level="WARN",
            module="stream",
            message=f"Data for /{'/'.join(path)} was not kept: neither JSON nor CBOR",
            metadata={"contentFormat": content_format},
            kind="DIAGNOSTICS",
        )
    exchange.answer(Message(code=Code.CHANGED))


async def hello(exchange: Exchange) -> None:
    """``hello``: a greeting by name (Golioth: 2.03 with a payload)."""
    exchange.allow(Code.GET)
    text = f"Hello {exchange.session.device_name}".encode()
    exchange.answer(Message(code=Code.VALID, payload=text, content_format=int(ContentFormat.TEXT)))


async def echo(exchange: Exchange) -> None:
    """``echo``: the body comes back (Golioth: 2.03 with a payload)."""
    exchange.allow(*WRITE)
    answer = Message(code=Code.VALID, payload=exchange.request.payload)
    answer.opt.content_format = int(ContentFormat.OCTETS)
    exchange.answer(answer)


async def keep_alive(exchange: Exchange) -> None:
    """DELETE without a path: the SDK's sign of life; any answer will do."""
    if exchange.code != Code.DELETE:
        raise Refusal(Code.NOT_FOUND, "there is nothing at the root")
    raise Refusal(Code.NOT_FOUND, "")
