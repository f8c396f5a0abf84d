"""Damaged models, model.json, labels and golden sets, offered as releases to a serving device.

It holds when the worker and this process survive, when every release gets a reason or proves itself
harmless, and when the active release classifies every frame it is given without one failure.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import get_args

from agent.worker.choices import RuntimeName
from states.update import Outcome
from tests.prove.parts import Budget, Part, Progress, Proof
from tests.prove.serving_device import PATIENCE, Contents, ServingDevice, serving_device
from tests.support.golden import archive, coloured
from tests.support.mutations import mutated_bytes, mutated_model
from tests.support.runtimes import works
from tests.support.tiny_models import TinyModel, reversed_colours

MODELS = 520
OF_EACH_OTHER = 20
DEMO = Path(__file__).parents[2] / "demo" / "models"

GOOD: Contents = {
    "ai-model": TinyModel().build(),
    "labels": b"red\ngreen\n",
    "model-settings": json.dumps({"format": 1, "resize": "squash"}).encode(),
    "golden-set": archive(coloured("red", "green")),
}


def parts() -> tuple[Part, ...]:
    """One for each runtime that works here."""
    about = "damaged releases harm neither agent nor worker nor the model that serves"
    names = [name for name in get_args(RuntimeName) if name != "auto" and works(name)]
    return tuple(
        Part(f"mutated-releases-{name}", about, partial(prove, runtime=name)) for name in names
    )


async def prove(folder: Path, budget: Budget, progress: Progress, *, runtime: RuntimeName) -> Proof:
    """Offer one damaged release after the other."""
    proof = Proof(MODELS + 3 * OF_EACH_OTHER)
    worker = {"source": "synthetic:", "frames_per_second": 20, "runtime": runtime}
    update = {"window_frames": 5, "window_least_frames": 1}
    async with serving_device(folder, worker, update, GOOD) as device:
        for number in order():
            progress(proof.done, proof.wanted)
            if proof.done and budget.spent:
                break
            await _offer_damaged(device, number, proof)
            proof.done += 1
            if len(proof.broken) > 10:
                break
        await device.look(proof)
    progress(proof.done, proof.wanted)
    return proof


def order() -> list[int]:
    """Numbers of all cases, so that a short run has some of each kind."""
    others = [MODELS + number for number in range(3 * OF_EACH_OTHER)]
    numbers = list(range(MODELS))
    for position, number in enumerate(others):
        numbers.insert((position + 1) * 8, number)
    return numbers


def damaged(number: int) -> tuple[str, Contents]:
    """How release ``number`` is damaged, and its packages."""
    if number < MODELS:
        # Mostly the small one, for its few bytes are nearly all structure.
        base = GOOD["ai-model"] if number % 3 else (DEMO / "model-2.tflite").read_bytes()
        how, model = mutated_model(base, reversed_colours().build(), number)
        return f"model: {how}", {**GOOD, "ai-model": model}
    name = ("model-settings", "labels", "golden-set")[number % 3]
    return f"{name} damaged", {**GOOD, name: mutated_bytes(GOOD[name], number // 3)}


async def _offer_damaged(device: ServingDevice, number: int, proof: Proof) -> None:
    """Offer damaged release ``number``, see what became of it, and return to the good one."""
    how, contents = damaged(number)
    case = f"release {number} ({how})"
    release = device.release(contents)
    if release.id == device.good.id:
        proof.counts["no damage at all"] += 1
        return
    try:
        ended = await device.offer(release)
    except TimeoutError:
        proof.broken.append(f"{case}: still undecided after {PATIENCE:g} s")
        return
    if ended.outcome is Outcome.CONFIRMED:
        proof.counts["harmless: served, then left again"] += 1
        device.release(GOOD)
        await device.offer(device.good)
    elif ended.reason is None or not ended.detail:
        proof.broken.append(f"{case}: {ended.outcome} without a reason")
    else:
        proof.counts[f"{ended.outcome}: {ended.reason}"] += 1
    await device.see(case, proof)
