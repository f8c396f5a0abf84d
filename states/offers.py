"""The newest manifest: whether it waits to be considered, and what it means."""

from __future__ import annotations

import asyncio

from states.decisions import Consideration, consider, give_way, supersedes
from states.model import Deployment
from states.ports import Journal, Store
from states.update import Move, Update


class Offers:
    """Only the newest one counts, however many were delivered meanwhile."""

    def __init__(self, store: Store, journal: Journal) -> None:
        self._store = store
        self._journal = journal
        self._news = asyncio.Event()
        self.newest: Deployment | None = None
        self.heard = False
        """Whether any manifest has come since the start."""

    def take(self, deployment: Deployment | None) -> None:
        """A manifest has come; None when nothing is deployed to this device."""
        self.newest, self.heard = deployment, True
        self._news.set()

    def look_again(self) -> None:
        """Something else has changed: the newest one has to be considered once more."""
        self._news.set()

    @property
    def waiting(self) -> bool:
        """Whether there is something to consider."""
        return self._news.is_set()

    async def wait(self) -> None:
        """Return as soon as there is something to consider."""
        await self._news.wait()

    def consider(self) -> Consideration:
        """What the newest one means to a device that has nothing under way. Raises Postponed."""
        self._news.clear()
        offered, journal = self.newest, self._journal
        refused = offered is not None and journal.is_refused(offered)
        heard = offered is not None and journal.trust().has_accepted(offered)
        return consider(offered, self._store.active(), refused, heard)

    async def supersede(self, state: str, update: Update) -> Move:
        """Wait for one with other content than the update under way; how that makes room for it."""
        while True:
            await self._news.wait()
            self._news.clear()
            if supersedes(self.newest, update):
                move = give_way(state, self.newest, self.consider())
                if move is not None:
                    return move
