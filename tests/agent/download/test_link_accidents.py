"""What happens to a link during a download, on real DTLS; and peers of few talents."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from aiocoap import Code, Message

from agent.download.checkpoint import CheckpointPace
from agent.download.downloader import Downloader, DownloadSettings
from agent.download.engine import Settle
from agent.download.silence import Patience
from bench.link import Conditions, Link, link_to
from protocol.errors import LinkError, ResponseError
from protocol.server import Server
from protocol.session import DeviceSession
from states.model import Package
from states.ports import Postponed
from states.reasons import Transient
from tests.support.artifact_server import Artifacts, new_downloader, open_session, serve_artifacts
from tests.support.downloading import Answer, Device, MemoryCheckpoints
from tests.support.downloading import Server as ScriptedServer
from tests.support.releases import new_store

MODEL = random.Random(1).randbytes(200 * 1024 + 7)
BLOCKS = 201


def package(content: bytes, path: str = "/model") -> Package:
    return Package(path[1:], "1", hashlib.sha256(content).hexdigest(), len(content), path)


class Scene:
    """A server, a link to it and a device with its session."""

    def __init__(self, folder: Path, server: Server, link: Link, session: DeviceSession) -> None:
        self.server, self.link, self.session = server, link, session
        self.store = new_store(folder)
        self.checkpoints = MemoryCheckpoints()
        self.artifacts: Artifacts

    def downloader(self, patience: Patience | None = None) -> Downloader:
        settings = DownloadSettings(
            pace=CheckpointPace(blocks=16), patience=patience or Patience(link=0.5, download=30.0)
        )
        return Downloader(self.store, self.checkpoints, self.session, settings)

    async def fetch_with(self, accident: object, downloader: Downloader | None = None) -> None:
        """Fetch; once a quarter of the blocks was asked for, the accident happens."""
        fetching = asyncio.ensure_future(
            (downloader or self.downloader()).fetch((package(MODEL),), lambda _d, _t: None)
        )
        try:
            await self.asked(BLOCKS // 4)
            await accident()  # type: ignore[operator]
            await fetching
        finally:
            fetching.cancel()

    async def asked(self, count: int) -> None:
        while len(self.artifacts.asked) < count:  # noqa: ASYNC110 - the server has no event
            await asyncio.sleep(0.001)

    @property
    def is_whole(self) -> bool:
        return (self.store.state_dir / "blobs" / package(MODEL).sha256).read_bytes() == MODEL


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    artifacts = Artifacts()
    artifacts.content["/model"] = MODEL
    server = await serve_artifacts(artifacts)
    # 200 blocks take half a second.
    conditions = Conditions.both_ways(0.02, bits_per_second=4e6)
    async with link_to(server.address, conditions, own_process=False) as link:
        session = open_session(link.address, handshake_timeout=1.0)
        task = asyncio.create_task(session.run())
        await session.wait_connected()
        made = Scene(tmp_path, server, link, session)
        made.artifacts = artifacts
        yield made
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    await made.server.close()


async def test_a_nat_that_forgets_the_port_costs_a_handshake(scene: Scene) -> None:
    await scene.fetch_with(scene.link.rebind)
    assert scene.is_whole
    assert len(scene.artifacts.asked) - BLOCKS <= 64  # what was under way


async def test_a_server_that_restarts_costs_what_was_under_way(scene: Scene) -> None:
    async def restart() -> None:
        port = scene.server.address[1]
        await scene.server.close()
        scene.server = await serve_artifacts(scene.artifacts, port)

    await scene.fetch_with(restart)
    assert scene.is_whole
    assert len(scene.artifacts.asked) - BLOCKS <= 64


async def test_a_short_hole_is_slept_through(scene: Scene) -> None:
    downloader = scene.downloader(Patience(link=10.0, download=30.0))
    await scene.fetch_with(lambda: scene.link.blackout(0.7), downloader)
    assert scene.is_whole
    assert downloader.statistics.retransmissions >= 1


async def test_a_link_that_stays_down_postpones_and_the_rest_is_fetched_later(
    scene: Scene,
) -> None:
    with pytest.raises(Postponed) as raised:
        await scene.fetch_with(scene.link.blackout, scene.downloader(Patience(0.5, 1.5)))
    assert raised.value.reason is Transient.LINK_LOST
    assert "/model" in raised.value.detail
    before = len(scene.artifacts.asked)

    await scene.link.restore()
    await scene.session.wait_connected()
    downloader = scene.downloader()
    await downloader.fetch((package(MODEL),), lambda _d, _t: None)
    assert scene.is_whole
    finished = BLOCKS - downloader.downloaded_bytes // 1024
    assert finished >= before - 64
    assert downloader.downloaded_bytes <= (BLOCKS - finished + 64) * 1024


async def test_an_artifact_replaced_on_the_way_is_begun_again(scene: Scene) -> None:
    scene.artifacts.content["/model"] = bytes(len(MODEL))
    scene.artifacts.etags["/model"] = b"old"

    async def replace() -> None:
        scene.artifacts.content["/model"] = MODEL
        scene.artifacts.etags["/model"] = b"new"

    await scene.fetch_with(replace)
    assert scene.is_whole


async def test_a_download_begun_without_a_link_waits_for_it(tmp_path: Path) -> None:
    artifacts = Artifacts()
    artifacts.content["/model"] = MODEL
    server = await serve_artifacts(artifacts)
    session = open_session(server.address)
    store = new_store(tmp_path)
    fetching = asyncio.ensure_future(
        new_downloader(store, session).fetch((package(MODEL),), lambda _d, _t: None)
    )
    await asyncio.sleep(0)
    task = asyncio.create_task(session.run())
    try:
        await fetching
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await server.close()
    assert store.has(package(MODEL))


async def test_a_server_with_a_limit_nobody_told_of_is_obeyed(scene: Scene) -> None:
    loop, refusals, taken = asyncio.get_running_loop(), [0], list[float]()

    def limited(_artifacts: Artifacts, _count: int, answer: Message) -> Message:
        taken[:] = [at for at in taken if at > loop.time() - 1.0]
        if len(taken) >= 60:
            refusals[0] += 1
            return Message(code=Code.TOO_MANY_REQUESTS, max_age=1)
        taken.append(loop.time())
        return answer

    scene.artifacts.mischief = limited
    short = MODEL[: 90 * 1024]
    scene.artifacts.content["/short"] = short
    await scene.downloader().fetch((package(short, "/short"),), lambda _d, _t: None)
    assert scene.store.has(package(short, "/short"))
    assert refusals[0] <= 60  # one window's worth


async def test_statistics_tell_how_it_went(scene: Scene) -> None:
    downloader = scene.downloader()
    assert downloader.statistics.smoothed_rtt is None
    await downloader.fetch((package(MODEL),), lambda _d, _t: None)
    told = downloader.statistics
    assert told.blocks == BLOCKS
    assert told.smoothed_rtt is not None
    assert told.minimum_rtt is not None
    assert 0.02 <= told.minimum_rtt <= told.smoothed_rtt
    assert told.window > 1
    assert told.bytes_per_second > 0


# Peers of few talents, scripted.


class DeafToNon(ScriptedServer):
    """Answers confirmable requests only."""

    def ask_block(
        self, uri: str, number: int, size_exponent: int, settle: Settle, *, confirmable: bool
    ) -> bytes:
        if not confirmable:
            return b"never answered %d" % number
        return super().ask_block(uri, number, size_exponent, settle, confirmable=confirmable)


class RejectsNon(DeafToNon):
    """Answers a non-confirmable request with a reset."""

    def ask_block(
        self, uri: str, number: int, size_exponent: int, settle: Settle, *, confirmable: bool
    ) -> bytes:
        if not confirmable:
            asyncio.get_running_loop().call_soon(settle, LinkError("a reset"))
        return super().ask_block(uri, number, size_exponent, settle, confirmable=confirmable)


class OneAtATime(ScriptedServer):
    """Drops, or refuses, what comes while it is at work."""

    refusal: ResponseError | None = None

    async def get_block(self, uri: str, number: int, size_exponent: int = 6) -> Answer:
        if self.under_way:
            if self.refusal is not None:
                raise self.refusal
            await asyncio.Event().wait()
        return await super().get_block(uri, number, size_exponent)


def scripted(folder: Path, server: ScriptedServer) -> tuple[Device, Package]:
    device = Device(folder)
    device.server = server
    wanted = device.publish("ai-model", MODEL[: 30 * 1024])
    settings = DownloadSettings(patience=Patience(link=10.0, download=20.0))
    device.downloader = Downloader(device.store, device.notes, server, settings)
    return device, wanted


@pytest.mark.parametrize("peer", [DeafToNon, RejectsNon])
async def test_a_peer_that_takes_confirmable_requests_only_is_given_those(
    tmp_path: Path, peer: type[ScriptedServer]
) -> None:
    device, wanted = scripted(tmp_path, peer())
    await device.fetch(wanted)
    assert device.content(wanted) == MODEL[: 30 * 1024]


@pytest.mark.parametrize("refusal", [None, ResponseError(Code.SERVICE_UNAVAILABLE, "busy")])
async def test_a_peer_that_does_one_thing_at_a_time_is_asked_one_by_one(
    tmp_path: Path, refusal: ResponseError | None
) -> None:
    peer = OneAtATime()
    peer.refusal = refusal
    device, wanted = scripted(tmp_path, peer)
    await device.fetch(wanted)
    assert device.content(wanted) == MODEL[: 30 * 1024]
