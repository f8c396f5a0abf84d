"""Latency of each frame and memory of all processes under a camera of 30 frames/s."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.inferring.subject import CAMERA_FRAMES_PER_SECOND, MB, Scale, Subject, bare_times
from bench.report import Row
from bench.support.process import children, proportional_bytes
from bench.support.quantiles import quantile


@dataclass(frozen=True)
class Memory:
    """Proportional set sizes in bytes; ``candidate`` is what a second engine adds."""

    worker: int
    camera: int
    engine: int
    candidate: int


async def at_camera_speed(subject: Subject, folder: Path, scale: Scale) -> list[Row]:
    """The worker beside the bare loop, one after the other."""
    results, memory = await _worker(subject, folder / "ours", scale.seconds)
    async with subject.bare_loop(folder / "bare", scale.seconds, CAMERA_FRAMES_PER_SECOND) as loop:
        bare = await bare_times(loop)
        bare_bytes = proportional_bytes(loop.pid)
    name = f"30 frames/s {subject.name}"
    return [*_latency(name, results, bare), *_memory(name, memory, bare_bytes)]


async def _worker(
    subject: Subject, folder: Path, seconds: float
) -> tuple[list[dict[str, Any]], Memory]:
    frames = int(seconds * CAMERA_FRAMES_PER_SECOND)
    async with subject.worker(folder, CAMERA_FRAMES_PER_SECOND) as worker:
        release, other = subject.pair.write(worker.device.state_dir)
        await worker.serve(release)
        status = await worker.classified(frames)
        results = (await worker.client.results(frames))["results"]
        alone, engine = proportional_bytes(worker.pid), proportional_bytes(status["engine"]["pid"])
        before = _together(worker.pid)
        await worker.client.prepare(other.name)
        candidate = _together(worker.pid) - before
    return results, Memory(alone, before - alone - engine, engine, candidate)


def _latency(name: str, results: list[dict[str, Any]], bare: list[float]) -> list[Row]:
    ours = [result["latency_ms"] for result in results]
    within = [result["preprocess_ms"] + result["inference_ms"] for result in results]
    added = [whole - part for whole, part in zip(ours, within, strict=True)]
    slowest = f"95 %: ours {quantile(ours, 0.95):.1f} ms, bare {quantile(bare, 0.95):.1f} ms"
    handed = f"95 %: {quantile(added, 0.95):.1f} ms; frames handed to the engine and results back"
    return [
        Row(name, "latency", "ms", median(ours), median(bare), note=slowest),
        Row(name, "of it outside the engine", "ms", median(added), note=handed),
    ]


def _memory(name: str, memory: Memory, bare_bytes: int) -> list[Row]:
    whole = (memory.worker + memory.camera + memory.engine) / MB
    parts = (
        f"PSS: worker {memory.worker / MB:.0f} MB, its camera process {memory.camera / MB:.0f} MB, "
        f"engine {memory.engine / MB:.0f} MB"
    )
    return [
        Row(name, "memory", "MB", whole, bare_bytes / MB, note=parts),
        Row(name, "more while a candidate is ready", "MB", memory.candidate / MB),
    ]


def _together(pid: int) -> int:
    """A process and its children."""
    return sum(map(proportional_bytes, [pid, *children(pid)]))
