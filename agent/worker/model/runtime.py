"""TFLite runtimes: which one works here, and building an interpreter with it.

A runtime works when it *builds and runs* an interpreter: tflite-runtime imports under numpy 2 and
fails only then. That is tried with a model of our own, so whatever goes wrong after that is the
fault of the model at hand.
"""

from __future__ import annotations

import base64
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from agent.worker.choices import RuntimeName
from agent.worker.errors import RuntimeUnavailable
from states.ports import Rejected
from states.reasons import Rejection

# In order of preference: ai-edge-litert checks the flatbuffer before use and is faster on int8.
MODULES = {
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "tflite-runtime": "tflite_runtime.interpreter",
}

# One softmax over float32 [1, 2].
PROBE_MODEL = base64.b64decode(
    "GAAAAFRGTDMAAA4AFAAQAAwACAAAAAQADgAAABAAAAAcAAAA9AAAAAMAAAABAAAACAAAAAQABAAEAAAAAQAAABAA"
    "AAAMABQAEAAMAAgABAAMAAAAEAAAAFgAAABcAAAAYAAAAAEAAAAUAAAAAAAOABYAAAAQAAwACwAEAA4AAAAYAAAA"
    "AAAACRgAAAAcAAAAAAAGAAgABAAGAAAAAACAPwEAAAABAAAAAQAAAAAAAAABAAAAAQAAAAEAAAAAAAAAAgAAADQA"
    "AAAEAAAA4P///wgAAAAMAAAAAQAAAG8AAAACAAAAAQAAAAIAAAAMAAwACAAAAAAABAAMAAAACAAAAAwAAAABAAAA"
    "aQAAAAIAAAABAAAAAgAAAAEAAAAQAAAADAAMAAsAAAAAAAQADAAAABkAAAAAAAAZ"
)


class Interpreter(Protocol):
    """The part of ``tflite.Interpreter`` that both runtimes share and we use."""

    def allocate_tensors(self) -> None:
        """Plan and allocate memory for all tensors."""

    def get_input_details(self) -> Sequence[Mapping[str, Any]]:
        """``index``, ``shape``, ``dtype``, ``quantization_parameters``… of each input."""

    def get_output_details(self) -> Sequence[Mapping[str, Any]]:
        """The same of each output."""

    def set_tensor(self, index: int, value: Any) -> None:
        """Copy an array of the tensor's shape and dtype into it."""

    def get_tensor(self, index: int) -> Any:
        """A copy of the tensor as an array."""

    def invoke(self) -> None:
        """Run the model on what the input tensors hold."""


@dataclass(frozen=True)
class Runtime:
    """A TFLite runtime that was seen to work, ``name`` as pip knows it."""

    name: str
    _build: Callable[..., Interpreter]

    def open(self, model: bytes, num_threads: int = 1) -> Interpreter:
        """An interpreter over the bytes of a ``.tflite`` file; its tensors are not allocated yet.

        A malformed model can crash the process (tflite-runtime): only ever called in a child
        process. Raises Rejected(MODEL_INVALID or MODEL_UNSUPPORTED).
        """
        if not model:
            raise Rejected(Rejection.MODEL_INVALID, "the model file is empty")
        try:
            return self._build(model_content=model, num_threads=num_threads)
        except (ValueError, RuntimeError) as error:
            raise self._refused(error) from error

    def check(self) -> None:
        """Run the probe once more: after a process gave up rights, that is what it still can.

        Raises RuntimeUnavailable.
        """
        try:
            _run_probe(self._build)
        except Exception as error:
            raise RuntimeUnavailable(
                f"{self.name} does not work in this system's sandbox: {error}; please report that"
            ) from error

    def _refused(self, error: Exception) -> Rejected:
        text = " ".join(str(error).split())
        unsupported = "builtin opcode" in text or "custom op" in text.lower()
        reason = Rejection.MODEL_UNSUPPORTED if unsupported else Rejection.MODEL_INVALID
        return Rejected(reason, f"{self.name} refuses the model: {text[:300]}")


def find_runtime(wanted: RuntimeName = "auto") -> Runtime:
    """The runtime of that name, or the first that works. Raises RuntimeUnavailable."""
    failures = []
    for name in MODULES if wanted == "auto" else [wanted]:
        try:
            return _probed(name)
        # A broken installation fails in many ways (ImportError, SystemError, OSError…).
        except Exception as error:  # noqa: BLE001 - each is reported below
            failures.append(f"{name}: {type(error).__name__}: {error}")
    raise RuntimeUnavailable(
        f"no TFLite runtime works ({'; '.join(failures)}). Install one: pip install ai-edge-litert"
    )


def _probed(name: str) -> Runtime:
    build: Callable[..., Interpreter] = importlib.import_module(MODULES[name]).Interpreter
    _run_probe(build)
    return Runtime(name, build)


def _run_probe(build: Callable[..., Interpreter]) -> None:
    interpreter = build(model_content=PROBE_MODEL, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, np.zeros((1, 2), np.float32))
    interpreter.invoke()
    if not np.allclose(interpreter.get_tensor(1), 0.5):
        raise ValueError("it answered the probe wrongly")
