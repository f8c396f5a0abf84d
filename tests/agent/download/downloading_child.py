"""Downloads one artifact from a slow source in this process until it is killed or done.

Arguments: state directory, length of the artifact, requests in flight. Every number that the source
serves is written to standard output first, so that the parent knows what was asked for, and when.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import sys
from pathlib import Path

from agent.download.downloader import Downloader, DownloadSettings
from agent.journal.checkpoints import JournalCheckpoints
from agent.journal.opening import open_journal
from agent.store.names import PackageNames
from agent.store.release_store import ReleaseStore
from states.model import Package
from tests.support.downloading import Answer, AskedInTasks


def artifact(length: int) -> bytes:
    return random.Random(length).randbytes(length)


class SlowSource(AskedInTasks):
    def __init__(self, content: bytes) -> None:
        super().__init__()
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
        names=PackageNames(),
        reserve_bytes=0,
        keep_releases=1,
    )
    store.prepare()
    package = Package("ai-model", "1", hashlib.sha256(content).hexdigest(), length, "/model")
    checkpoints = JournalCheckpoints(open_journal(state_dir / "state.db"))
    settings = DownloadSettings(in_flight=in_flight)
    downloader = Downloader(store, checkpoints, SlowSource(content), settings)
    asyncio.run(downloader.fetch((package,), lambda _done, _total: None))
    sys.stdout.write("done\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
