"""TFLite runtimes: which one works here, and building an interpreter with it.

A runtime counts as working when it *builds* an interpreter: tflite-runtime imports under numpy 2
and fails only then.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agent.worker.choices import RuntimeName
from agent.worker.errors import RuntimeUnavailable
from states.ports import Rejected
from states.reasons import Rejection

# In order of preference: ai-edge-litert checks the flatbuffer before use and is faster on int8.
MODULES = {
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "tflite-runtime": "tflite_runtime.interpreter",
}


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
class OpenedInterpreter:
    """An interpreter and the runtime that built it. Its tensors are not allocated yet."""

    interpreter: Interpreter
    runtime: str


def open_interpreter(
    model: bytes, runtime: RuntimeName = "auto", num_threads: int = 1
) -> OpenedInterpreter:
    """Build an interpreter over the bytes of a ``.tflite`` file.

    A malformed model can crash the process (tflite-runtime): only ever called in a child process.
    Raises Rejected(MODEL_INVALID or MODEL_UNSUPPORTED) when a working runtime refuses the model,
    and RuntimeUnavailable when none works.
    """
    if not model:
        raise Rejected(Rejection.MODEL_INVALID, "the file is empty")
    names = list(MODULES) if runtime == "auto" else [runtime]
    tried = []
    for name in names:
        try:
            build = _interpreter_class(name)
            return OpenedInterpreter(build(model_content=model, num_threads=num_threads), name)
        except (ValueError, RuntimeError) as error:
            raise _refused(name, error) from error
        except (ImportError, SystemError, AttributeError, OSError) as error:
            tried.append(f"{name}: {error}")
    raise RuntimeUnavailable(
        f"no TFLite runtime works ({'; '.join(tried)}). Install one: pip install ai-edge-litert"
    )


def _interpreter_class(name: str) -> Callable[..., Interpreter]:
    built: Callable[..., Interpreter] = importlib.import_module(MODULES[name]).Interpreter
    return built


def _refused(runtime: str, error: Exception) -> Rejected:
    text = " ".join(str(error).split())
    unsupported = "op for builtin opcode" in text or "custom op" in text.lower()
    reason = Rejection.MODEL_UNSUPPORTED if unsupported else Rejection.MODEL_INVALID
    return Rejected(reason, f"{runtime} refuses the model: {text[:300]}")
