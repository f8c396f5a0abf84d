"""What is noted of a download on its way, where, and how often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Checkpoint:
    """What is surely in a partial file.

    ``total_size`` and ``block_size`` are in bytes, ``finished`` is an encoded
    :class:`~agent.download.block_set.BlockSet`, ``etag`` what the server called the artifact.
    """

    total_size: int
    block_size: int
    finished: bytes
    etag: bytes | None


class Checkpoints(Protocol):
    """Remembers checkpoints over a power cut: each call is durable on return."""

    def load(self, sha256: str) -> Checkpoint | None:
        """The last checkpoint of this artifact, or None."""

    def save(self, sha256: str, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint of this artifact. Raises Postponed."""

    def forget(self, sha256: str) -> None:
        """Remove the checkpoint of this artifact, if there is one. Raises Postponed."""


@dataclass(frozen=True)
class CheckpointPace:
    """When a checkpoint is due: before so many blocks are unsaved, or after so many seconds.

    It begins when three quarters of them are, so that the rest may arrive while the disk works.
    """

    blocks: int = 64
    seconds: float = 5.0

    @property
    def early(self) -> int:
        """Unsaved blocks at which a checkpoint begins."""
        return max(1, self.blocks * 3 // 4)
