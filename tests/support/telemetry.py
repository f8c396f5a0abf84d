"""Documents as devices stream them (docs/telemetry.md), put into a local cloud's stream."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
from aiocoap import POST, Message

from protocol.client import ClientLink, connect
from protocol.credentials import PskCredential
from protocol.formats import ContentFormat
from protocol.report import OtaReason, OtaReport, OtaState, encode_report
from provisioning.management import Management
from tests.support.provisioning import BackgroundCloud

Json = dict[str, Any]


def metrics(
    number: int,
    *,
    version: str = "1",
    release: str | None = None,
    frames: int = 1800,
    labelled: int = 0,
    correct: int = 0,
    confidence: float = 0.9,
    errors: int = 0,
    dropped: int = 0,
    p95: float = 20.0,
    classes: dict[str, int] | None = None,
    **others: Any,
) -> Json:
    """One minute of a device, its ``number``-th; ``confidence`` is the mean."""
    histogram = [0] * 10
    histogram[min(9, int(confidence * 10))] = frames
    return {
        "format": 1,
        "id": f"5f0c6c3e-{number:06d}",
        "at": "2026-11-23T21:00:00.000Z",
        "interval_s": 60.0,
        "release": release or f"release-of-{version}",
        "version": version,
        "sequence": 1764000000,
        "captured": frames + dropped,
        "classified": frames,
        "dropped": dropped,
        "errors": errors,
        "classes": classes or {"bell-pepper": frames},
        "classes_other": 0,
        "confidence": {
            "sum": confidence * frames,
            "sum_squares": confidence**2 * frames,
            "histogram": histogram,
        },
        "labelled": {"classified": labelled, "correct": correct},
        "latency_ms": {"p50": p95 / 2, "p95": p95},
        "inference_ms": {"p50": p95 / 4, "p95": p95 / 2},
        "max_gap_ms": 41.0,
        "drift": None,
        "device": {"load1": 0.4, "temperature_c": None},
        **others,
    }


def minutes(
    number: int,
    *,
    seed: int,
    first: int = 0,
    accuracy: float | None = None,
    confidence: float = 0.9,
    p95: float = 20.0,
    **same: Any,
) -> list[Json]:
    """Several minutes of a device that varies as real ones do; 60 labelled pictures in each."""
    random = np.random.default_rng(seed)
    found = []
    for i in range(first, first + number):
        labelled = 0 if accuracy is None else 60
        found.append(
            metrics(
                i,
                labelled=labelled,
                correct=int(random.binomial(labelled, accuracy or 0)),
                confidence=float(np.clip(random.normal(confidence, 0.01), 0, 1)),
                p95=float(abs(random.normal(p95, 0.4))),
                **same,
            )
        )
    return found


def stream(cloud: BackgroundCloud, device_id: str, path: str, documents: Iterable[Any]) -> None:
    """Documents as if the device had sent them just now."""

    def add() -> None:
        project = cloud.cloud.project.id
        for document in documents:
            cloud.cloud.store.stream.add(project, device_id, path.split("/"), document)

    cloud.running.call(add)


class SpeakingDevice:
    """A device on real DTLS that says what a test wants it to."""

    def __init__(
        self, cloud: BackgroundCloud, management: Management, name: str, cohort: str
    ) -> None:
        self.id = management.create_device(name, cohort_id=cohort).id
        self._running = cloud.running
        identity = management.add_psk(self.id, name, f"key-of-{name}").identity
        credential = PskCredential(identity, f"key-of-{name}".encode())
        self._link: ClientLink = self._running.wait_for(
            connect(*cloud.cloud.coap_address, credential)
        )

    def close(self) -> None:
        self._running.wait_for(self._link.close())

    def runs(
        self,
        release: str,
        versions: dict[str, str],
        state: str = "idle",
        error: str | None = None,
    ) -> None:
        """Tell the state document."""
        last = {"release": "r", "reason": error, "detail": "in words"} if error else None
        active = {"id": release, "versions": versions}
        self._say(".d/edgeferry", {"state": state, "active": active, "last_error": last})

    def reports(self, package: str, target: str | None, *codes: tuple[OtaState, OtaReason]) -> None:
        """Report an update's way, as one package after another does."""
        for state, reason in codes:
            report = OtaReport(package, state, reason, "1", target)
            self._post(f".u/c/{package}", encode_report(report, ContentFormat.JSON))

    def measured(self, documents: Iterable[Json]) -> None:
        """Stream some metrics; the cloud takes 20 requests in a second."""
        for document in documents:
            self._say(".s/edgeferry/metrics", document)

    def _say(self, path: str, document: Json) -> None:
        self._post(path, json.dumps(document).encode())

    def _post(self, path: str, body: bytes) -> None:
        message = Message(
            code=POST,
            uri_path=path.split("/"),
            payload=body,
            content_format=int(ContentFormat.JSON),
        )
        answer = self._running.wait_for(self._link.request(message))
        assert answer.code.is_successful(), f"{path}: {answer.code} {answer.payload!r}"
