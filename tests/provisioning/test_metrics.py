"""Metrics as they come back from the stream: what counts, once each, and what does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from provisioning.metrics import METRICS_PATH, Metrics, MetricsReader, totals
from tests.support.provisioning import BackgroundCloud
from tests.support.telemetry import metrics, stream

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def test_what_devices_repeat_counts_once_over_many_pages(running_cloud: BackgroundCloud) -> None:
    with running_cloud.management() as management:
        one, other = (management.create_device(f"repeating-{i}").id for i in range(2))
        stream(running_cloud, one, METRICS_PATH, [metrics(i, frames=10) for i in range(150)])
        stream(running_cloud, one, METRICS_PATH, [metrics(i, frames=10) for i in range(100, 150)])
        stream(running_cloud, other, METRICS_PATH, [metrics(0, frames=7)])
        stream(running_cloud, other, "edgeferry/samples", [{"format": 1, "id": "no metrics"}])
        found = MetricsReader(management, [one, other]).read(LONG_AGO)
        everything = MetricsReader(management).read(LONG_AGO)
    assert totals(found) == {"devices": 2, "frames": 1507, "seconds": 151 * 60}
    assert [o for o in everything if o.device in (one, other)] == found
    assert [o.metrics.id for o in found if o.device == one] == [
        f"5f0c6c3e-{i:06d}" for i in range(150)
    ]


def test_a_reader_that_reads_again_adds_what_is_new(running_cloud: BackgroundCloud) -> None:
    with running_cloud.management() as management:
        device = management.create_device("read-twice").id
        reader = MetricsReader(management, [device])
        assert reader.read(LONG_AGO) == []
        stream(running_cloud, device, METRICS_PATH, [metrics(1)])
        first = reader.read(LONG_AGO)
        stream(running_cloud, device, METRICS_PATH, [metrics(1), metrics(2)])
        assert [o.metrics.id for o in reader.read(LONG_AGO)] == [
            "5f0c6c3e-000001",
            "5f0c6c3e-000002",
        ]
        assert reader.read(first[0].arrived + timedelta(microseconds=1))[0] != first[0]


def test_what_is_no_such_document_is_left_out_counted_and_told_once(
    running_cloud: BackgroundCloud, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = [metrics(1) | {"captured": "many"}, metrics(2) | {"format": 2}, {"format": 1}]
    with running_cloud.management() as management:
        device = management.create_device("mumbling").id
        stream(running_cloud, device, METRICS_PATH, [*wrong, "text", {"x": 1}, metrics(3)])
        reader = MetricsReader(management, [device])
        assert [o.metrics.id for o in reader.read(LONG_AGO)] == ["5f0c6c3e-000003"]
        assert reader.unreadable == 3
        reader.read(LONG_AGO)
        assert reader.unreadable == 3
    assert len(caplog.messages) == 1
    assert device in caplog.text


@pytest.mark.parametrize(
    "wrong",
    [
        {"labelled": {"classified": 3, "correct": 4}},
        {"captured": 10, "dropped": 11},
        {"classified": 5, "classes": {"a": 4, "b": 2}},
        {"confidence": {"sum": float("nan")}},
        {"interval_s": 0},
        {"errors": -1},
        {"id": None},
    ],
)
def test_figures_that_contradict_each_other_are_no_metrics(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Metrics.model_validate(metrics(1) | wrong)


def test_a_null_field_is_one_that_is_not_known() -> None:
    known = dict.fromkeys(("confidence", "latency_ms", "drift", "version", "labelled", "at"))
    found = Metrics.model_validate(metrics(1) | known)
    assert found.confidence is None
    assert found.latency_ms.p95 is None
    assert found.labelled.classified == 0


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(sorted(metrics(1))) | st.text(max_size=5), inner, max_size=4
        )
    ),
    max_leaves=8,
)


@given(
    document=_json, change=st.dictionaries(st.sampled_from(sorted(metrics(1))), _json, max_size=3)
)
def test_any_document_is_metrics_or_refused(document: Any, change: dict[str, Any]) -> None:
    for given_document in (document, metrics(1) | change):
        try:
            found = Metrics.model_validate(given_document)
        except ValidationError:
            continue
        assert found.dropped <= found.captured
