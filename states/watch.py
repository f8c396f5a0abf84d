"""The eye on the worker while nothing is under way: it may leave a failing release by itself."""

from __future__ import annotations

import logging
from enum import Enum, auto

from states.figures import WorkerFigures
from states.orders import Departure
from states.policy import PolicyInForce
from states.ports import Ports, Postponed, Rejected
from states.reasons import Rejection

logger = logging.getLogger(__name__)


class Finding(Enum):
    """What the worker's figures say to an agent in Idle."""

    FINE = auto()
    WENT_BACK = auto()
    """It left the active release because that kept failing."""
    SERVES_ANOTHER = auto()
    """It serves another release or none, and that is not known to be the active one's fault."""


def finding(figures: WorkerFigures, active: str | None) -> Finding:
    """Compare what is served with what should be."""
    if active is None or figures.serving == active:
        return Finding.FINE
    if figures.fell_back_from == active and figures.fell_back_for is None:
        return Finding.WENT_BACK
    return Finding.SERVES_ANOTHER


class IdleWatch:
    """Looks at the worker now and then and puts small things right."""

    def __init__(self, ports: Ports, policy: PolicyInForce) -> None:
        self._ports = ports
        self._policy = policy
        self._looks_astray = 0
        self._corrections = 0
        self._refusals = 0

    async def departure(self) -> Departure:
        """Watch until the active release has to be left."""
        self._looks_astray = 0
        while True:
            await self._ports.clock.sleep(self._policy.now.idle_interval)
            departure = await self._look()
            if departure is not None:
                return departure

    async def _look(self) -> Departure | None:
        active = self._ports.store.active()
        try:
            now = await self._ports.worker.figures()
            found = finding(now, active)
            if active is not None and found is Finding.WENT_BACK:
                detail = now.fell_back_because or "the worker went back by itself"
                return self._leave(active, now.serving, detail)
            if active is not None and found is Finding.SERVES_ANOTHER:
                return await self._astray(active, now)
            await self._fine(now)
        except Postponed as away:
            logger.debug("nothing to be seen of the worker: %s", away)
        except Exception:
            # The serving model must not suffer from whatever this is, nor the next update.
            logger.exception("unforeseen error while watching the worker")
            await self._ports.clock.sleep(self._policy.now.longest_retry)
        return None

    async def _fine(self, now: WorkerFigures) -> None:
        if self._corrections:
            logger.info("the worker serves release %s again", now.serving)
        self._looks_astray = self._corrections = self._refusals = 0
        if now.comparison is not None and now.comparison.shadowing:
            await self._ports.worker.settle(now.comparison.release)

    async def _astray(self, active: str, now: WorkerFigures) -> Departure | None:
        """Ask for the active release again, gently: a worker that starts finds it by itself."""
        self._looks_astray += 1
        patience = self._policy.now.looks_before_correction * 2 ** min(self._corrections, 8)
        if self._looks_astray < patience:
            return None
        self._looks_astray = 0
        self._corrections += 1
        if self._corrections == 1:
            logger.warning("the worker serves %s; %s is asked for", now.serving, active)
        try:
            await self._ports.worker.prepare(active)
            await self._ports.worker.commit(active, watch=False)
        except Rejected as refusal:
            self._refusals += 1
            if self._refusals >= self._policy.now.attempt_limit:
                return self._leave(active, now.serving, str(refusal))
        return None

    def _leave(self, active: str, serving: str | None, detail: str) -> Departure | None:
        store = self._ports.store
        if store.contents(active) is None:
            return None  # What can't be described can't be remembered as bad either.
        held = [r for r in (serving, store.previous()) if r is not None and store.holds(r)]
        return Departure(active, held[0] if held else None, Rejection.ENGINE_FAILING, detail)
