"""Good models, deployed in turns to a device that watches them: none may be refused.

Each is a release of its own that the device has not confirmed before, so every window compares it
with the one that serves. Law, journal, store, verifier, worker and engines are the real ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

from demo.show import gather
from states.update import Outcome
from tests.prove.parts import Budget, Part, Progress, Proof
from tests.prove.serving_device import Contents, ServingDevice, serving_device

RUNS = 50
FRAMES_PER_SECOND = 60
WINDOW_FRAMES = 240
"""Half of them must be enough to be judged apart."""

FILES = gather()
MODELS = (FILES.model_2, FILES.another_model, FILES.model_2, FILES.model_1)


def parts() -> tuple[Part, ...]:
    """The one part there is."""
    return (Part("good-models", "the commit window refuses no good model", prove),)


def release(number: int) -> Contents:
    """The packages of run ``number``: a model that no earlier run had, byte for byte."""
    model = MODELS[number % len(MODELS)].read_bytes() + number.to_bytes(4, "little")
    return {"ai-model": model, "labels": FILES.labels.read_bytes()}


async def prove(folder: Path, budget: Budget, progress: Progress) -> Proof:
    """Deploy one after the other."""
    proof = Proof(RUNS)
    worker = {
        "source": f"dir:{FILES.pictures}",
        "picture_order": "shuffled",
        "frames_per_second": FRAMES_PER_SECOND,
    }
    update = {"window_frames": WINDOW_FRAMES}
    async with serving_device(folder, worker, update, release(0)) as device:
        for number in range(1, RUNS + 1):
            progress(proof.done, proof.wanted)
            if proof.done and budget.spent:
                break
            await _deploy(device, number, proof)
            proof.done += 1
        await device.look(proof)
    progress(proof.done, proof.wanted)
    return proof


async def _deploy(device: ServingDevice, number: int, proof: Proof) -> None:
    ended = await device.offer(device.release(release(number)))
    name = MODELS[number % len(MODELS)].stem
    proof.counts[f"{ended.outcome}: {name}"] += 1
    if ended.outcome is not Outcome.CONFIRMED:
        proof.broken.append(f"run {number} ({name}): {ended.reason}: {ended.detail}")
    checks = cast(list[dict[str, str]], device.window(ended).get("checks", []))
    for check in checks:
        proof.counts[f"{check['name']}: {check['result']}"] += 1
