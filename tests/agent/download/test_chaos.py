"""Many short downloads over links as bad as chance makes them; each ends byte-identical."""

from __future__ import annotations

import asyncio
import hashlib
import random
from contextlib import suppress
from pathlib import Path

import pytest

from bench.link import Conditions, Link, Way, link_to
from protocol.server import Server
from states.model import Package
from tests.support.artifact_server import (
    Artifacts,
    new_downloader,
    open_session,
    seeded_mischief,
    serve_artifacts,
)
from tests.support.releases import new_store

RUNS = 120
"""Whole updates over such links, by the thousand: ``make prove``."""
AT_A_TIME = 60


def some_way(chance: random.Random) -> Way:
    return Way(
        delay=chance.choice([0.0, 0.002, 0.01, 0.04]),
        jitter=chance.choice([0.0, 0.0, 0.01]),
        loss=chance.choice([0.0, 0.01, 0.05, 0.1]),
        duplicate=chance.choice([0.0, 0.05, 0.3]),
        reorder=chance.choice([0.0, 0.05, 0.2]),
        reorder_by=chance.choice([0.005, 0.05]),
        corrupt=chance.choice([0.0, 0.02]),
        bits_per_second=chance.choice([None, None, 2e6]),
        queue=chance.choice([0.02, 0.1]),
    )


class Run:
    """One download under seeded conditions."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.chance = random.Random(seed)
        self.store = new_store(folder)
        self.artifacts = Artifacts()
        self.contents = {
            "/labels": self.chance.randbytes(self.chance.randrange(1, 600)),
            "/model": self.chance.randbytes(self.chance.randrange(1, 60_000)),
        }
        self.artifacts.content |= self.contents
        share = self.chance.choice([0.0, 0.0, 0.02])
        self.artifacts.mischief = seeded_mischief(seed, share, "/model")
        self.packages = tuple(
            Package(path[1:], "1", hashlib.sha256(content).hexdigest(), len(content), path)
            for path, content in self.contents.items()
        )
        self.conditions = Conditions(some_way(self.chance), some_way(self.chance))
        self.accident = self.chance.choice([None, None, "rebind", "blackout", "restart", "replace"])

    async def play(self, seed: int) -> None:
        server = await serve_artifacts(self.artifacts)
        async with link_to(server.address, self.conditions, seed=seed, own_process=False) as link:
            session = open_session(link.address, handshake_timeout=8.0)
            task = asyncio.create_task(session.run())
            await session.wait_connected()
            fetching = asyncio.create_task(
                new_downloader(self.store, session).fetch(self.packages, lambda _d, _t: None)
            )
            try:
                server = await self.happen(link, server)
                await fetching
            finally:
                fetching.cancel()
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
                await server.close()
        for package in self.packages:
            blob = self.store.state_dir / "blobs" / package.sha256
            assert blob.read_bytes() == self.contents[package.uri]

    async def happen(self, link: Link, server: Server) -> Server:
        """The accident, some time after the download began."""
        if self.accident is None:
            return server
        await self.some_blocks()
        if self.accident == "rebind":
            await link.rebind()
        elif self.accident == "blackout":
            await link.blackout(self.chance.uniform(0.05, 1.0))
        elif self.accident == "replace":
            self.artifacts.etags["/model"] = b"other"
        else:
            port = server.address[1]
            await server.close()
            return await serve_artifacts(self.artifacts, port)
        return server

    async def some_blocks(self) -> None:
        """Until some of the blocks were asked for; a short one may be over by then."""
        wanted = self.chance.randrange(1, 40)
        for _ in range(200):
            if len(self.artifacts.asked) >= min(wanted, len(self.contents["/model"]) // 1024):
                return
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("first", range(0, RUNS, AT_A_TIME))
async def test_whatever_the_link_does_the_bytes_are_the_published_ones(
    tmp_path: Path, first: int
) -> None:
    async with asyncio.TaskGroup() as group:
        for seed in range(first, first + AT_A_TIME):
            folder = tmp_path / str(seed)
            folder.mkdir()
            group.create_task(Run(seed, folder).play(seed), name=str(seed))
