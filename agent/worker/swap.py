"""Prepare, commit, abort, withdraw: how a release takes over without a gap."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agent.worker.engine import Engine, EngineSettings, ReleaseFiles
from agent.worker.errors import ControlError, EngineFailed
from agent.worker.frames import FrameStore
from agent.worker.recovery import Recovery
from agent.worker.serving import Serving, Tenure
from agent.worker.shadow import Shadow
from states.ports import Rejected

log = logging.getLogger(__name__)

FIRST_FRAME_SECONDS = 2.0
WARM_FRAMES = 3

Publish = Callable[[dict[str, Any]], None]


@dataclass
class Candidate:
    """A release that is being made ready beside the active one."""

    files: ReleaseFiles
    loading: asyncio.Task[Engine]
    dropped: bool = False

    @property
    def failed(self) -> bool:
        """Whether loading ended without an engine."""
        done = self.loading.done()
        return done and (self.loading.cancelled() or self.loading.exception() is not None)


class Swapper:
    """The one candidate there may be, and the switch from one release to another."""

    def __init__(
        self,
        serving: Serving,
        recovery: Recovery,
        shadow: Shadow,
        store: FrameStore,
        settings: EngineSettings,
        publish: Publish,
    ) -> None:
        self._serving = serving
        self._recovery = recovery
        self._shadow = shadow
        self._store = store
        self._settings = settings
        self._publish = publish
        self._candidate: Candidate | None = None
        self._switching = asyncio.Lock()

    @property
    def state(self) -> str:
        """``waiting``, ``serving``, ``switching``, or ``recovering`` from a failed engine."""
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
        if candidate is None:
            return None
        state = "failed" if candidate.failed else "ready" if candidate.loading.done() else "loading"
        return {"release": candidate.files.release, "state": state}

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
        return _ready(files, await self._loaded(candidate), serving=False)

    async def commit(self, release: str, *, watch: bool = False) -> dict[str, Any]:
        """Switch to the prepared release, or to the shadow's, between two frames.

        With ``watch`` the release before stays warm as shadow until :meth:`settle`. Returns once
        the release has classified its first frame, or after 2 s without any frame. Raises
        EngineFailed when it fails at its first frame: the release before takes that frame and
        serves on.
        """
        async with self._switching:
            active = self._serving.active
            already = bool(active and active.release == release and active.engine)
            if active is None or not already:
                active = await self._take_over(*await self._prepared(release), watch=watch)
            self._recovery.fell_back = None
            gap = active.gap_ms
            shadow = self._shadow.files
            return {
                "release": release,
                "gap_ms": None if gap is None else round(gap, 2),
                "already": already,
                "shadow": shadow.release if shadow else None,
                "drained": False,
            }

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

    async def _begin(self, files: ReleaseFiles) -> Candidate:
        superseded, self._candidate = self._candidate, None
        candidate = Candidate(
            files, asyncio.create_task(self._load(files), name=f"load {files.release}")
        )
        # Whoever waits asks for the outcome; that nobody waits (any more) is no error.
        candidate.loading.add_done_callback(lambda task: task.cancelled() or task.exception())
        self._candidate = candidate
        if superseded:
            log.info("release %s is superseded by %s", superseded.files.release, files.release)
            await _discard(superseded)
        return candidate

    async def _load(self, files: ReleaseFiles) -> Engine:
        engine = await Engine.start(files, self._settings, self._store)
        try:
            for _ in range(WARM_FRAMES):
                await self._serving.warm(engine)
        except EngineFailed as error:
            await engine.close()
            raise Rejected(error.reason, f"on a real frame: {error.detail}") from error
        except asyncio.CancelledError:
            await engine.close()
            raise
        return engine

    async def _loaded(self, candidate: Candidate) -> Engine:
        await asyncio.wait([candidate.loading])
        if candidate.dropped:
            raise ControlError(
                "busy", f"release {candidate.files.release} was superseded or aborted"
            )
        return candidate.loading.result()

    async def _prepared(self, release: str) -> tuple[ReleaseFiles, Engine]:
        """The engine of the release, now the caller's."""
        candidate, shadow = self._candidate, self._shadow.files
        if candidate and candidate.files.release == release:
            engine = await self._loaded(candidate)
            self._candidate = None
            return candidate.files, engine
        if (
            shadow
            and shadow.release == release
            and (taken := self._shadow.take(f"release {release} serves again"))
        ):
            return taken
        raise ControlError("not-prepared", f"release {release} is not prepared; send prepare first")

    async def _take_over(self, files: ReleaseFiles, engine: Engine, *, watch: bool) -> Tenure:
        await self._recovery.stop()
        before = self._serving.active
        tenure = Tenure(files, engine, before)
        self._serving.switch(tenure)
        await asyncio.wait([tenure.proven], timeout=FIRST_FRAME_SECONDS)
        if tenure.proven.done():
            tenure.proven.result()
        else:
            # No frame came: nothing speaks against it; a later failure is for the recovery.
            tenure.proven.set_result(None)
        tenure.before = None
        await self._leave(before, tenure if watch else None)
        self._tell(tenure, before)
        return tenure

    async def _leave(self, before: Tenure | None, watched: Tenure | None) -> None:
        """Keep the release before as shadow of the watched one, or end it."""
        await self._shadow.forget()
        if before is None:
            return
        if watched:
            self._shadow.begin(watched, before)
        elif before.engine:
            await before.engine.close()

    def _tell(self, tenure: Tenure, before: Tenure | None) -> None:
        previous = before.release if before else None
        gap = round(tenure.gap_ms, 2) if tenure.gap_ms is not None else None
        log.info("release %s serves (before: %s, gap %s ms)", tenure.release, previous, gap)
        self._publish(
            {"event": "switched", "release": tenure.release, "previous": previous, "gap_ms": gap}
        )

    async def _drop(self) -> None:
        candidate, self._candidate = self._candidate, None
        if candidate:
            await _discard(candidate)


def _ready(files: ReleaseFiles, engine: Engine, *, serving: bool) -> dict[str, Any]:
    return {"release": files.release, "ready": True, "serving": serving, **engine.description}


async def _discard(candidate: Candidate) -> None:
    candidate.dropped = True
    candidate.loading.cancel()
    await asyncio.wait([candidate.loading])
    if not candidate.failed:
        await candidate.loading.result().close()
