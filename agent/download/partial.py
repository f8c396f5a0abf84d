"""One artifact while it is gathered, block by block and in any order.

Rules:

* Data first, then the note: the file is synced before the blocks in it are recorded as finished.
  So a power cut costs what arrived since the last checkpoint and nothing else.
* What is not surely in the file is fetched again: without a note, or with one that does not fit
  the file, the blocks concerned count as never received. The SHA-256 decides in the end anyway.
"""

from __future__ import annotations

import logging
import stat
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from agent.download.block_set import BlockSet
from agent.download.checkpoint import Checkpoint, CheckpointPace, Checkpoints
from agent.service.background import run_to_the_end
from agent.store.files import Files, OpenFile, storage_errors
from states.ports import Postponed

logger = logging.getLogger(__name__)

LARGEST_BLOCK = 1024
_BLOCK_SIZES = frozenset(16 << exponent for exponent in range(7))  # RFC 7959, 2.2
_MODE = 0o640


class Partial:
    """A partial file and the set of blocks in it. Opening it resumes or begins it.

    ``finished`` are the blocks in the file, ``block_size`` their size, ``etag`` the server's name
    for the artifact they belong to. Raises Postponed from every method that touches the disk.
    """

    finished: BlockSet
    block_size: int
    etag: bytes | None
    _file: OpenFile
    _unsaved: int
    _doubtful: bool
    _checkpoint_at: float

    def __init__(
        self,
        path: Path,
        sha256: str,
        total_size: int,
        checkpoints: Checkpoints,
        *,
        pace: CheckpointPace | None = None,
        files: Files | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = path
        self.total_size = total_size
        self._sha256 = sha256
        self._checkpoints = checkpoints
        self._pace = pace or CheckpointPace()
        self._files = files or Files()
        self._clock = clock
        self._syncing: OpenFile | None = None
        self._resume()

    # What is there.

    @property
    def complete(self) -> bool:
        """Whether every block is in the file."""
        return self.finished.complete

    @property
    def bytes_done(self) -> int:
        """Bytes in finished blocks."""
        absent_tail = self.finished.total * self.block_size - self.total_size
        last_is_in = self.finished.total - 1 in self.finished
        return len(self.finished) * self.block_size - (absent_tail if last_is_in else 0)

    @property
    def checkpoint_due(self) -> bool:
        """Whether enough blocks or time have passed since the last checkpoint."""
        waited = self._clock() - self._checkpoint_at >= self._pace.seconds
        return self._unsaved >= self._pace.early or (self._unsaved > 0 and waited)

    @property
    def at_stake(self) -> bool:
        """Whether as many blocks are unsaved as may be lost: the disk has to catch up first."""
        return self._unsaved >= self._pace.blocks

    def length_of(self, number: int) -> int:
        """Bytes of a block: the block size, except for the last one."""
        return min(self.block_size, self.total_size - number * self.block_size)

    # Gathering.

    def write(self, number: int, payload: bytes) -> bool:
        """Put a block in its place; False when it was there already. ValueError if it can't fit."""
        if len(payload) != self.length_of(number):
            raise ValueError(f"block {number}: {len(payload)} bytes, not {self.length_of(number)}")
        if number in self.finished:
            return False
        self._files.write_at(self._file, number * self.block_size, payload)
        self._unsaved += 1
        return self.finished.add(number)

    def checkpoint(self) -> None:
        """Sync the data, then record which blocks are finished; nothing to do without new ones."""
        if not self._unsaved:
            return
        noted = self._note()
        self._sync()
        self._record(noted)

    async def checkpoint_beside(self) -> None:
        """As :meth:`checkpoint`, waiting for the disk beside the event loop.

        Blocks may be written meanwhile; they belong to the next checkpoint.
        """
        if not self._unsaved:
            return
        noted, file = self._note(), self._file
        self._syncing = file
        try:
            await run_to_the_end(self._sync)
        finally:
            self._syncing = None
            if self._file is not file:
                self._files.close(file)
        if self._file is file:  # not started over meanwhile
            self._record(noted)

    def use_smaller_blocks(self, block_size: int) -> None:
        """Go on with smaller blocks; what is finished stays finished."""
        factor = self.block_size // block_size
        self.finished = self.finished.split(factor, _count(self.total_size, block_size))
        self.block_size = block_size
        self._unsaved *= factor

    def start_over(self) -> None:
        """Drop everything gathered so far and begin with an empty file."""
        old, self._doubtful = self._file, True
        self._begin()
        if old is not self._syncing:
            self._files.close(old)

    def close(self) -> None:
        """Record what has arrived and close the file."""
        try:
            # After a failed sync nobody knows what reached the disk: the last checkpoint counts.
            if not self._doubtful:
                self.checkpoint()
        finally:
            self._files.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        try:
            self.close()
        except Postponed as second:
            if error is None:
                raise
            logger.warning("no last checkpoint of %s: %s", self.path, second)

    # Inside.

    def _resume(self) -> None:
        noted = self._checkpoints.load(self._sha256)
        finished = self._still_there(noted) if noted else None
        if noted is None or finished is None:
            self._begin()
            return
        # Killed while a complete file was being admitted, it is read-only already.
        self._files.set_mode(self.path, _MODE)
        self._file = self._files.open(self.path, writing=True)
        self._reset(finished, noted.block_size, noted.etag)

    def _still_there(self, noted: Checkpoint) -> BlockSet | None:
        """The blocks of a checkpoint that the file can hold, None if they don't belong together."""
        with storage_errors(self.path):
            found = self.path.lstat() if self.path.is_file() else None
        fits = noted.total_size == self.total_size and noted.block_size in _BLOCK_SIZES
        if not fits or not found or not stat.S_ISREG(found.st_mode):
            return None
        if found.st_size > self.total_size:
            return None
        count = _count(self.total_size, noted.block_size)
        sure = count if found.st_size == self.total_size else found.st_size // noted.block_size
        try:
            return BlockSet.decode(noted.finished, count).below(sure)
        except ValueError as error:
            logger.warning("%s: checkpoint not usable: %s", self.path, error)
            return None

    def _begin(self) -> None:
        # First the note, then the file: a note must never outlive the data it speaks of.
        self._checkpoints.forget(self._sha256)
        self._files.remove_tree(self.path)
        file = self._files.create(self.path, _MODE)
        try:
            self._files.sync_folder(self.path.parent)
        except Postponed:
            self._files.close(file)
            raise
        self._file = file
        self._reset(BlockSet(_count(self.total_size, LARGEST_BLOCK)), LARGEST_BLOCK, None)

    def _reset(self, finished: BlockSet, block_size: int, etag: bytes | None) -> None:
        self.finished = finished
        self.block_size = block_size
        self.etag = etag
        self._unsaved = 0
        self._doubtful = False
        self._checkpoint_at = self._clock()

    def _note(self) -> tuple[Checkpoint, int]:
        finished = self.finished.encode()
        note = Checkpoint(self.total_size, self.block_size, finished, self.etag)
        return note, self._unsaved

    def _sync(self) -> None:
        try:
            self._files.sync_data(self._file)
        except Postponed:
            self._doubtful = True
            raise

    def _record(self, noted: tuple[Checkpoint, int]) -> None:
        checkpoint, blocks = noted
        self._checkpoints.save(self._sha256, checkpoint)
        self._unsaved -= blocks
        self._checkpoint_at = self._clock()


def _count(total_size: int, block_size: int) -> int:
    return max(0, -(-total_size // block_size))
