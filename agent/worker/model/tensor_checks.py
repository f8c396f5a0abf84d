"""What a model says of its tensors: is that a picture classifier, and the one that was declared?

All of this is looked at before anything is allocated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast, get_args

import numpy as np

from agent.worker.choices import DataType, DeclaredTensor
from agent.worker.model.runtime import Interpreter
from agent.worker.model.tensors import TensorSpec
from states.ports import Rejected
from states.reasons import Rejection


def input_spec(interpreter: Interpreter, max_side: int) -> TensorSpec:
    """The one input: a colour picture ``[1, height, width, 3]``. Raises Rejected."""
    spec = _tensor_spec(interpreter.get_input_details, "input")
    shape = spec.shape
    if len(shape) != 4 or shape[0] != 1 or shape[3] != 3:
        raise _unsupported(
            f"its input is {list(shape)}, but one colour picture is [1, height, width, 3]"
        )
    if not all(1 <= side <= max_side for side in shape[1:3]):
        raise _unsupported(f"its input is {list(shape)}; height and width may be 1 to {max_side}")
    return spec


def output_spec(interpreter: Interpreter) -> TensorSpec:
    """The one output: a score for each class. Raises Rejected."""
    spec = _tensor_spec(interpreter.get_output_details, "output")
    if not spec.shape or spec.shape[-1] < 1 or math.prod(spec.shape) != spec.shape[-1]:
        raise _unsupported(
            f"its output is {list(spec.shape)}, but one score a class is [1, classes]"
        )
    return spec


def _tensor_spec(read: Callable[[], Sequence[Mapping[str, Any]]], what: str) -> TensorSpec:
    try:
        details = read()
    except (ValueError, RuntimeError, IndexError) as error:
        raise _invalid(f"its {what}s can't be told: {str(error)[:200]}") from error
    if len(details) != 1:
        raise _unsupported(f"it has {len(details)} {what}s; a classifier has one")
    detail = details[0]
    data_type = np.dtype(detail["dtype"]).name
    if data_type not in get_args(DataType):
        raise _unsupported(f"its {what} is {data_type}; int8, uint8 and float32 are known")
    shape = tuple(int(side) for side in detail["shape"])
    scale, zero_point = 0.0, 0
    if data_type != "float32":
        scale, zero_point = _quantization(detail["quantization_parameters"], data_type, what)
    return TensorSpec(int(detail["index"]), shape, cast("DataType", data_type), scale, zero_point)


def _quantization(parameters: Mapping[str, Any], data_type: str, what: str) -> tuple[float, int]:
    scales = np.asarray(parameters["scales"], np.float64).reshape(-1)
    zero_points = np.asarray(parameters["zero_points"]).reshape(-1)
    if len(scales) != 1 or len(zero_points) != 1:
        raise _invalid(f"its {what} is {data_type} with {len(scales)} quantization scales, not one")
    scale, zero_point = float(scales[0]), int(zero_points[0])
    if not math.isfinite(scale) or not 1e-9 < scale < 1e6:
        raise _invalid(f"the quantization scale of its {what} is {scale}")
    limits = np.iinfo(data_type)
    if not limits.min <= zero_point <= limits.max:
        raise _invalid(f"the zero point of its {what} is {zero_point}, outside {data_type}")
    return scale, zero_point


def check_declared(spec: TensorSpec, declared: DeclaredTensor, what: str) -> None:
    """Hold a tensor against what its release says of it. Raises Rejected(MODEL_SETTINGS_INVALID).

    Floating-point numbers in a text file are seldom exact: a scale may differ by 0.1 %.
    """
    scale = declared.scale or spec.scale
    said: dict[str, object] = {
        "shape": declared.shape or spec.shape,
        "type": declared.data_type or spec.data_type,
        "zero_point": spec.zero_point if declared.zero_point is None else declared.zero_point,
        "scale": spec.scale if math.isclose(scale, spec.scale, rel_tol=1e-3) else scale,
    }
    found = {
        "shape": spec.shape,
        "type": spec.data_type,
        "zero_point": spec.zero_point,
        "scale": spec.scale,
    }
    for name, value in said.items():
        if value != found[name]:
            raise Rejected(
                Rejection.MODEL_SETTINGS_INVALID,
                f"model.json declares {what}.{name} {_shown(value)}, "
                f"the model has {_shown(found[name])}",
            )


def _shown(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _invalid(detail: str) -> Rejected:
    return Rejected(Rejection.MODEL_INVALID, detail)


def _unsupported(detail: str) -> Rejected:
    return Rejected(Rejection.MODEL_UNSUPPORTED, detail)
