"""What devices stream and say of themselves, as operators' commands and the console read it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, cast

from localcloud.calls import Calls
from localcloud.console.document import read_document
from localcloud.console.fleet import all_devices
from localcloud.console.fleet_filter import table_row
from localcloud.console.pictures import SAMPLES, SNAPSHOTS, jpeg, newest_snapshot, samples
from localcloud.console.telemetry import by_release, figures, measurements
from localcloud.console.visit import Visit
from localcloud.errors import CloudError, NotFound
from protocol.errors import CodecError
from protocol.formats import ContentFormat, PlainValue
from protocol.values import decode_value, encode_value
from provisioning.metrics import MetricsReader, totals
from provisioning.resources import StreamEntry
from provisioning.sample_parts import Assembler
from tests.fuzz.memory_link import quiet
from tests.fuzz.target import Attempt, chosen, refusing
from tests.fuzz.tenants import Tenants, tenants

_ARRIVED = datetime(2026, 1, 1, tzinfo=UTC)


class _Nobody:
    def is_online(self, device_id: str) -> bool:
        return False


class _Stream:
    """In place of the management API: one entry."""

    def __init__(self, document: Any) -> None:
        self._entry = StreamEntry.model_validate(
            {"time": _ARRIVED, "deviceId": "d1", "document": document}
        )

    def stream(self, *_where: object, **_when: object) -> list[StreamEntry]:
        return [self._entry, self._entry]


class _Readers:
    """Each reads a document of a device's."""

    def __init__(self, cloud: Tenants) -> None:
        self._store, self._tenant = cloud.store, cloud.mine
        self._visit = Visit(
            cloud.store, _Nobody(), Calls(), cloud.mine.project_id, 1000, is_open=lambda: True
        )

    def all(self) -> tuple[Callable[[PlainValue], None], ...]:
        return (self.metrics, self.sample, self.state, self.snapshot)

    def metrics(self, document: PlainValue) -> None:
        """As ``compare`` reads them, and as the console does."""
        reader = MetricsReader(cast("Any", _Stream(document)))
        totals(reader.read(_ARRIVED))
        self._add("metrics", document)
        for name, measured in by_release(measurements(self._visit, None, 1)).items():
            figures(name, measured)

    def sample(self, document: PlainValue) -> None:
        """As ``samples pull`` reads a part, and as the console shows it."""
        assembler = Assembler()
        for entry in _Stream(document).stream():
            assembler.take(entry)
        assembler.left_of("d1")
        self._add(SAMPLES, document)
        for picture in samples(self._visit, self._device):
            with refusing(NotFound):
                jpeg(self._visit, self._device, SAMPLES, picture.id)

    def snapshot(self, document: PlainValue) -> None:
        """As the console shows it."""
        self._add("snapshot", document)
        newest = newest_snapshot(self._visit, self._device)
        if newest is not None:
            with refusing(NotFound):
                jpeg(self._visit, self._device, SNAPSHOTS, newest.id)

    def state(self, document: PlainValue) -> None:
        """As the console shows a fleet."""
        self._store.state.write(self._device, ["edgeferry"], document)
        read_document(self._store, self._device)
        for device in all_devices(self._visit):
            table_row(device)

    @property
    def _device(self) -> str:
        return self._tenant.ids["device_id"]

    def _add(self, kind: str, document: PlainValue) -> None:
        path = ["edgeferry", kind]
        self._store.stream.add(self._tenant.project_id, self._device, path, document)


@contextmanager
def opened() -> Iterator[Attempt]:
    """Ready to try cases: a byte for the kind, then the document in JSON."""
    with tenants() as cloud, quiet("provisioning"):
        readers = _Readers(cloud).all()

        def attempt(data: bytes) -> None:
            number, content = chosen(data, len(readers))
            with refusing(CodecError, CloudError), cloud.undone():
                readers[number](decode_value(content, ContentFormat.JSON))

        yield attempt


def seeds() -> Iterator[bytes]:
    """Documents as agents stream them (docs/telemetry.md)."""
    metrics = {
        "format": 1,
        "id": "m1",
        "interval_s": 60.0,
        "release": "0123456789",
        "version": "2",
        "at": "2026-01-01T00:00:00Z",
        "captured": 9,
        "classified": 8,
        "dropped": 1,
        "classes": {"red": 5, "green": 3},
        "confidence": {"sum": 7.5, "sum_squares": 7.0, "histogram": [0, 8]},
        "labelled": {"classified": 2, "correct": 1},
        "latency_ms": {"p50": 1.5, "p95": 2.5},
        "drift": {"psi": 0.1},
    }
    part = {
        "format": 1,
        "id": "s1",
        "part": 0,
        "parts": 1,
        "sha256": "0" * 64,
        "taken_at": "2026-01-01T00:00:00Z",
        "why": "below",
        "top": [{"label": "red", "confidence": 0.4}],
        "data": "/9j/4A==",
    }
    state = {
        "state": "downloading",
        "active": {"id": "r1", "versions": {"ai-model": "1"}},
        "target": {"id": "r2", "versions": {"ai-model": "2"}},
        "progress": {"bytes_done": 5, "bytes_total": 10},
        "last_error": {"reason": "link-lost", "detail": "because"},
        "worker": {"state": "serving", "fps": 29.9, "captured": 9},
    }
    snapshot = {"format": 1, "id": "p1", "at": "x", "label": "red", "confidence": 1, "jpeg": "/9j/"}
    for number, document in enumerate((metrics, part, state, snapshot)):
        yield bytes([number]) + encode_value(document)
