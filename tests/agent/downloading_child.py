"""Downloads one artifact from a slow source in this process until it is killed or done.

Arguments: state directory, length of the artifact, requests in flight. Every number that the source
serves is written to standard output first, so that the parent knows what was asked for, and when.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import sqlite3
import sys
from dataclasses import dataclass
from pathlib import Path

from agent.download import Downloader, DownloadSettings
from agent.partial import Checkpoint
from agent.store import ReleaseStore
from states.model import Package


def artifact(length: int) -> bytes:
    return random.Random(length).randbytes(length)


class SqliteCheckpoints:
    """As durable as the journal's."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS notes"
            " (sha256 PRIMARY KEY, total_size, block_size, finished, etag)"
        )

    def load(self, sha256: str) -> Checkpoint | None:
        row = self._db.execute("SELECT * FROM notes WHERE sha256 = ?", [sha256]).fetchone()
        return Checkpoint(*row[1:]) if row else None

    def save(self, sha256: str, checkpoint: Checkpoint) -> None:
        c = checkpoint
        row = [sha256, c.total_size, c.block_size, c.finished, c.etag]
        self._db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?, ?, ?, ?)", row)

    def forget(self, sha256: str) -> None:
        self._db.execute("DELETE FROM notes WHERE sha256 = ?", [sha256])


@dataclass(frozen=True)
class Answer:
    number: int
    more: bool
    payload: bytes
    total_size: int | None
    etag: bytes | None = None


class SlowSource:
    def __init__(self, content: bytes) -> None:
        self._content = content

    async def get_block(self, uri: str, number: int, size_exponent: int = 6) -> Answer:
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
        await asyncio.sleep(0.0005)
        size = 16 << size_exponent
        end = (number + 1) * size
        payload = self._content[number * size : end]
        return Answer(number, end < len(self._content), payload, len(self._content))


def main(state_dir: Path, length: int, in_flight: int) -> None:
    content = artifact(length)
    store = ReleaseStore(
        state_dir,
        model_package="ai-model",
        labels_package="labels",
        reserve_bytes=0,
        keep_releases=1,
    )
    store.prepare()
    package = Package("ai-model", "1", hashlib.sha256(content).hexdigest(), length, "/model")
    checkpoints = SqliteCheckpoints(state_dir / "checkpoints.db")
    settings = DownloadSettings(in_flight=in_flight)
    downloader = Downloader(store, checkpoints, SlowSource(content), settings)
    asyncio.run(downloader.fetch((package,), lambda _done, _total: None))
    sys.stdout.write("done\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
