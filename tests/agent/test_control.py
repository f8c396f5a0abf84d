"""The control socket against clients that do as they please."""

from __future__ import annotations

import asyncio
import base64
import socket
import stat
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.control.errors import SocketUnusable
from agent.control.lines import LINE_BYTES
from agent.control.server import ControlServer
from agent.worker.camera.picture_sources import Drawn
from tests.support.tiny_models import TinyModel
from tests.support.worker_client import Refused, WorkerClient, write_release
from tests.support.worker_harness import running_worker


async def test_only_this_user_may_use_the_socket(tmp_path: Path) -> None:
    async with running_worker(tmp_path):
        assert stat.S_IMODE((tmp_path / "worker.sock").stat().st_mode) == 0o600


async def test_the_group_may_use_it_when_configured(tmp_path: Path) -> None:
    async with running_worker(tmp_path, group_may_control=True):
        assert stat.S_IMODE((tmp_path / "worker.sock").stat().st_mode) == 0o660


async def test_the_socket_is_removed_at_the_end(tmp_path: Path) -> None:
    async with running_worker(tmp_path):
        pass
    assert not (tmp_path / "worker.sock").exists()


async def test_a_socket_left_by_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "worker.sock"))
    async with running_worker(tmp_path) as worker:
        assert (await worker.client.call("status"))["state"] == "waiting"


async def test_a_second_worker_does_not_take_the_socket_of_the_first(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as worker:
        with pytest.raises(SocketUnusable, match="another process"):
            ControlServer().listen(tmp_path / "worker.sock", group=False)
        assert (await worker.client.call("status"))["state"] == "waiting"


async def test_a_file_in_the_sockets_place_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "worker.sock").write_text("precious")
    with pytest.raises(SocketUnusable, match="no socket"):
        ControlServer().listen(tmp_path / "worker.sock", group=False)
    assert (tmp_path / "worker.sock").read_text() == "precious"


@pytest.mark.parametrize("name", ["x" * 120, "missing/worker.sock"])
async def test_a_path_that_can_hold_no_socket_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(SocketUnusable, match="socket"):
        ControlServer().listen(tmp_path / name, group=False)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"no JSON\n", "bad-request"),
        (b"[1]\n", "bad-request"),
        (b"[" * 5000 + b"\n", "bad-request"),
        (b'{"id": 0}\n', "unknown-method"),
        (b'{"id": 0, "method": "fly"}\n', "unknown-method"),
        (b'{"id": 0, "method": ["status"]}\n', "unknown-method"),
        (b'{"id": 0, "method": "status", "params": 7}\n', "bad-request"),
        (b'{"id": 0, "method": "prepare"}\n', "bad-request"),
        (b'{"id": 0, "method": "commit", "params": {"release": 7}}\n', "bad-request"),
        (b'{"id": 0, "method": "results", "params": {"limit": "all"}}\n', "bad-request"),
        (b'{"id": 0, "method": "' + b"x" * 3 * LINE_BYTES + b'"}\n', "bad-request"),
    ],
)
async def test_a_bad_request_is_answered_and_the_client_kept(
    tmp_path: Path, line: bytes, reason: str
) -> None:
    async with running_worker(tmp_path) as worker:
        await worker.client.send_bytes(line)
        stray = await worker.client.event("stray-reply")
        assert stray["error"]["reason"] == reason
        assert stray["error"]["detail"]
        assert (await worker.client.call("status"))["state"] == "waiting"


async def test_arbitrary_lines_never_cost_the_connection(tmp_path: Path) -> None:
    async def answer(_parameters: dict[str, object]) -> dict[str, object]:
        return {"fine": True}

    server = ControlServer()
    server.listen(tmp_path / "s", group=False)
    await server.serve({"ask": answer})
    client = await WorkerClient.connect(tmp_path / "s")
    loop = asyncio.get_running_loop()

    @given(st.binary(max_size=300))
    @settings(max_examples=60, suppress_health_check=list(HealthCheck))
    def survives(line: bytes) -> None:
        asyncio.run_coroutine_threadsafe(client.send_bytes(line + b"\n"), loop).result()
        asking = asyncio.run_coroutine_threadsafe(client.call("ask"), loop)
        assert asking.result(10) == {"fine": True}

    await asyncio.to_thread(survives)
    await client.close()
    await server.close()


async def test_a_defect_is_answered_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def answer(_parameters: dict[str, object]) -> dict[str, object]:
        raise KeyError("nobody thought of this")

    server = ControlServer()
    server.listen(tmp_path / "s", group=False)
    await server.serve({"ask": answer})
    client = await WorkerClient.connect(tmp_path / "s")
    async with asyncio.timeout(10):
        with pytest.raises(Refused, match="internal-error: KeyError"):
            await client.call("ask")
    assert "nobody thought of this" in caplog.text
    await client.close()
    await server.close()


async def test_many_clients_are_served_side_by_side(tmp_path: Path) -> None:
    async with running_worker(tmp_path):
        clients = [await WorkerClient.connect(tmp_path / "worker.sock") for _ in range(20)]
        answers = await asyncio.gather(*(client.call("status") for client in clients))
        assert {answer["state"] for answer in answers} == {"waiting"}
        for client in clients:
            await client.close()


async def test_a_client_that_leaves_while_a_release_loads_harms_nobody(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as worker:
        folder = write_release(tmp_path, "a", TinyModel())
        hasty = await WorkerClient.connect(tmp_path / "worker.sock")
        params = {"release": "a", "folder": str(folder)}
        await hasty.send({"id": 1, "method": "prepare", "params": params})
        await worker.client.until(lambda status: status["candidate"])
        await hasty.close()
        assert (await worker.serve("a"))["release"] == "a"


async def test_only_releases_of_the_agent_are_loaded(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    async with running_worker(tmp_path / "state") as worker:
        folder = write_release(tmp_path / "elsewhere", "a", TinyModel())
        sneaky = f"{tmp_path}/state/releases/../../elsewhere/releases/a"
        for path in (str(folder), sneaky, "/", str(tmp_path / "state" / "releases")):
            with pytest.raises(Refused, match="bad-request"):
                await worker.client.call("prepare", release="a", folder=path)


async def test_a_snapshot_shows_the_frame_it_names(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as worker:
        await worker.serve("a")
        await worker.classified(2)
        snapshot = await worker.client.call("snapshot")
        assert snapshot["release"] == "a"
        assert snapshot["label"] in {"red", "green"}
        assert 0 <= snapshot["confidence"] <= 1
        jpeg = np.frombuffer(base64.b64decode(snapshot["jpeg"]), np.uint8)
        picture = np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.uint8)
        assert Drawn.number_in(picture) == snapshot["frame"]


async def test_without_a_frame_there_is_no_snapshot(tmp_path: Path) -> None:
    async with running_worker(tmp_path, source="dir:/nowhere") as worker:
        with pytest.raises(Refused, match="no-frame"):
            await worker.client.call("snapshot")


async def test_results_can_be_followed_without_gaps_or_repeats(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as worker:
        await worker.serve("a")
        seen: list[int] = []
        while len(seen) < 8:
            after = seen[-1] if seen else -1
            more = (await worker.client.call("results", after=after))["results"]
            seen += [result["frame"] for result in more]
        dropped = (await worker.client.call("status"))["dropped"]
        assert seen == sorted(set(seen))
        assert seen[-1] - seen[0] + 1 - len(seen) <= dropped
        assert (await worker.client.call("results", limit=0))["results"] == []
        assert len((await worker.client.call("results", limit=2))["results"]) == 2


async def test_a_subscriber_that_reads_nothing_is_let_go(tmp_path: Path) -> None:
    server = ControlServer()
    server.listen(tmp_path / "s", group=False)
    await server.serve({})
    reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
    writer.write(b'{"id": 1, "method": "subscribe"}\n')
    await reader.readline()
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    async with asyncio.timeout(10):
        while server.clients:
            server.publish({"event": "statistics", "filling": "x" * 100_000})
            await asyncio.sleep(0)
    writer.close()
    await server.close()
