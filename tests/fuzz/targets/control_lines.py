"""Lines at the control sockets: each is answered, none meets a defect or opens what is outside."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, cast

from agent.assembly import Agent
from agent.config import Settings
from agent.control.lines import LINE_BYTES
from agent.control.parameters import Parameters
from agent.control.server import ControlServer
from agent.operations import Operations
from agent.samples.settings import SampleChoice
from agent.store.names import PackageNames
from agent.worker import log_lines
from agent.worker.engines.settings import ReleaseFiles
from agent.worker.methods import ReleaseLayout, WorkerMethods
from agent.worker.onlookers import Onlookers
from agent.worker.preview.settings import PreviewSettings
from tests.fuzz.memory_link import no_error_logged, quiet
from tests.fuzz.target import Attempt, check_text, chosen, require

_PATIENCE = 20.0


class _Worker:
    """In place of what runs engines: takes every release."""

    def __init__(self, state_dir: Path) -> None:
        self._releases = (state_dir / "releases").resolve()

    async def prepare(self, files: ReleaseFiles) -> dict[str, Any]:
        require(self._releases in files.model.resolve().parents, "a model from elsewhere")
        return {"release": files.release}

    async def commit(self, release: str, watch: bool) -> dict[str, Any]:
        return {"release": release, "watch": watch}

    async def settle(self, release: str) -> dict[str, Any]:
        return {"release": release}

    abort = settle

    async def reload(self) -> dict[str, Any]:
        return {}

    withdraw = reload


class _Samples:
    """In place of what keeps samples."""

    choice = SampleChoice()

    def choose_by(self, choice: SampleChoice) -> None:
        self.choice = choice

    def figures(self) -> dict[str, Any]:
        return dict(self.choice)


@contextmanager
def opened() -> Iterator[Attempt]:
    """Ready to try cases: a byte for agent or worker, then lines."""
    with (
        quiet("agent"),
        TemporaryDirectory() as folder,
        asyncio.Runner() as runner,
        ExitStack() as resources,
    ):
        path = Path(folder)
        sockets: list[Path] = []

        async def attempt(data: bytes) -> None:
            if not sockets:
                sockets.extend([await _agent(path / "agent", resources), await _worker(path)])
            number, lines = chosen(data, len(sockets))
            with no_error_logged():
                answers = await _answers(sockets[number], lines)
            require(len(answers) == lines.count(b"\n"), "a line without an answer")
            for answer in answers:
                reply = json.loads(answer)
                require(
                    set(reply) in ({"id", "result"}, {"id", "error"}) or "event" in reply,
                    "an answer of another shape",
                )
                check_text(reply.get("error", {}).get("detail", ""))

        yield lambda data: runner.run(attempt(data))


def seeds() -> Iterator[bytes]:
    """A line for every method, and lines that are none."""
    agent: dict[str, Parameters] = {
        "status": {},
        "explain": {"update": 3},
        "rollback": {"to": "abc"},
        "retry": {"release": "abc"},
        "hold": {"what": "everything"},
        "release-hold": {},
        "snapshot": {},
        "capture": {"on": True},
        "log-level": {"level": "info"},
    }
    folder = "/nowhere/releases/r1"
    worker: dict[str, Parameters] = {
        "prepare": {"release": "r1", "folder": folder},
        "commit": {"release": "r1", "watch": True},
        "settle": {"release": "r1"},
        "results": {"limit": 3, "after": 7},
        "snapshot": {"annotated": True},
        "capture": {"on": True, "below": 0.5},
        "log-lines": {"instance": "i1", "last": 3, "wait": 9},
        "fly": {},
    }
    for number, methods in enumerate((agent, worker)):
        for method, params in methods.items():
            question = {"id": 1, "method": method, "params": params}
            yield bytes([number]) + json.dumps(question).encode() + b"\n"
    prepare = {"id": [1], "method": "prepare", "params": {"release": "r1", "folder": folder + "\0"}}
    yield b"\x01" + json.dumps(prepare).encode() + b"\n"
    yield (
        b"\x00no JSON\n[]\n\n" + b"[" * 3000 + b"\n" + b'{"id": ' + b"[" * 900 + b"]" * 900 + b"}\n"
    )
    yield b"\x00" + b"x" * (2 * LINE_BYTES) + b'\n{"id": 1, "method": "\\ud800"}\n'


async def _agent(state_dir: Path, resources: ExitStack) -> Path:
    settings = Settings.model_validate(
        {"device": {"state_dir": state_dir}, "golioth": {"psk_id": "a@b", "psk": "c"}}
    )
    agent = Agent(settings, resources)
    operations = Operations(
        settings, agent._conductor, agent._store, agent._worker, agent._journal.outbox
    )
    control = ControlServer()
    control.listen(state_dir / "agent.sock", group=False)
    await control.serve({name: part.carry_out for name, part in operations.table().items()})
    return state_dir / "agent.sock"


async def _worker(state_dir: Path) -> Path:
    (state_dir / "releases" / "r1").mkdir(parents=True)
    nothing = cast("Any", SimpleNamespace(results=[], last_frame=lambda: None))
    camera = cast("Any", SimpleNamespace(status=SimpleNamespace(address="synthetic:")))
    methods = WorkerMethods(
        ReleaseLayout(state_dir, PackageNames("ai-model", "labels")),
        nothing,
        cast("Any", _Worker(state_dir)),
        *(nothing, nothing, nothing),
        camera,
        nothing,
        dict,
        cast("Any", None),
    )
    versions = cast("Any", SimpleNamespace(describe=str))
    onlookers = Onlookers(PreviewSettings(), cast("Any", _Samples()), versions, lambda _: None)
    table = {**methods.table(), **onlookers.table()}
    del table["status"], table["tallies"]  # They look at engines, and take nothing.
    log_lines.LONGEST_WAIT_SECONDS = 0
    control = ControlServer()
    control.listen(state_dir / "worker.sock", group=False)
    await control.serve(table)
    return state_dir / "worker.sock"


async def _answers(path: Path, lines: bytes) -> list[bytes]:
    async with asyncio.timeout(_PATIENCE), _connected(path) as (reader, writer):
        writer.write(lines)
        writer.write_eof()
        return [line async for line in reader]


@asynccontextmanager
async def _connected(
    path: Path,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_unix_connection(path, limit=1 << 20)
    try:
        yield reader, writer
    finally:
        writer.close()
