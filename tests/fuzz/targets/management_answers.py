"""What the management API, a proxy or a stranger in its place answers to the operator's client."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx

from provisioning.errors import ManagementError
from provisioning.management import Management
from provisioning.rest import ApiKey
from tests.fuzz.memory_link import quiet
from tests.fuzz.target import Attempt, refusing

_MOST_ANSWERS = 6
_SINCE = datetime(2026, 1, 1, tzinfo=UTC)
_HEADERS = {"retry-after", "location", "content-type", "content-encoding"}

CALLS: dict[str, Callable[[Management], Any]] = {
    "projects": lambda m: list(m.projects()),
    "devices": lambda m: [(d.updates, d.metadata.last_report) for d in m.devices()],
    "device": lambda m: m.device("d1"),
    "state": lambda m: m.device_state("d1", "edgeferry"),
    "logs": lambda m: list(m.logs("d1")),
    "credentials": lambda m: list(m.credentials("d1")),
    "certificates": lambda m: [c.has_serial(7) for c in m.ca_certificates()],
    "packages": lambda m: list(m.packages()),
    "publish": lambda m: m.publish("ai-model", "1", b"model"),
    "cohort": lambda m: m.ensure_cohort("bench"),
    "deployments": lambda m: list(m.deployments("bench")),
    "events": lambda m: list(m.ota_events(since=_SINCE)),
    "stream": lambda m: list(m.stream("edgeferry/metrics", start=_SINCE)),
}


@contextmanager
def opened() -> Iterator[Attempt]:
    """Ready to try cases: ``{"call", "status", "headers", "body"}``; ``raw`` is no JSON.

    The same answer is given to each of the client's first requests.
    """
    management = Management("http://api.invalid", "key", "warehouse", attempts=2, sleep=_at_once)
    given: list[httpx.Response] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if not given:
            raise httpx.ReadError("the case is over", request=request)
        return given.pop()

    management._api._http = httpx.Client(
        base_url="http://api.invalid/v1/",
        auth=ApiKey("key"),
        transport=httpx.MockTransport(answer),
    )

    def attempt(data: bytes) -> None:
        call = _read(data, given)
        if call is not None:
            management._organization, management._api._open_again = None, 0.0
            with refusing(ManagementError):
                call(management)

    with quiet("provisioning", "httpx"):
        yield attempt
    management.close()


def seeds() -> Iterator[bytes]:
    """A good answer to every call, and answers of errors."""
    update = {
        "package": "ai-model",
        "state": "IDLE",
        "stateCode": "0",
        "time": "2026-01-01T00:00:00Z",
    }
    thing = {
        "id": "d1",
        "name": "camera-1",
        "organizationId": "acme",
        "packageId": "ai-model",
        "package": "ai-model",
        "version": "1",
        "size": "5",
        "binaryInfo": {"digests": {"sha256": {"digest": "0" * 64}}},
        "cohortId": "bench",
        "deviceCount": 3,
        "deploymentId": "x",
        "artifactIds": ["a"],
        "eventType": "IDLE",
        "status": 0,
        "deviceId": "d1",
        "time": "2026-01-01T00:00:00.123456789Z",
        "document": {"format": 1},
        "certificateContent": {"serialNumber": "0x07"},
        "metadata": {"update": {"ai-model": update}, "lastReport": "2026-01-01T00:00:00Z"},
    }
    listed = {"list": [thing], "total": "1", "nextPageToken": "", "data": thing}
    for call in CALLS:
        yield json.dumps({"call": call, "status": 200, "body": listed}).encode()
    error = {"code": 6, "message": "already exists", "details": []}
    for status, headers in (
        (409, {}),
        (429, {"retry-after": "3"}),
        (503, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}),
        (429, {"retry-after": "Mon, 01 Jan 0001 00:00:00 -2400"}),
        (302, {"location": "https://elsewhere/"}),
    ):
        case = {"call": "publish", "status": status, "headers": headers, "body": error}
        yield json.dumps(case).encode()
    yield json.dumps({"call": "devices", "status": 200, "raw": "<html>\u00ff"}).encode()
    yield json.dumps({"call": "devices", "status": 500, "raw": "[" * 1500}).encode()
    listed = {"list": [thing], "total": "many"}
    yield json.dumps({"call": "devices", "status": 200, "body": listed}).encode()
    yield json.dumps(
        {"call": "devices", "status": 200, "body": {"list": [thing], "total": 9}}
    ).encode()


def _read(data: bytes, given: list[httpx.Response]) -> Callable[[Management], Any] | None:
    try:
        case = json.loads(data)
        content = json.dumps(case.get("body")).encode()
        content = case["raw"].encode("latin-1") if "raw" in case else content
        headers = [
            (name, str(value).encode("latin-1"))
            for name, value in case.get("headers", {}).items()
            if name in _HEADERS
        ]
        call, status = CALLS.get(case["call"]), int(case["status"])
        if not 100 <= status <= 999:
            return None
        given[:] = (
            httpx.Response(status, headers=headers, content=content) for _ in range(_MOST_ANSWERS)
        )
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        # No case for this target: what is tried is the client, not this reader.
        return None
    except httpx.DecodingError:
        return None
    return call


def _at_once(_seconds: float) -> None:
    """Waits for nothing."""
