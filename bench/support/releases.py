"""Pairs of models to swap, as releases on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.support.mobilenet import mobilenet

_DEMO = Path(__file__).parents[2] / "demo" / "models"
_LABELS = _DEMO / "labels.txt"


@dataclass(frozen=True)
class Pair:
    """Two models of one size that take each other's place."""

    name: str
    models: tuple[bytes, bytes]

    @property
    def size(self) -> int:
        """Bytes of one of them."""
        return len(self.models[0])

    def write(self, state_dir: Path) -> tuple[Path, Path]:
        """Lay both out as the agent does, below ``releases/``; returns their folders."""
        first, second = (
            _written(state_dir / "releases" / f"{self.name}-{number}", model)
            for number, model in enumerate(self.models, 1)
        )
        return first, second


def demo_pair() -> Pair:
    """The demo's two int8 models of 0.45 MB, input 320x320."""
    first, second = ((_DEMO / f"model-{number}.tflite").read_bytes() for number in (1, 2))
    return Pair("demo", (first, second))


def large_pair() -> Pair:
    """Two float32 MobileNets of 3.3 MB, input 224x224."""
    return Pair("mobilenet", (mobilenet(1), mobilenet(2)))


def _written(folder: Path, model: bytes) -> Path:
    folder.mkdir(parents=True)
    (folder / "ai-model.tflite").write_bytes(model)
    (folder / "labels.txt").write_bytes(_LABELS.read_bytes())
    return folder
