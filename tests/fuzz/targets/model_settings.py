"""``model.json``: read, and laid over the configuration."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from agent.worker.choices import Preprocessing
from agent.worker.model.settings import parse_model_settings
from states.ports import Rejected
from tests.fuzz.target import Attempt, refusing

WHOLE = {
    "format": 1,
    "resize": "fit-shortest",
    "colour_order": "rgb",
    "normalization": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
    "input": {"shape": [1, 224, 224, 3], "type": "int8", "scale": 0.5, "zero_point": -128},
    "output": {"shape": [1, 1000], "type": "int8"},
    "latency_budget_ms": 50,
    "allow_duplicate_labels": True,
}


@contextmanager
def opened() -> Iterator[Attempt]:
    """Ready to try cases: the file."""
    yield _attempt


def seeds() -> Iterator[bytes]:
    """All keys, few keys, wrong keys."""
    yield json.dumps(WHOLE).encode()
    yield b'\xef\xbb\xbf{"format": 1, "pixel_range": "signed-unit"}'
    yield json.dumps({"format": 1, "resize": "squash", "colours": 3, "input": {"size": 1}}).encode()
    yield b'{"format": 1, "format": 1}'
    yield b'{"format": 1, "\\ud800": "\\udfff"}'


def _attempt(data: bytes) -> None:
    with refusing(Rejected):
        settings = parse_model_settings(data)
        settings.preprocessing(Preprocessing())
        settings.input.declared()
        settings.output.declared()
