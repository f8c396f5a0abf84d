"""Damage to models and to the small files beside them: the same for the same number.

Half of the kinds spoil bytes as a bad disk or an attacker would; the other half changes what a
well-formed model says, which no checksum of the format notices.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, TypeAlias

import flatbuffers  # type: ignore[import-untyped]
from ai_edge_litert import schema_py_generated as schema

Random: TypeAlias = random.Random


def mutated_model(model: bytes, other: bytes, number: int) -> tuple[str, bytes]:
    """How it was damaged, and the file. ``other`` is a model to splice in."""
    rng = random.Random(number)
    kinds = (*_BYTES, *_GRAPH)
    kind = kinds[number % len(kinds)]
    if kind in _BYTES:
        return kind, _BYTES[kind](model, other, rng)
    content = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model))
    _GRAPH[kind](content, rng)
    return kind, _packed(content)


def mutated_bytes(content: bytes, number: int) -> bytes:
    """Any file: cut off, bits flipped, a piece repeated, or bytes put in."""
    rng = random.Random(number)
    damage = (_cut_off, _flip_bits, _repeat_a_piece, _put_noise_in)[number % 4]
    return damage(content, content, rng)


def _cut_off(model: bytes, _other: bytes, rng: Random) -> bytes:
    return model[: rng.randrange(len(model))]


def _flip_bits(model: bytes, _other: bytes, rng: Random) -> bytes:
    content = bytearray(model)
    for _ in range(rng.randrange(1, 12)):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return bytes(content)


def _flip_early_bits(model: bytes, _other: bytes, rng: Random) -> bytes:
    """Where offsets and tables are, rather than weights."""
    content = bytearray(model)
    for _ in range(rng.randrange(1, 6)):
        content[rng.randrange(min(2048, len(content)))] ^= 1 << rng.randrange(8)
    return bytes(content)


def _spoil_the_header(model: bytes, _other: bytes, rng: Random) -> bytes:
    position = rng.randrange(8, 64)
    return model[:position] + rng.randbytes(4) + model[position + 4 :]


def _noise_behind_the_magic(model: bytes, _other: bytes, rng: Random) -> bytes:
    return model[:8] + rng.randbytes(rng.randrange(1, len(model)))


def _noise(model: bytes, _other: bytes, rng: Random) -> bytes:
    return rng.randbytes(rng.randrange(len(model)))


def _splice(model: bytes, other: bytes, rng: Random) -> bytes:
    return model[: rng.randrange(len(model))] + other[rng.randrange(len(other)) :]


def _zero_a_piece(model: bytes, _other: bytes, rng: Random) -> bytes:
    start = rng.randrange(len(model))
    length = rng.randrange(1, 4096)
    return (model[:start] + bytes(length) + model[start + length :])[: len(model)]


def _repeat_a_piece(model: bytes, _other: bytes, rng: Random) -> bytes:
    start, length = rng.randrange(len(model)), rng.randrange(1, 512)
    return model[: start + length] + model[start:]


def _put_noise_in(model: bytes, _other: bytes, rng: Random) -> bytes:
    position = rng.randrange(len(model) + 1)
    return model[:position] + rng.randbytes(rng.randrange(1, 64)) + model[position:]


_BYTES: dict[str, Callable[[bytes, bytes, Random], bytes]] = {
    "cut off": _cut_off,
    "bits flipped": _flip_bits,
    "early bits flipped": _flip_early_bits,
    "header spoiled": _spoil_the_header,
    "noise behind the magic number": _noise_behind_the_magic,
    "noise": _noise,
    "two models spliced": _splice,
    "a piece zeroed": _zero_a_piece,
    "a piece repeated": _repeat_a_piece,
    "noise put in": _put_noise_in,
}


def _huge_shape(model: Any, rng: Random) -> None:
    tensor = rng.choice(model.subgraphs[0].tensors)
    sides = [1 << 30, 1 << 20, 65_536, 0, -1, -(1 << 31)]
    tensor.shape = [rng.choice(sides) for _ in tensor.shape] or [1 << 30]


def _huge_input(model: Any, rng: Random) -> None:
    graph = model.subgraphs[0]
    side = rng.choice([2047, 2049, 20_000, 1 << 24, 0, -1])
    graph.tensors[graph.inputs[0]].shape = [1, side, side, 3]


def _other_rank(model: Any, rng: Random) -> None:
    tensor = rng.choice(model.subgraphs[0].tensors)
    tensor.shape = [1] * rng.choice([0, 1, 3, 5, 6, 200])


def _other_type(model: Any, rng: Random) -> None:
    rng.choice(model.subgraphs[0].tensors).type = rng.randrange(-1, 25)


def _wrong_tensor(model: Any, rng: Random) -> None:
    operator = rng.choice(model.subgraphs[0].operators)
    wrong = [-1, 0, 1 << 30, len(model.subgraphs[0].tensors), rng.randrange(8)]
    operator.inputs = [rng.choice(wrong) for _ in operator.inputs]


def _operator_feeds_itself(model: Any, rng: Random) -> None:
    operator = rng.choice(model.subgraphs[0].operators)
    operator.inputs = [operator.outputs[0], *operator.inputs[1:]]


def _other_operator(model: Any, rng: Random) -> None:
    code = rng.choice(model.operatorCodes)
    code.builtinCode = code.deprecatedBuiltinCode = rng.randrange(127)


def _unknown_version(model: Any, rng: Random) -> None:
    rng.choice(model.operatorCodes).version = rng.choice([0, -1, 99, 1 << 30])


def _operators_shuffled(model: Any, rng: Random) -> None:
    rng.shuffle(model.subgraphs[0].operators)


def _operator_left_out(model: Any, rng: Random) -> None:
    operators = model.subgraphs[0].operators
    del operators[rng.randrange(len(operators))]


def _operators_repeated(model: Any, rng: Random) -> None:
    model.subgraphs[0].operators *= rng.choice([2, 50, 1000])


def _no_input_or_output(model: Any, rng: Random) -> None:
    graph = model.subgraphs[0]
    if rng.randrange(2):
        graph.inputs = rng.choice([[], [0, 0], [1 << 30]])
    else:
        graph.outputs = rng.choice([[], [0], [-1], [1 << 30]])


def _odd_quantization(model: Any, rng: Random) -> None:
    tensors = [t for t in model.subgraphs[0].tensors if t.quantization is not None]
    quantization = rng.choice(tensors).quantization
    odd = [0.0, -1.0, 1e30, 1e-30, float("nan"), float("inf")]
    quantization.scale = [rng.choice(odd)] * rng.choice([1, 2, 1000])
    quantization.zeroPoint = [rng.choice([0, 1 << 40, -(1 << 62)])]


def _wrong_buffer(model: Any, rng: Random) -> None:
    rng.choice(model.subgraphs[0].tensors).buffer = rng.choice([1 << 31, 0, len(model.buffers)])


def _short_buffer(model: Any, rng: Random) -> None:
    full = [buffer for buffer in model.buffers if buffer.data is not None and len(buffer.data)]
    buffer = rng.choice(full)
    buffer.data = buffer.data[: len(buffer.data) // 2]


_GRAPH: dict[str, Callable[[Any, Random], None]] = {
    "huge shape": _huge_shape,
    "huge input": _huge_input,
    "other rank": _other_rank,
    "other type": _other_type,
    "wrong tensors": _wrong_tensor,
    "an operator feeds itself": _operator_feeds_itself,
    "other operator": _other_operator,
    "unknown version": _unknown_version,
    "operators shuffled": _operators_shuffled,
    "an operator left out": _operator_left_out,
    "operators repeated": _operators_repeated,
    "no input or output": _no_input_or_output,
    "odd quantization": _odd_quantization,
    "wrong buffer": _wrong_buffer,
    "short buffer": _short_buffer,
}


def _packed(model: Any) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
