from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from agent.worker.errors import RuntimeUnavailable
from agent.worker.model.runtime import MODULES, Interpreter, Runtime, find_runtime
from agent.worker.model.tensor_checks import input_spec
from states.ports import Rejected
from states.reasons import Rejection
from tests.support.tiny_models import TinyModel


def test_the_first_runtime_that_works_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, MODULES["ai-edge-litert"], None)
    pytest.importorskip(MODULES["tflite-runtime"])
    assert find_runtime("auto").name == "tflite-runtime"


def test_a_runtime_that_imports_but_builds_nothing_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def build(**_: Any) -> Interpreter:
        raise ImportError("numpy.core.multiarray failed to import")

    broken = SimpleNamespace(Interpreter=build)
    monkeypatch.setitem(sys.modules, MODULES["tflite-runtime"], broken)
    with pytest.raises(RuntimeUnavailable, match="multiarray"):
        find_runtime("tflite-runtime")


def test_a_machine_without_any_runtime_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in MODULES.values():
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(RuntimeUnavailable, match="pip install ai-edge-litert"):
        find_runtime()


def test_a_runtime_that_computes_nonsense_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    real = find_runtime()

    class Wrong:
        def __init__(self, **arguments: Any) -> None:
            self._real = real.open(arguments["model_content"])

        def get_tensor(self, index: int) -> Any:
            return self._real.get_tensor(index) + 1

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

    monkeypatch.setitem(sys.modules, MODULES[real.name], SimpleNamespace(Interpreter=Wrong))
    for other in set(MODULES) - {real.name}:
        monkeypatch.setitem(sys.modules, MODULES[other], None)
    with pytest.raises(RuntimeUnavailable, match="wrongly"):
        find_runtime()


def test_an_operation_the_runtime_does_not_know_makes_a_model_unsupported() -> None:
    refused = Runtime("some", _unknown_operation)
    with pytest.raises(Rejected) as caught:
        refused.open(b"model")
    assert caught.value.reason is Rejection.MODEL_UNSUPPORTED


def _unknown_operation(**_: Any) -> Interpreter:
    raise ValueError("Didn't find op for builtin opcode 'FULLY_CONNECTED' version '12'")


def test_a_working_runtime_opens_a_model() -> None:
    assert len(find_runtime().open(TinyModel().build()).get_output_details()) == 1


def test_a_runtime_that_stops_working_in_the_sandbox_is_no_fault_of_a_model() -> None:
    def denied(**_: Any) -> Interpreter:
        raise PermissionError("Operation not permitted")

    with pytest.raises(RuntimeUnavailable, match="sandbox"):
        Runtime("some", denied).check()
    find_runtime().check()


def test_a_model_whose_tensors_can_not_be_listed_is_invalid() -> None:
    class Unreadable:
        def get_input_details(self) -> Any:
            raise ValueError("Invalid tensor index -1 exceeds max tensor index 6")

    with pytest.raises(Rejected, match="tensor index -1") as caught:
        input_spec(Unreadable(), 2048)  # type: ignore[arg-type]
    assert caught.value.reason is Rejection.MODEL_INVALID
