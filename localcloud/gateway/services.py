"""Golioth's device services: OTA, LightDB State, stream, logs and signs of life."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from aiocoap import Code, Message

from localcloud.changes import Topic
from localcloud.gateway.answers import Refusal, content
from localcloud.gateway.exchange import WRITE, Exchange
from localcloud.identifiers import check_package, timestamp
from localcloud.storage.events import reason_text
from protocol.formats import ContentFormat
from protocol.report import OtaReport, decode_report
from protocol.values import decode_log, decode_value, encode_value

COMPONENTS = (".u", "c")
"""The path above packages and their versions."""


async def desired(exchange: Exchange) -> None:
    """``.u/desired``: the manifest, the same bytes however it is asked for."""
    exchange.allow(Code.GET)

    def encode(content_format: ContentFormat) -> bytes:
        manifest = exchange.store.deployments.manifest_for(exchange.session.device_id)
        return manifest.payload(content_format)

    if exchange.observes:
        await exchange.observe(Topic.MANIFEST, encode)
    else:
        exchange.answer(exchange.document(encode))


async def component(exchange: Exchange) -> None:
    """``.u/c/<package>@<version>``: bytes of an artifact; ``.u/c/<package>``: a state report."""
    package, at, version = exchange.path[-1].partition("@")
    if at:
        exchange.allow(Code.GET)
        _serve_artifact(exchange, package, version)
    else:
        exchange.allow(*WRITE)
        _take_report(exchange, package)


def _serve_artifact(exchange: Exchange, package: str, version: str) -> None:
    found = exchange.store.artifacts.content(exchange.session.project_id, package, version)
    if found is None:
        raise Refusal(Code.NOT_FOUND, f"no artifact {package}@{version} in this project")
    # No Content-Format: Golioth sends none with component blocks.
    exchange.answer(content(exchange.request, found))


def _take_report(exchange: Exchange, package: str) -> None:
    sent = exchange.decoded(decode_report, ContentFormat.CBOR)
    # The path says which package; the field in the body is only its echo.
    report = replace(sent, package=check_package(package))
    with exchange.store.atomic():
        _record(exchange, report)
    exchange.answer(Message(code=Code.CHANGED))


def _record(exchange: Exchange, report: OtaReport) -> None:
    store, session, package = exchange.store, exchange.session, report.package
    status = _status(report)
    store.devices.set_update_status(session.device_id, package, status)
    cohort = store.deployments.active_cohort_with(session.device_id, package)
    if cohort is not None:
        store.events.add(session.project_id, session.device_id, cohort, report)
    else:
        message = f"Package {package} is not included in the active deployment"
        _note(exchange, "ota", message, status)


def _status(report: OtaReport) -> dict[str, str]:
    return {
        "package": report.package,
        "version": report.version or "",
        "target": report.target or "",
        "state": report.state.name,
        "stateCode": str(int(report.state)),
        "reason": reason_text(report),
        "reasonCode": str(int(report.reason)),
        "time": timestamp(),
    }


async def state(exchange: Exchange) -> None:
    """``.d/<path>``: the device's own LightDB State."""
    exchange.allow(Code.GET, Code.DELETE, *WRITE)
    device_id, path = exchange.session.device_id, exchange.path[1:]

    def encode(content_format: ContentFormat) -> bytes:
        return encode_value(exchange.store.state.read(device_id, path), content_format)

    if exchange.observes:
        await exchange.observe(Topic.STATE, encode)
    elif exchange.code == Code.GET:
        exchange.answer(exchange.document(encode))
    elif exchange.code == Code.DELETE:
        exchange.store.state.delete(device_id, path)
        exchange.answer(Message(code=Code.DELETED))
    else:
        value = exchange.decoded(decode_value, ContentFormat.JSON)
        exchange.store.state.write(device_id, path, value)
        exchange.answer(Message(code=Code.CHANGED))


async def logs(exchange: Exchange) -> None:
    """``.s/logs``, and ``logs`` of older SDKs: one log line; further fields are its metadata."""
    exchange.allow(*WRITE)
    line, metadata = exchange.decoded(decode_log, ContentFormat.CBOR)
    exchange.store.logs.add(
        exchange.session.project_id,
        exchange.session.device_id,
        level=line.level.name,
        module=line.module,
        message=line.message,
        metadata=metadata,
    )
    exchange.answer(Message(code=Code.CHANGED))


async def stream(exchange: Exchange) -> None:
    """``.s/<path>``: JSON and CBOR are kept; the rest is accepted, as Golioth does, and noted."""
    exchange.allow(*WRITE)
    path, store, session = exchange.path[1:], exchange.store, exchange.session
    content_format = exchange.request.opt.content_format
    if content_format in (None, ContentFormat.JSON, ContentFormat.CBOR):
        value = exchange.decoded(decode_value, ContentFormat.JSON)
        store.stream.add(session.project_id, session.device_id, path, value)
    else:
        _note(
            exchange,
            "stream",
            f"Data for /{'/'.join(path)} was not kept: neither JSON nor CBOR",
            {"contentFormat": int(content_format)},
        )
    exchange.answer(Message(code=Code.CHANGED))


def _note(exchange: Exchange, module: str, message: str, metadata: Mapping[str, object]) -> None:
    """Leave a line in the device's log, as Golioth does for what it can't use."""
    exchange.store.logs.add(
        exchange.session.project_id,
        exchange.session.device_id,
        level="WARN",
        module=module,
        message=message,
        metadata=metadata,
        kind="DIAGNOSTICS",
    )


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
