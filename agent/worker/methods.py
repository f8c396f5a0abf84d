"""What the control socket's methods do; their JSON is a contract with the agent and the demo."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from agent.control.errors import ControlError
from agent.control.parameters import Method, Parameters, flag, required_text, whole_number
from agent.store.names import MODEL_SETTINGS_FILE, PackageNames
from agent.worker.camera.capture import Capture
from agent.worker.camera.frames import Frame, FrameStore
from agent.worker.engines.counters import Result
from agent.worker.engines.memory import Memory
from agent.worker.engines.recovery import Recovery
from agent.worker.engines.serving import RESULTS_KEPT, Serving
from agent.worker.engines.settings import ReleaseFiles
from agent.worker.engines.shadow import Shadow
from agent.worker.engines.swap import Swapper

if TYPE_CHECKING:
    from agent.worker.model.tensors import Picture


@dataclass(frozen=True)
class ReleaseLayout:
    """Where releases are and what their files are called."""

    state_dir: Path
    names: PackageNames

    def files(self, release: str, folder: Path) -> ReleaseFiles:
        """Model and labels of a release in its folder, and its model.json if it has one."""
        settings = folder / MODEL_SETTINGS_FILE
        return ReleaseFiles(
            release,
            folder / self.names.model_file,
            folder / self.names.labels_file,
            settings if settings.is_file() else None,
        )

    def linked(self, name: str) -> ReleaseFiles | None:
        """The release that ``<state dir>/<name>`` points at, or None when there is no such link."""
        link = self.state_dir / name
        if not link.is_symlink() and not link.exists():
            return None
        folder = link.resolve()
        return self.files(folder.name, folder)

    def requested(self, parameters: Parameters) -> ReleaseFiles:
        """The release of a ``prepare`` request; only what the agent has put among its releases."""
        release, folder = (
            required_text(parameters, "release"),
            Path(required_text(parameters, "folder")),
        )
        allowed = (self.state_dir / "releases").resolve()
        try:
            resolved = folder.resolve()
        except ValueError as error:
            raise ControlError("bad-request", f"{str(folder)!r} is no path: {error}") from error
        if allowed not in resolved.parents:
            raise ControlError("bad-request", f"{folder} is not below {allowed}")
        if not resolved.is_dir():
            raise ControlError("bad-request", f"there is no folder {folder}")
        return self.files(release, resolved)


@dataclass(frozen=True)
class WorkerMethods:
    """The methods, over the worker's parts."""

    layout: ReleaseLayout
    serving: Serving
    swapper: Swapper
    recovery: Recovery
    shadow: Shadow
    memory: Memory
    capture: Capture
    store: FrameStore
    more_figures: Callable[[], dict[str, Any]]
    """Of those who look on."""
    draw: Callable[[Result | None, Picture], bytes]
    """What a picture was taken for, onto it, as a small JPEG; called in another thread."""
    instance: str = field(default_factory=lambda: uuid4().hex)
    """Differs from one start of the worker to the next: its counters begin anew with it."""
    started_at: float = field(default_factory=time.monotonic)

    def table(self) -> Mapping[str, Method]:
        """Method by name."""
        return {
            "prepare": self.prepare,
            "commit": self.commit,
            "settle": self.settle,
            "abort": self.abort,
            "reload": self.reload,
            "withdraw": self.withdraw,
            "status": self.status,
            "tallies": self.tallies,
            "snapshot": self.snapshot,
            "results": self.results,
        }

    async def prepare(self, parameters: Parameters) -> dict[str, Any]:
        """Load and warm a release beside the active one."""
        return await self.swapper.prepare(self.layout.requested(parameters))

    async def commit(self, parameters: Parameters) -> dict[str, Any]:
        """Switch to the prepared release; ``watch`` keeps the one before warm."""
        release, watch = required_text(parameters, "release"), flag(parameters, "watch")
        return await self.swapper.commit(release, watch=watch)

    async def settle(self, parameters: Parameters) -> dict[str, Any]:
        """The commit window is over: let go of the release before."""
        return await self.swapper.settle(required_text(parameters, "release"))

    async def abort(self, parameters: Parameters) -> dict[str, Any]:
        """Let go of a prepared release."""
        return await self.swapper.abort(required_text(parameters, "release"))

    async def reload(self, _parameters: Parameters) -> dict[str, Any]:
        """Load the active release anew, beside the engine that serves."""
        return await self.swapper.reload()

    async def withdraw(self, _parameters: Parameters) -> dict[str, Any]:
        """Stop serving."""
        return await self.swapper.withdraw()

    async def status(self, _parameters: Parameters) -> dict[str, Any]:
        """All figures, taken at one moment."""
        return self.figures()

    async def tallies(self, _parameters: Parameters) -> dict[str, Any]:
        """What only grows, of each tenure since the worker started; its age in seconds."""
        memory = self.memory.figures(self.swapper.engines())
        return {
            "instance": self.instance,
            "age_s": time.monotonic() - self.started_at,
            "resident_bytes": memory["worker_bytes"] + sum(memory["engines"].values()),
            "tallies": self.serving.tallies(),
        }

    async def results(self, parameters: Parameters) -> dict[str, Any]:
        """The newest results in order; ``after`` leaves out frames up to that number."""
        limit, after = (
            whole_number(parameters, "limit", RESULTS_KEPT),
            whole_number(parameters, "after", -1),
        )
        wanted = [result for result in self.serving.results if result.frame > after]
        return {"results": [result.to_json() for result in wanted[-limit:]] if limit > 0 else []}

    async def snapshot(self, parameters: Parameters) -> dict[str, Any]:
        """The last frame as JPEG, with what it was taken for; ``annotated``: small, with words."""
        annotated = flag(parameters, "annotated")
        last = self.serving.last_frame()
        if last is None:
            raise ControlError(
                "no-frame", f"{self.capture.status.address} has given no picture yet"
            )
        frame, result = last
        self.store.retain(frame)
        try:
            jpeg = await asyncio.to_thread(self._jpeg, frame, result, annotated=annotated)
        finally:
            self.store.release(frame)
        label, confidence = result.top[0] if result else (None, None)
        return {
            "jpeg": base64.b64encode(jpeg).decode("ascii"),
            "frame": frame.number,
            "release": result.release if result else None,
            "label": label,
            "confidence": confidence,
        }

    def _jpeg(self, frame: Frame, result: Result | None, *, annotated: bool) -> bytes:
        # A worker that nobody asks for pictures does without the libraries for them.
        from agent.worker.jpeg import encode_jpeg

        picture = self.store.view(frame)
        return self.draw(result, picture) if annotated else encode_jpeg(picture)

    def figures(self) -> dict[str, Any]:
        """What ``status`` replies and the ``statistics`` event carries."""
        active = self.serving.active
        engine = active.engine if active else None
        comparison = self.shadow.comparison
        return {
            "instance": self.instance,
            "state": self.swapper.state,
            "release": active.release if active else None,
            "candidate": self.swapper.candidate,
            **self.serving.figures(),
            "engine": {"pid": engine.pid, **engine.description} if engine else None,
            "source": asdict(self.capture.status),
            "last_error": self.recovery.last_error,
            "comparison": comparison.to_json() if comparison else None,
            "memory": self.memory.figures(self.swapper.engines()),
            "fell_back": self.recovery.fell_back,
            **self.more_figures(),
        }
