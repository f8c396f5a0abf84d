"""What may be asked of a running agent: by its operator at the socket, and from afar.

Every operation takes and answers a JSON object, so that one table serves all who ask.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import get_args

from agent.cloud.reporting import describe
from agent.commands.explaining import NothingToExplain
from agent.commands.inspection import Inspector
from agent.config import Settings
from agent.control.errors import ControlError
from agent.control.parameters import Method, Parameters, flag, optional_text
from agent.gate import read_hold, write_hold
from agent.journal.outbox import Kind, Message, Outbox
from agent.remote.briefs import Document, brief_status, brief_story
from agent.service.logs import STANDARD_ERROR, LogLevelName, level_of, set_level
from agent.store.release_store import ReleaseStore
from agent.wall_clock import utc_now
from agent.worker_port.client import WorkerClient
from agent.worker_port.signal import SignalWorker
from states.conductor import Conductor
from states.gates import Hold
from states.orders import OrderRefused

SNAPSHOT_PATH = "edgeferry/snapshot"


def _whole(answer: Document) -> Document:
    return answer


@dataclass(frozen=True)
class Operation:
    """One operation. ``parameters`` are the names it takes, in the order remote calls give them.

    ``changes``: it changes what serves, so from afar it needs permission. ``goes_on``: whoever
    asks from afar is not kept waiting for its end. ``brief`` makes the answer fit a message.
    """

    carry_out: Method
    parameters: tuple[str, ...] = ()
    changes: bool = False
    goes_on: bool = False
    brief: Callable[[Document], Document] = _whole


class Operations:
    """The operations of one agent, over its conductor, its worker and its state folder."""

    def __init__(
        self,
        settings: Settings,
        conductor: Conductor,
        store: ReleaseStore,
        worker: WorkerClient | SignalWorker,
        outbox: Outbox,
    ) -> None:
        self._settings = settings
        self._conductor = conductor
        self._store = store
        self._worker = worker
        self._outbox = outbox

    def table(self) -> Mapping[str, Operation]:
        """Operation by name; remote calls write ``_`` for ``-``."""
        return {
            "status": Operation(self.status, brief=brief_status),
            "explain": Operation(self.explain, ("update",), brief=brief_story),
            "rollback": Operation(self.rollback, ("to",), changes=True, goes_on=True),
            "retry": Operation(self.retry, ("release",), changes=True),
            "hold": Operation(self.hold, ("what",)),
            "release-hold": Operation(self.release_hold),
            "reload": Operation(self.reload, changes=True, goes_on=True),
            "snapshot": Operation(self.snapshot),
            "capture": Operation(self.capture, ("on",)),
            "log-level": Operation(self.log_level, ("level",)),
            "restart-worker": Operation(self.restart_worker, changes=True),
        }

    async def status(self, _parameters: Parameters) -> Document:
        """The document of ``edgeferry status --json``."""
        return await self._inspect(Inspector.status)

    async def explain(self, parameters: Parameters) -> Document:
        """The story of an ``update`` (number or release id), or of the newest one."""
        update = parameters.get("update")
        named = str(update) if type(update) is int else optional_text(parameters, "update")
        try:
            return await self._inspect(lambda inspector: inspector.explain(named))
        except NothingToExplain as nothing:
            raise ControlError("refused", str(nothing)) from nothing

    async def rollback(self, parameters: Parameters) -> Document:
        """Go back to the release ``to``, or to the best there is; answers once it serves.

        What is left counts as rejected. ``to`` may be the beginning of a release's id.
        """
        left = self._store.active()
        try:
            serves = await self._conductor.roll_back(self._release(parameters, "to"))
        except OrderRefused as refusal:
            raise ControlError("refused", str(refusal)) from refusal
        return {"left": self._described(left), "serves": self._described(serves)}

    async def retry(self, parameters: Parameters) -> Document:
        """End a wait or forget a rejection; ``said`` tells which, for people."""
        try:
            return {"said": self._conductor.retry(optional_text(parameters, "release"))}
        except OrderRefused as refusal:
            raise ControlError("refused", str(refusal)) from refusal

    async def hold(self, parameters: Parameters) -> Document:
        """Keep releases from taking over; with ``what`` "everything" fetch nothing either."""
        what = optional_text(parameters, "what") or Hold.ACTIVATION
        if what not in {Hold.ACTIVATION, Hold.EVERYTHING}:
            raise ControlError(
                "bad-request", f"what: {what!r} is neither activation nor everything"
            )
        return self._put_on_hold(Hold(what))

    async def release_hold(self, _parameters: Parameters) -> Document:
        """Let a held device go on."""
        return self._put_on_hold(Hold.NOTHING)

    async def reload(self, _parameters: Parameters) -> Document:
        """Have the worker load the active release anew, beside the engine that serves."""
        self._only_at_rest("reload")
        active = self._store.active()
        if active is None:
            raise ControlError("refused", "no release serves, so there is none to load")
        return {"release": active, **await self._worker.reload(active)}

    async def snapshot(self, _parameters: Parameters) -> Document:
        """Send the last picture, small and annotated, to the stream; answers with its id."""
        seen = await self._own_worker("snapshot").snapshot(annotated=True)
        told = {name: seen[name] for name in ("release", "label", "confidence", "frame")}
        document = {"format": 1, "id": secrets.token_hex(8), "at": utc_now(), **told}
        body = json.dumps({**document, "jpeg": seen["jpeg"]})
        self._outbox.put(Message(Kind.STREAM, SNAPSHOT_PATH, body), utc_now())
        return document

    async def capture(self, parameters: Parameters) -> Document:
        """Keep samples (``on``) or none, until the worker starts again; or only look."""
        choice = {"on": flag(parameters, "on")} if "on" in parameters else {}
        return await self._own_worker("capture").capture(**choice)

    async def log_level(self, parameters: Parameters) -> Document:
        """Log from ``level`` on, until the agent starts again or log.level is set; or only look."""
        level = optional_text(parameters, "level")
        if level is not None:
            if level not in get_args(LogLevelName):
                known = ", ".join(get_args(LogLevelName))
                raise ControlError("bad-request", f"level: {level!r} is none of {known}")
            set_level(STANDARD_ERROR, level)
        return {"level": level_of(STANDARD_ERROR)}

    async def restart_worker(self, _parameters: Parameters) -> Document:
        """Have the worker start again as a new process; frames are lost meanwhile."""
        worker = self._own_worker("restart_worker")
        if self._conductor.state in {"activating", "confirming", "rolling-back"}:
            self._only_at_rest("restart_worker")
        return await worker.restart()

    def _only_at_rest(self, operation: str) -> None:
        if self._conductor.update is not None:
            state = self._conductor.state
            why = f"an update is under way ({state}); {operation} is for when it is over"
            raise ControlError("refused", why)

    def _own_worker(self, operation: str) -> WorkerClient:
        if isinstance(self._worker, WorkerClient):
            return self._worker
        raise ControlError(
            "refused", f"{operation} is Edgeferry's own worker's; a script serves here"
        )

    def _put_on_hold(self, hold: Hold) -> Document:
        state_dir = self._settings.device.state_dir
        write_hold(state_dir, hold)
        return {"hold": str(read_hold(state_dir))}

    async def _inspect(self, ask: Callable[[Inspector], Document]) -> Document:
        def in_a_thread() -> Document:
            with closing(Inspector(self._settings)) as inspector:
                return ask(inspector)

        return await asyncio.to_thread(in_a_thread)

    def _release(self, parameters: Parameters, name: str) -> str | None:
        """A release by its id, or by a beginning that only one release on disk has."""
        given = optional_text(parameters, name)
        found = [r for r in self._store.releases() if given and r.startswith(given)]
        return found[0] if len(found) == 1 else given

    def _described(self, release_id: str | None) -> Document | None:
        release = self._store.contents(release_id) if release_id else None
        return describe(release, None) or ({"id": release_id} if release_id else None)
