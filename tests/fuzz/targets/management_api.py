"""Requests to the management API of the local cloud, with the key of one project."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from starlette.types import Message, Scope

from localcloud.calls import Calls
from localcloud.rest.app import build_api
from tests.fuzz.memory_link import no_error_logged, quiet
from tests.fuzz.target import Attempt, Finding, require
from tests.fuzz.tenants import Tenants, tenants
from tests.localcloud.routes import steps
from tests.support.tenants import Tenant

ANSWERED = {200, 400, 401, 403, 404, 409, 413, 422, 501}
_MOMENT, _PATIENCE = 0.05, 20.0
_METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}


@dataclass
class _Exchange:
    """One request and its answer, as ASGI has it."""

    body: bytes
    asked: bytes
    """All that was sent: what comes back of it is no secret."""
    status: int = 0
    answer: bytearray = field(default_factory=bytearray)

    async def receive(self) -> Message:
        body, self.body = self.body, b""
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        self.status = message.get("status", self.status)
        self.answer += message.get("body", b"")


@contextmanager
def opened() -> Iterator[Attempt]:
    """Ready to try cases: ``{"call", "query", "body"}``; ``raw`` in place of a body is no JSON.

    ``{device_id}`` and the like stand for what there is, ``{their_device_id}`` for the other's.
    """
    with quiet("localcloud"), tenants() as cloud, asyncio.Runner() as runner:
        api = build_api(cloud.store, Calls(), max_artifact_bytes=10_000)

        async def attempt(data: bytes) -> None:
            request = _request(data, cloud)
            if request is None:
                return
            scope, exchange = request
            with no_error_logged(), cloud.undone():
                asked = asyncio.ensure_future(api(scope, exchange.receive, exchange.send))
                # Only a call waits, for its device.
                waits = scope["path"].endswith("/rpc")
                await asyncio.wait({asked}, timeout=_MOMENT if waits else _PATIENCE)
                if waits and not asked.done():
                    asked.cancel()
                    return
                require(asked.done(), f"{scope['path']} is not answered")
                await asked
            _check(exchange, cloud)

        yield lambda data: runner.run(attempt(data))


def seeds() -> Iterator[bytes]:
    """A request to every route, as the documentation has it, and some with queries."""
    for step in steps("LS0t"):
        call, _, query = step.call.partition("?")
        given = dict(part.split("=") for part in query.split("&") if part)
        yield json.dumps({"call": call, "query": given, "body": step.body}).encode()
    for call in ("logs", "firmware/logs", "stream", "devices", "ota-events", "ota-events/stats"):
        owned = "/organizations/{organization_id}" if call.startswith("ota") else ""
        for start in ("2026-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "0001-02-01"):
            narrow = {"start": start, "startTime": start, "end": "2027-01-01", "page": "0"}
            path = f"{owned}/projects/{{project_id}}/{call}"
            yield json.dumps({"call": f"GET {path}", "query": narrow}).encode()
    where = "/projects/{project_id}/stream"
    fields = [
        {"path": "time"},
        {"path": "*", "alias": "d"},
        {"path": "marker.format", "agg": "avg"},
    ]
    filters = [{"path": "marker.format", "op": ">=", "value": 0}]
    body = {"query": {"fields": fields, "filters": filters}, "interval": "1h"}
    yield json.dumps({"call": f"POST {where}", "body": body}).encode()
    either = {"fields": fields[:2], "filters": [{"op": "or", "filters": filters}]}
    encoded = json.dumps({**either, "timeBucket": "5m"})
    yield json.dumps({"call": f"GET {where}", "query": {"encodedQuery": encoded}}).encode()
    for value in ("NaN", "1e999", "99999999999999999999", '"\\ud800"'):
        raw = f'{{"key": "FPS", "dataType": "float", "value": {value}}}'
        call = "POST /projects/{project_id}/settings"
        yield json.dumps({"call": call, "raw": raw}).encode()
    yield json.dumps({"call": f"POST {where}", "raw": "\u00ff{"}).encode()


def _request(data: bytes, cloud: Tenants) -> tuple[Scope, _Exchange] | None:
    try:
        document = json.loads(data)
        known = _known(cloud.mine, "") | _known(cloud.theirs, "their_")
        method, _, path = _filled(document["call"], known).partition(" ")
        query = urlencode(_filled(document.get("query") or {}, known), doseq=True)
        body = _filled(document.get("body"), known)
        content = json.dumps(body).encode() if body is not None else b""
        content = document["raw"].encode("latin-1") if "raw" in document else content
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        # No case for this target: what is tried is the API, not this reader.
        return None
    if method not in _METHODS or not path.startswith("/"):
        return None
    # A server that unquotes a path leaves no half of a surrogate pair in it.
    path = path.encode(errors="replace").decode()
    headers = [(b"x-api-key", cloud.api_key.encode()), (b"content-type", b"application/json")]
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": f"/v1{path}",
        "raw_path": quote(f"/v1{path}").encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": headers,
        "client": ("192.0.2.7", 40_000),
        "server": ("127.0.0.1", 80),
    }
    return scope, _Exchange(content, repr(path).encode() + query.encode() + content)


def _known(tenant: Tenant, prefix: str) -> dict[str, str]:
    return {prefix + name: value for name, value in tenant.ids.items() if name != "path"}


def _filled(value: Any, known: dict[str, str]) -> Any:
    if isinstance(value, str):
        return re.sub(r"{(\w+)}", lambda found: known.get(found[1], found[0]), value)
    if isinstance(value, list):
        return [_filled(item, known) for item in value]
    if isinstance(value, dict):
        return {key: _filled(item, known) for key, item in value.items()}
    return value


def _check(exchange: _Exchange, cloud: Tenants) -> None:
    require(
        exchange.status in ANSWERED, f"HTTP {exchange.status}: {bytes(exchange.answer[:200])!r}"
    )
    marker = cloud.theirs.marker.encode()
    require(marker not in exchange.answer or marker in exchange.asked, "another project's data")
    try:
        body = json.loads(exchange.answer, parse_constant=_no_json)
    except ValueError as error:
        raise Finding(f"an answer that is no JSON: {bytes(exchange.answer[:200])!r}") from error
    if exchange.status != 200:
        require(set(body) == {"code", "message", "details"}, "an error in another shape")


def _no_json(name: str) -> float:
    raise ValueError(f"{name} is no JSON")
