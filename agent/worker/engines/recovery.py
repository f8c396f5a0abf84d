"""Brings a failed engine back, or the release before it when it keeps failing."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from agent.worker.camera.frames import FrameStore
from agent.worker.engines.engine import Engine
from agent.worker.engines.serving import Serving, Tenure
from agent.worker.engines.settings import EngineSettings, ReleaseFiles
from agent.worker.engines.shadow import Shadow
from agent.worker.errors import EngineFailed, EngineSilent, RuntimeUnavailable
from states.ports import Rejected
from states.reasons import Transient

log = logging.getLogger(__name__)

FAILURES_BEFORE_FALLBACK = 3
FRAMES_THAT_FORGIVE = 100
FIRST_DELAY_SECONDS = 0.25
LONGEST_DELAY_SECONDS = 30.0


class Recovery:
    """Restarts the active release's engine with growing pauses, or goes back to the one before.

    While the release before is kept warm as shadow, it takes over at once. That needs no more than
    a short silence, which may be the device's fault: the silent engine is then heard out, to learn
    whether it had hung. Without a shadow the first
    restart comes at once, and after three failures with fewer than 100 frames classified in
    between, the release the agent would go back to takes over, if there is one.
    """

    def __init__(
        self,
        serving: Serving,
        shadow: Shadow,
        store: FrameStore,
        settings: EngineSettings,
        tasks: asyncio.TaskGroup,
        publish: Callable[[dict[str, Any]], None],
        previous: Callable[[], ReleaseFiles | None],
    ) -> None:
        """``previous`` tells the release the agent would go back to, at the time it is asked."""
        self.last_error: str | None = None
        self.fell_back: dict[str, str] | None = None
        """From which release to which, and why, since the last commit."""
        self._serving = serving
        self._shadow = shadow
        self._store = store
        self._settings = settings
        self._tasks = tasks
        self._publish = publish
        self._previous = previous
        self._restarting: asyncio.Task[None] | None = None
        self._hearing: asyncio.Task[None] | None = None
        serving.engine_failed = self._engine_failed
        serving.stand_in = self._stand_in

    async def stop(self) -> None:
        """Stop restarting and hearing out: another release is about to take over."""
        tasks = [task for task in (self._restarting, self._hearing) if task and not task.done()]
        self._restarting = self._hearing = None
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def restart(self, tenure: Tenure) -> None:
        """Load the active release again, which has no engine any more."""
        self._restarting = self._tasks.create_task(self._restart(tenure))

    def _engine_failed(self, tenure: Tenure, engine: Engine, failure: EngineFailed) -> None:
        active = self._serving.active
        if isinstance(failure, EngineSilent) and active and active.engine:
            tenure.failure = (Transient.ENGINE_SILENT, failure.detail)
            self._note_fall(tenure, active)
            self._hearing = self._tasks.create_task(self._hear_out(tenure, engine))
            return
        self._tasks.create_task(engine.close())
        self._report(tenure, failure.reason, failure.detail)
        if active and active.engine is None:
            self._note_failure(active)
            self.restart(active)
        elif active and tenure.proven.exception() is None:
            self._note_fall(tenure, active)

    async def _hear_out(self, tenure: Tenure, engine: Engine) -> None:
        """Learn whether an engine that was silent had hung, or is only late."""
        fall, began = self.fell_back, time.monotonic()
        try:
            await engine.heard_out()
        except EngineFailed as failure:
            self._report(tenure, failure.reason, failure.detail)
        else:
            late = f"{tenure.failure[1]}, and answered {time.monotonic() - began:.1f} s later"
            tenure.failure = (Transient.ENGINE_LATE, late)
            log.warning("release %s was only late: %s", tenure.release, late)
        finally:
            await engine.close()
        if fall is not None and fall is self.fell_back:
            reason, detail = tenure.failure
            self.fell_back = {**fall, "reason": reason, "detail": detail}

    def _stand_in(self, failing: Tenure) -> Tenure | None:
        taken = self._shadow.take(f"release {failing.release} failed")
        if taken is None:
            return None
        tenure = Tenure(*taken)
        tenure.proven.set_result(None)
        return tenure

    def _note_fall(self, failed: Tenure, to: Tenure) -> None:
        reason, detail = failed.failure
        self.fell_back = {
            "from": failed.release,
            "to": to.release,
            "reason": reason,
            "detail": detail,
        }
        log.warning("release %s: %s; %s serves again", failed.release, reason, to.release)
        self._publish({"event": "fell-back", "release": to.release, "previous": failed.release})

    def _report(self, tenure: Tenure, reason: str, detail: str) -> None:
        active = self._serving.active
        tenure.failure = (reason, detail)
        self.last_error = f"release {tenure.release}: {reason}: {detail}"
        log.error("the engine of %s", self.last_error)
        self._publish(
            {
                "event": "engine-failed",
                "release": tenure.release,
                "reason": reason,
                "detail": detail,
                "serving": active.release if active else None,
            }
        )

    def _note_failure(self, tenure: Tenure) -> None:
        if tenure.classified_since_failure >= FRAMES_THAT_FORGIVE:
            tenure.failures = 0
        tenure.classified_since_failure = 0
        tenure.failures += 1

    async def _restart(self, tenure: Tenure) -> None:
        while True:
            await asyncio.sleep(_pause(tenure.failures))
            if tenure.failures >= FAILURES_BEFORE_FALLBACK and await self._fall_back(tenure):
                return
            engine = await self._try_to_start(tenure)
            if engine:
                tenure.engine = engine
                log.info("release %s serves again", tenure.release)
                return

    async def _try_to_start(self, tenure: Tenure) -> Engine | None:
        try:
            return await Engine.start(tenure.files, self._settings, self._store)
        except Rejected as error:
            reason, detail = str(error.reason), error.detail
        except (RuntimeUnavailable, OSError) as error:
            reason, detail = "worker-error", str(error)
        for tally in (tenure.tally, self._serving.total):
            tally.errors += 1
        self._note_failure(tenure)
        self._report(tenure, reason, detail)
        return None

    async def _fall_back(self, tenure: Tenure) -> bool:
        files = self._previous()
        if files is None or files.release == tenure.release:
            return False
        fallback = Tenure(files, None)
        fallback.engine = await self._try_to_start(fallback)
        if fallback.engine is None:
            return False
        fallback.proven.set_result(None)
        self._serving.switch(fallback)
        self._note_fall(tenure, fallback)
        return True


def _pause(failures: int) -> float:
    """Seconds before the restart that follows that many failures in a row."""
    if failures <= 1:
        return 0.0
    return float(min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** (failures - 2)))
