"""``model.json``: strict in what it takes, and it names what is wrong."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.worker.choices import Normalization, Preprocessing
from agent.worker.model.settings import MAX_BYTES, parse_model_settings
from states.ports import Rejected
from states.reasons import Rejection

CONFIGURED = Preprocessing("squash", "bgr", "0..255")


def parsed(**keys: Any) -> Any:
    return parse_model_settings(json.dumps({"format": 1, **keys}).encode())


def fault(content: bytes) -> str:
    with pytest.raises(Rejected) as caught:
        parse_model_settings(content)
    assert caught.value.reason is Rejection.MODEL_SETTINGS_INVALID
    return caught.value.detail


def fault_of(**keys: Any) -> str:
    return fault(json.dumps({"format": 1, **keys}).encode())


def test_what_it_does_not_mention_stays_as_configured() -> None:
    assert parsed().preprocessing(CONFIGURED) == CONFIGURED
    assert parsed(resize="fit-longest").preprocessing(CONFIGURED) == Preprocessing(
        "fit-longest", "bgr", "0..255"
    )


def test_a_normalization_takes_the_place_of_the_pixel_range() -> None:
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    found = parsed(normalization={"mean": mean, "std": std}).preprocessing(CONFIGURED)
    assert found.normalization == Normalization(tuple(mean), tuple(std))
    assert parsed(pixel_range="0..1").preprocessing(found).normalization is None


def test_preprocessing_survives_a_way_through_json() -> None:
    for normalization in (None, Normalization((0.5, 0.4, 0.3), (1.0, 2.0, 3.0))):
        before = Preprocessing("fit-longest", "bgr", "-1..1", normalization)
        assert Preprocessing.from_json(json.loads(json.dumps(before, default=vars))) == before


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"resise": "squash"}, "unknown key resise; did you mean resize?"),
        ({"input": {"shpae": [1]}}, "unknown key input.shpae; did you mean shape?"),
        ({"resize": "stretch"}, "resize:"),
        ({"input": {"shape": [1, 0, 16, 3]}}, "input.shape.1:"),
        ({"input": {"shape": [1] * 9}}, "input.shape:"),
        ({"input": {"type": "float16"}}, "input.type:"),
        ({"latency_budget_ms": "50"}, "latency_budget_ms:"),
        ({"latency_budget_ms": 0}, "latency_budget_ms:"),
        ({"allow_duplicate_labels": 1}, "allow_duplicate_labels:"),
        ({"normalization": {"mean": [0, 0], "std": [1, 1, 1]}}, "normalization.mean:"),
        ({"normalization": {"mean": [0, 0, 0], "std": [1, 0, 1]}}, "normalization.std.1:"),
        ({"normalization": {"mean": [0, 0, 0]}}, "normalization.std:"),
        (
            {"pixel_range": "0..1", "normalization": {"mean": [0, 0, 0], "std": [1, 1, 1]}},
            "keep one of them",
        ),
        ({"format": 2}, "format:"),
    ],
)
def test_a_fault_is_named_with_its_key(keys: dict[str, Any], said: str) -> None:
    assert said in fault_of(**keys)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 50_000, "no JSON"),
        (b'{"format": 1, "format": 1}', "twice"),
        (b'{"format": 1, "latency_budget_ms": NaN}', "NaN is no number"),
        (b'{"format": 1, "latency_budget_ms": 1e999}', "latency_budget_ms"),
        (b"[]", "model.json:"),
        (b"{}", "format:"),
        (b" " * (MAX_BYTES + 1), "bytes"),
    ],
)
def test_what_is_no_such_document_is_refused(content: bytes, said: str) -> None:
    assert said in fault(content)


def test_a_byte_order_mark_is_no_fault() -> None:
    assert parse_model_settings(b'\xef\xbb\xbf{"format": 1}').format == 1


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_taken_or_refused(content: bytes) -> None:
    with suppress(Rejected):
        assert parse_model_settings(content).format == 1
