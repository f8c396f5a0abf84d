"""What may be asked of a running agent: by its operator at the socket, and by whoever else may.

Every operation takes and answers a JSON object, so that one table serves all who ask.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

from agent.cloud.reporting import describe
from agent.commands.explaining import NothingToExplain
from agent.commands.inspection import Inspector
from agent.config import Settings
from agent.control import Method, Parameters
from agent.gate import read_hold, write_hold
from agent.store.release_store import ReleaseStore
from agent.worker.errors import ControlError
from states.conductor import Conductor
from states.gates import Hold
from states.orders import OrderRefused

SOCKET_FILE = "agent.sock"


class Operations:
    """The operations of one agent, over its conductor and its state folder."""

    def __init__(self, settings: Settings, conductor: Conductor, store: ReleaseStore) -> None:
        self._settings = settings
        self._conductor = conductor
        self._store = store

    def table(self) -> Mapping[str, Method]:
        """Operation by name."""
        return {
            "status": self.status,
            "explain": self.explain,
            "rollback": self.rollback,
            "retry": self.retry,
            "hold": self.hold,
            "release-hold": self.release_hold,
        }

    async def status(self, _parameters: Parameters) -> dict[str, Any]:
        """The document of ``edgeferry status --json``."""
        return await self._inspect(Inspector.status)

    async def explain(self, parameters: Parameters) -> dict[str, Any]:
        """The story of an ``update`` (number or release id), or of the newest one."""
        named = _text(parameters, "update")
        try:
            return await self._inspect(lambda inspector: inspector.explain(named))
        except NothingToExplain as nothing:
            raise ControlError("refused", str(nothing)) from nothing

    async def rollback(self, parameters: Parameters) -> dict[str, Any]:
        """Go back to the release ``to``, or to the best there is; answers once it serves.

        What is left counts as rejected. ``to`` may be the beginning of a release's id.
        """
        left = self._store.active()
        try:
            serves = await self._conductor.roll_back(self._release(parameters, "to"))
        except OrderRefused as refusal:
            raise ControlError("refused", str(refusal)) from refusal
        return {"left": self._described(left), "serves": self._described(serves)}

    async def retry(self, parameters: Parameters) -> dict[str, Any]:
        """End a wait or forget a rejection; ``said`` tells which, for people."""
        try:
            return {"said": self._conductor.retry(_text(parameters, "release"))}
        except OrderRefused as refusal:
            raise ControlError("refused", str(refusal)) from refusal

    async def hold(self, parameters: Parameters) -> dict[str, Any]:
        """Keep releases from taking over; with ``downloads`` fetch nothing either."""
        return self._put_on_hold(
            Hold.EVERYTHING if parameters.get("downloads") is True else Hold.ACTIVATION
        )

    async def release_hold(self, _parameters: Parameters) -> dict[str, Any]:
        """Let a held device go on."""
        return self._put_on_hold(Hold.NOTHING)

    def _put_on_hold(self, hold: Hold) -> dict[str, Any]:
        state_dir = self._settings.device.state_dir
        write_hold(state_dir, hold)
        return {"hold": str(read_hold(state_dir))}

    async def _inspect(self, ask: Callable[[Inspector], dict[str, Any]]) -> dict[str, Any]:
        def in_a_thread() -> dict[str, Any]:
            with closing(Inspector(self._settings)) as inspector:
                return ask(inspector)

        return await asyncio.to_thread(in_a_thread)

    def _release(self, parameters: Parameters, name: str) -> str | None:
        """A release by its id, or by a beginning that only one release on disk has."""
        given = _text(parameters, name)
        found = [r for r in self._store.releases() if given and r.startswith(given)]
        return found[0] if len(found) == 1 else given

    def _described(self, release_id: str | None) -> dict[str, Any] | None:
        release = self._store.contents(release_id) if release_id else None
        return describe(release, None) or ({"id": release_id} if release_id else None)


def _text(parameters: Parameters, name: str) -> str | None:
    value = parameters.get(name)
    if value is not None and not isinstance(value, str):
        raise ControlError("bad-request", f"params.{name} is no text")
    return value or None
