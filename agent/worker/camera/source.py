"""What every source of pictures gives, whatever it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from agent.worker.model.tensors import Picture


@dataclass(frozen=True)
class Shot:
    """A picture and, from a folder, its file name and the label its sub-folder gives it."""

    picture: Picture
    name: str | None = None
    label: str | None = None


class Source(Protocol):
    """Gives picture after picture, without end. ``paced`` sources take their time themselves."""

    paced: bool

    def open(self) -> None:
        """Get ready; raises SourceError."""

    def read(self) -> Shot:
        """The next picture; raises SourceError."""

    def close(self) -> None:
        """Let go; may be opened again."""
