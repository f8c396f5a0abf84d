"""A real interpreter that begins to misbehave after so many runs, if the model file says so.

A model's file may end with ``MARK`` and a JSON object, ``{"fault": "crash", "after": 100}``. Runs
are counted by process, so a fault that comes late enough stays hidden from a trial.
"""

from __future__ import annotations

import ctypes
import json
import time
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter as RealInterpreter

MARK = b"\nFAULT "
_PAGE = 4096


class Interpreter:
    """As much of ``tflite_runtime.interpreter.Interpreter`` as the worker uses."""

    def __init__(self, *, model_content: bytes, num_threads: int = 1) -> None:
        model, _, order = model_content.partition(MARK)
        self._order: dict[str, Any] = json.loads(order) if order else {"fault": "", "after": 0}
        self._real = RealInterpreter(model_content=model, num_threads=num_threads)
        self._runs = 0
        self._leaked: list[bytearray] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    @property
    def _fault(self) -> str:
        return str(self._order["fault"]) if self._runs > self._order["after"] else ""

    def invoke(self) -> None:
        self._runs += 1
        self._real.invoke()
        match self._fault:
            case "crash":
                ctypes.string_at(0)
            case "hang":
                time.sleep(3600)
            case "slow":
                time.sleep(self._order["seconds"])
            case "leak":
                lost = bytearray(self._order["bytes"])
                lost[::_PAGE] = b"x" * len(lost[::_PAGE])  # memory counts once it is touched
                self._leaked.append(lost)

    def get_tensor(self, index: int) -> Any:
        value = self._real.get_tensor(index)
        if self._fault == "nan":
            value = np.full_like(value, np.nan)
        if self._fault == "constant":
            value[...] = np.iinfo(value.dtype).min
            value[..., 0] = np.iinfo(value.dtype).max
        return value
