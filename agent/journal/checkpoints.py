"""Download checkpoints in the journal: which blocks of a partial file are surely on the disk."""

from __future__ import annotations

from collections.abc import Callable

from sqlite_utils import Database

from agent.download.block_set import BlockSet
from agent.download.checkpoint import Checkpoint
from agent.wall_clock import utc_now


class JournalCheckpoints:
    """Implements :class:`agent.download.checkpoint.Checkpoints`, one row per partial file.

    ``on_save`` is called within the transaction of every checkpoint.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self.on_save: Callable[[], None] = _nothing_more

    def load(self, sha256: str) -> Checkpoint | None:
        """The last checkpoint of this artifact, or None."""
        row = self._db.execute(
            "SELECT total_size, block_size, finished, etag FROM checkpoints WHERE sha256 = ?",
            [sha256],
        ).fetchone()
        return None if row is None else Checkpoint(*row)

    def held_bytes(self, sha256: str) -> int:
        """Bytes of this artifact in its partial file, as of the last checkpoint."""
        checkpoint = self.load(sha256)
        if checkpoint is None:
            return 0
        blocks = -(-checkpoint.total_size // checkpoint.block_size)
        finished = len(BlockSet.decode(checkpoint.finished, blocks))
        return min(checkpoint.total_size, finished * checkpoint.block_size)

    def save(self, sha256: str, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint of this artifact. Raises Postponed."""
        with self._db.atomic():
            self.on_save()
            self._db.table("checkpoints").upsert(
                {
                    "sha256": sha256,
                    "total_size": checkpoint.total_size,
                    "block_size": checkpoint.block_size,
                    "finished": checkpoint.finished,
                    "etag": checkpoint.etag,
                    "at": utc_now(),
                },
                pk="sha256",
            )

    def forget(self, sha256: str) -> None:
        """Remove the checkpoint of this artifact, if there is one. Raises Postponed."""
        self._db.execute("DELETE FROM checkpoints WHERE sha256 = ?", [sha256])


def _nothing_more() -> None:
    """Nobody counts."""
