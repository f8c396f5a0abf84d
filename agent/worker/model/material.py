"""A release's files as an engine or a trial reads them, before anything looks into the model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agent.worker.model.classifier import ClassifierSettings
from agent.worker.model.labels import read_labels
from states.ports import Rejected
from states.reasons import Rejection

if TYPE_CHECKING:
    from pathlib import Path

MAX_MODEL_BYTES = 256 << 20


@dataclass(frozen=True)
class Material:
    """Model and labels in memory, and how to run them.

    ``latency_budget_ms`` is the release's own, 0 for none.
    """

    model: bytes
    labels: tuple[str, ...]
    settings: ClassifierSettings
    latency_budget_ms: float = 0.0


def read_material(
    model: Path,
    labels: Path,
    model_settings: Path | None,
    configured: ClassifierSettings,
    max_model_bytes: int = MAX_MODEL_BYTES,
) -> Material:
    """Read the files; ``model_settings`` is the release's ``model.json``, if it has one.

    Raises Rejected (MODEL_SETTINGS_INVALID, LABELS_INVALID, TOO_LARGE), or OSError when a file
    can't be read.
    """
    settings, duplicates, budget = configured, False, 0.0
    if model_settings is not None:
        # Only a release that has such a file pays for the library that checks it.
        from agent.worker.model.settings import read_model_settings

        own = read_model_settings(model_settings)
        settings = replace(
            configured,
            preprocessing=own.preprocessing(configured.preprocessing),
            input=own.input.declared(),
            output=own.output.declared(),
        )
        duplicates, budget = own.allow_duplicate_labels, own.latency_budget_ms or 0.0
    names = read_labels(labels, allow_duplicates=duplicates)
    # From bytes: a file that is changed under a memory-mapped model kills its process.
    return Material(_read_model(model, max_model_bytes), names, settings, budget)


def _read_model(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        model = file.read(most + 1)
    if len(model) > most:
        raise Rejected(Rejection.TOO_LARGE, f"the model has more than {most} bytes")
    return model
