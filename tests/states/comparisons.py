"""What a worker's comparison of two releases shows: alike, but for what a test changes."""

from __future__ import annotations

from dataclasses import replace

from states.figures import Comparison, Showing

USUAL = Showing(
    captured=300,
    classified=300,
    dropped=0,
    errors=0,
    inference_p50_ms=10.0,
    inference_p95_ms=14.0,
    mean_confidence=0.9,
    classes={"cat": 160, "dog": 140},
    changes=40,
)
ALIKE = Comparison(
    release="new",
    previous="old",
    compared=300,
    agreed=270,
    same_frames=True,
    candidate=USUAL,
    previous_side=USUAL,
)


def compared(
    candidate: dict[str, object] | None = None,
    previous: dict[str, object] | None = None,
    **changes: object,
) -> Comparison:
    sides = {
        "candidate": replace(USUAL, **(candidate or {})),  # type: ignore[arg-type]
        "previous_side": replace(USUAL, **(previous or {})),  # type: ignore[arg-type]
    }
    return replace(ALIKE, **sides, **changes)  # type: ignore[arg-type]


COLLAPSED: dict[str, object] = {"classes": {"cat": 300}}
"""A side that says the same to every frame."""
