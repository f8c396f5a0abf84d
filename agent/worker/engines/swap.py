"""Prepare, commit, abort, withdraw: how a release takes over without a gap."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from agent.control.errors import ControlError
from agent.worker.engines.candidate import Candidate, Loader, NoRoom
from agent.worker.engines.engine import Engine
from agent.worker.engines.recovery import Recovery
from agent.worker.engines.serving import Serving, Tenure
from agent.worker.engines.settings import ReleaseFiles
from agent.worker.engines.shadow import Shadow
from agent.worker.errors import RuntimeUnavailable
from states.ports import Rejected

log = logging.getLogger(__name__)

FIRST_FRAME_SECONDS = 2.0
# On a busy machine a killed process may take many seconds to end; by then the switch is long done.
LEAVING_SECONDS = 1.0

WorkerState: TypeAlias = Literal["waiting", "serving", "switching", "recovering"]
Publish = Callable[[dict[str, Any]], None]


class Swapper:
    """The one candidate there may be, and the switch from one release to another."""

    def __init__(
        self,
        serving: Serving,
        recovery: Recovery,
        shadow: Shadow,
        loader: Loader,
        publish: Publish,
    ) -> None:
        self._serving = serving
        self._recovery = recovery
        self._shadow = shadow
        self._loader = loader
        self._publish = publish
        self._candidate: Candidate | None = None
        self._switching = asyncio.Lock()
        self._leaving: set[asyncio.Task[None]] = set()

    @property
    def state(self) -> WorkerState:
        """What the worker does; ``recovering`` is from a failed engine."""
        if self._switching.locked():
            return "switching"
        active = self._serving.active
        if active is None:
            return "waiting"
        return "serving" if active.engine else "recovering"

    @property
    def candidate(self) -> dict[str, str] | None:
        """The candidate and whether it is ``loading``, ``ready`` or ``failed``."""
        candidate = self._candidate
        return {"release": candidate.files.release, "state": candidate.state} if candidate else None

    def engines(self) -> dict[str, Engine]:
        """Every loaded engine by its release."""
        active, shadow, candidate = self._serving.active, self._shadow.files, self._candidate
        loaded = {
            shadow.release if shadow else "": self._shadow.engine,
            active.release if active else "": active.engine if active else None,
            candidate.files.release if candidate else "": candidate.engine if candidate else None,
        }
        return {release: engine for release, engine in loaded.items() if engine}

    async def prepare(self, files: ReleaseFiles) -> dict[str, Any]:
        """Load and warm a release beside the active one.

        Answers at once when it serves, is kept warm as shadow or is ready already; one under way is
        superseded by another.
        Raises Rejected (the content), RuntimeUnavailable or OSError (the machine), and ControlError
        when superseded meanwhile.
        """
        active = self._serving.active
        if active and active.engine and active.release == files.release:
            return _ready(files, active.engine, serving=True)
        if self._shadow.engine and self._shadow.files == files:
            return _ready(files, self._shadow.engine, serving=False)
        candidate = self._candidate
        if candidate is None or candidate.files != files or candidate.failed:
            candidate = await self._begin(files)
        loaded = await candidate.loaded()
        if isinstance(loaded, NoRoom):
            return {"release": files.release, "ready": True, "serving": False, "drained": True}
        return _ready(files, loaded, serving=False)

    async def commit(self, release: str, *, watch: bool = False) -> dict[str, Any]:
        """Switch to the prepared release, or to the shadow's, between two frames.

        With ``watch`` the release before stays warm as shadow until :meth:`settle`. Returns once
        the release has classified its first frame, or after 2 s without any frame. Raises
        EngineFailed when it fails at its first frame: the release before takes that frame and
        serves on. Without memory for two engines the release is loaded only now, in place of the
        active one, which is loaded again if that fails (raises as :meth:`prepare` does).
        """
        async with self._switching:
            active = self._serving.active
            already = bool(active and active.release == release and active.engine)
            if active is None or not already:
                active = await self._serve(*await self._prepared(release), watch=watch)
            self._recovery.fell_back = None
            shadow = self._shadow.files
            return {
                "release": release,
                "gap_ms": active.rounded_gap_ms,
                "already": already,
                "shadow": shadow.release if shadow else None,
                "drained": active.drained,
            }

    async def reload(self) -> dict[str, Any]:
        """Load the active release anew and switch to the new engine between two frames.

        Raises as :meth:`prepare` and :meth:`commit` do; the old engine serves on then.
        """
        active = self._serving.active
        if active is None:
            raise ControlError("unavailable", "no release is served, so there is none to load")
        candidate = await self._begin(active.files)
        await candidate.loaded()
        async with self._switching:
            served = await self._serve(*await self._prepared(active.release), watch=False)
        return {"gap_ms": served.rounded_gap_ms, "drained": served.drained}

    async def settle(self, release: str) -> dict[str, Any]:
        """The commit window of the active release is over: let go of the shadow, if any."""
        async with self._switching:
            comparison = self._shadow.comparison
            settled = comparison is not None and comparison.candidate.release == release
            if settled:
                await self._shadow.forget()
        return {"release": release, "settled": settled}

    async def abort(self, release: str) -> dict[str, Any]:
        """Let go of a candidate; nothing happens when it is none."""
        candidate = self._candidate
        if candidate is None or candidate.files.release != release:
            return {"release": release, "aborted": False}
        await self._drop()
        return {"release": release, "aborted": True}

    async def withdraw(self) -> dict[str, Any]:
        """Stop serving."""
        async with self._switching:
            await self._recovery.stop()
            await self._shadow.forget()
            tenure = self._serving.switch(None)
            if tenure and tenure.engine:
                await tenure.engine.close()
        return {"release": tenure.release if tenure else None}

    async def close(self) -> None:
        """End every engine."""
        await self._drop()
        await self._recovery.stop()
        await self._shadow.forget()
        active = self._serving.switch(None)
        if active and active.engine:
            await active.engine.close()
        await asyncio.gather(*self._leaving)

    async def _begin(self, files: ReleaseFiles) -> Candidate:
        superseded = self._candidate
        loading = self._loader.load_beside(files, self.engines)
        candidate = Candidate(files, asyncio.create_task(loading, name=f"load {files.release}"))
        self._candidate = candidate
        if superseded:
            log.info("release %s is superseded by %s", superseded.files.release, files.release)
            await superseded.discard()
        return candidate

    async def _prepared(self, release: str) -> tuple[ReleaseFiles, Engine | NoRoom]:
        """The engine of the release, now the caller's."""
        candidate, shadow = self._candidate, self._shadow.files
        if candidate and candidate.files.release == release:
            engine = await candidate.loaded()
            self._candidate = None
            return candidate.files, engine
        if (
            shadow
            and shadow.release == release
            and (taken := self._shadow.take(f"release {release} serves again"))
        ):
            return taken
        raise ControlError("not-prepared", f"release {release} is not prepared; send prepare first")

    async def _serve(self, files: ReleaseFiles, engine: Engine | NoRoom, *, watch: bool) -> Tenure:
        await self._recovery.stop()
        before = self._serving.active
        if isinstance(engine, NoRoom):
            tenure = Tenure(files, await self._load_instead(before, files), before, drained=True)
            why_not = engine.why
        else:
            tenure, why_not = Tenure(files, engine, before), None
        await self._take_over(tenure)
        if watch and before:
            await self._shadow.begin(tenure, before, why_not)
        else:
            await self._leave(before)
        self._tell(tenure, before)
        return tenure

    async def _load_instead(self, before: Tenure | None, files: ReleaseFiles) -> Engine:
        """Load a release when the one before is gone; frames are dropped meanwhile."""
        await self._shadow.forget()
        if before is None:
            return await self._loader.load(files)
        old, before.engine = before.engine, None
        if old:
            await old.finished()
            await old.close()
        try:
            return await self._loader.load_alone(files)
        except (Rejected, RuntimeUnavailable, OSError):
            self._recovery.restart(before)
            raise

    async def _take_over(self, tenure: Tenure) -> None:
        """Serve with it; returns when it is proven, or raises EngineFailed."""
        self._serving.switch(tenure)
        await asyncio.wait([tenure.proven], timeout=FIRST_FRAME_SECONDS)
        if tenure.proven.done():
            tenure.proven.result()
        else:
            # No frame came: nothing speaks against it; a later failure is for the recovery.
            tenure.proven.set_result(None)
        tenure.before = None

    async def _leave(self, before: Tenure | None) -> None:
        await self._shadow.forget()
        if before and before.engine:
            leaving = asyncio.create_task(before.engine.close(), name=f"leave {before.release}")
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
            await asyncio.wait([leaving], timeout=LEAVING_SECONDS)

    def _tell(self, tenure: Tenure, before: Tenure | None) -> None:
        previous = before.release if before else None
        gap = tenure.rounded_gap_ms
        log.info("release %s serves (before: %s, gap %s ms)", tenure.release, previous, gap)
        self._publish(
            {"event": "switched", "release": tenure.release, "previous": previous, "gap_ms": gap}
        )

    async def _drop(self) -> None:
        candidate, self._candidate = self._candidate, None
        if candidate:
            await candidate.discard()


def _ready(files: ReleaseFiles, engine: Engine, *, serving: bool) -> dict[str, Any]:
    return {"release": files.release, "ready": True, "serving": serving, **engine.description}
