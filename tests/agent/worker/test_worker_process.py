"""A worker in a process of its own, as a service manager runs it."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from tests.support.tiny_models import TinyModel
from tests.support.worker_client import WorkerClient, write_release

PROGRAM = """
import asyncio, logging, sys
from pathlib import Path
from agent.worker.main import run_worker
from agent.worker.settings import WorkerSettings
logging.basicConfig(level=logging.INFO)
asyncio.run(run_worker(WorkerSettings(source="synthetic:"), Path(sys.argv[1])))
"""


class Manager:
    """The service manager's end of the notification socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)

    async def told(self, line: str) -> None:
        """Wait until the worker says so."""
        loop = asyncio.get_running_loop()
        while line not in (await loop.sock_recv(self._socket, 4096)).decode().splitlines():
            pass

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
async def manager(tmp_path: Path) -> AsyncIterator[Manager]:
    manager = Manager(tmp_path / "notify.sock")
    yield manager
    manager.close()


@pytest.fixture
async def worker(tmp_path: Path, manager: Manager) -> AsyncIterator[asyncio.subprocess.Process]:
    """Serves release a, which is current."""
    (tmp_path / "current").symlink_to(write_release(tmp_path, "a", TinyModel()))
    async with started(tmp_path, manager) as process:
        yield process


def started(
    state_dir: Path, manager: Manager
) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
    """A worker that the service manager watches."""
    return running((sys.executable, "-c", PROGRAM, str(state_dir)), manager, WATCHDOG_USEC="100000")


@asynccontextmanager
async def running(
    command: Sequence[str], manager: Manager, **environment: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process; killed at the end if it is still there."""
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, "NOTIFY_SOCKET": str(manager.path), **environment}
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def engine_pid(state_dir: Path) -> int:
    """Process id of the serving engine, as soon as there is one."""
    client = await WorkerClient.connect(state_dir / "worker.sock")
    status = await client.until(lambda now: now["engine"] and now["classified"])
    await client.close()
    return int(status["engine"]["pid"])


def threads_of(pid: int) -> list[int]:
    return [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]


async def ended(descriptor: int) -> None:
    """Wait for the process behind a pidfd; also one that nobody waits for."""
    await asyncio.to_thread(select.select, [descriptor], [], [])
    os.close(descriptor)


async def test_the_service_manager_is_told(
    worker: asyncio.subprocess.Process, manager: Manager
) -> None:
    await manager.told("READY=1")
    await manager.told("WATCHDOG=1")
    worker.terminate()
    await manager.told("STOPPING=1")
    assert await worker.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_polite_end_leaves_nothing_behind(
    worker: asyncio.subprocess.Process, tmp_path: Path, number: signal.Signals
) -> None:
    engine = os.pidfd_open(await engine_pid(tmp_path))
    worker.send_signal(number)
    assert await worker.wait() == 0
    await ended(engine)
    assert not (tmp_path / "worker.sock").exists()


async def test_an_engine_does_not_outlive_a_killed_worker(
    worker: asyncio.subprocess.Process, tmp_path: Path
) -> None:
    engine = os.pidfd_open(await engine_pid(tmp_path))
    worker.kill()
    await ended(engine)


async def test_a_worker_killed_and_started_again_serves_the_same_release(
    worker: asyncio.subprocess.Process, tmp_path: Path, manager: Manager
) -> None:
    first = await engine_pid(tmp_path)
    worker.kill()
    await worker.wait()
    async with started(tmp_path, manager) as again:
        assert await engine_pid(tmp_path) != first
        again.terminate()
        assert await again.wait() == 0


async def test_a_signal_sent_to_all_its_processes_ends_it_without_complaint(
    worker: asyncio.subprocess.Process, tmp_path: Path
) -> None:
    pid = await engine_pid(tmp_path)
    engine = os.pidfd_open(pid)
    os.kill(pid, signal.SIGTERM)
    worker.terminate()
    assert await worker.wait() == 0
    await ended(engine)


async def test_a_serving_engine_has_the_priority_of_the_worker(
    worker: asyncio.subprocess.Process, tmp_path: Path
) -> None:
    pid = await engine_pid(tmp_path)
    wanted = os.getpriority(os.PRIO_PROCESS, worker.pid)
    assert os.getpriority(os.PRIO_PROCESS, pid) == wanted
    lowered = [
        thread for thread in threads_of(pid) if os.getpriority(os.PRIO_PROCESS, thread) != wanted
    ]
    assert len(lowered) <= 1  # the one that warms up and classifies along quietly


async def test_a_worker_told_to_start_again_is_the_same_process_with_a_new_life(
    tmp_path: Path, manager: Manager
) -> None:
    (tmp_path / "current").symlink_to(write_release(tmp_path, "a", TinyModel()))
    command = (sys.executable, "-m", "agent", "worker")
    where = {
        "EDGEFERRY_DEVICE__STATE_DIR": str(tmp_path),
        "EDGEFERRY_WORKER__SOURCE": "synthetic:",
    }
    async with running(command, manager, **where) as process:
        lives = []
        for _life in range(2):
            await manager.told("READY=1")
            client = await WorkerClient.connect(tmp_path / "worker.sock")
            status = await client.until(lambda now: now["classified"] > 0)
            lives.append(status["instance"])
            if len(lives) == 1:
                assert await client.call("restart") == {"restarts": True}
            await client.close()
        assert lives[0] != lives[1]
        assert process.returncode is None
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
