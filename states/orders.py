"""What an operator may order at the device itself: go back to another release, try one again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from states.machine import SUPERSEDABLE
from states.model import Deployment
from states.ports import Journal, Store
from states.reasons import Rejection
from states.update import Move, Outcome, Update


class OrderRefused(Exception):  # noqa: N818 - reads as what happened
    """The order makes no sense now; the text says why and what to do instead."""


@dataclass(frozen=True)
class Departure:
    """Leaving a release that serves, outside of any update, for ``fallback``."""

    leaving: str
    fallback: str | None
    reason: Rejection
    detail: str


@dataclass(frozen=True)
class RollBack:
    """An order to go back; ``done`` holds the release that is served instead."""

    departure: Departure
    done: asyncio.Future[str | None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Orders:
    """The one roll back that may be ordered at a time, and when its turn comes."""

    def __init__(self, store: Store, journal: Journal) -> None:
        self._store = store
        self._journal = journal
        self._pending: RollBack | None = None
        self._given = asyncio.Event()

    def roll_back(self, state: str, update: Update | None, to: str | None) -> RollBack:
        """Order the device back to release ``to``, or to the best it has.

        Raises OrderRefused, and Postponed without a journal.
        """
        if self._pending is not None or state == "rolling-back":
            raise OrderRefused("a roll back is under way already; see `edgeferry status`")
        taking_over = update is not None and state in {"activating", "confirming"}
        leaving = update.release_id if update and taking_over else self._store.active()
        if leaving is None or self._store.contents(leaving) is None:
            raise OrderRefused("no release serves, so there is none to leave")
        target = self._target(leaving, update.fallback if update and taking_over else None, to)
        self._journal.clear_rejection(target)
        detail = f"an operator went back to {target}"
        departure = Departure(leaving, target, Rejection.OPERATOR_ROLLBACK, detail)
        self._pending = RollBack(departure)
        self._given.set()
        return self._pending

    def _target(self, leaving: str, fallback: str | None, to: str | None) -> str:
        if to == leaving:
            raise OrderRefused(f"release {to} is what serves")
        if to is not None and not self._store.holds(to):
            raise OrderRefused(
                f"release {to} is not on this device; `edgeferry releases` shows which are"
            )
        confirmed = self._journal.confirmed_releases()
        candidates = [to] if to else [fallback, self._store.previous(), *confirmed]
        for candidate in candidates:
            if candidate in {None, leaving} or not self._store.holds(candidate or ""):
                continue
            if candidate is not None and (to or not self._journal.is_rejected(candidate)):
                return candidate
        raise OrderRefused(
            "there is no other good release on this device; name one with --to "
            "(`edgeferry releases`), or deploy another"
        )

    @property
    def waiting(self) -> bool:
        """Whether an order waits for its turn."""
        return self._given.is_set()

    async def departure(self) -> Departure:
        """Wait for an order in Idle, where its turn comes at once."""
        while True:
            await self._given.wait()
            departure = self.take(self._store.active())
            if departure is not None:
                return departure

    def take(self, serving: str | None) -> Departure | None:
        """The order's turn has come; None when what it wants to leave was left meanwhile."""
        order = self._pending
        self._given.clear()
        if order is None:
            return None
        if order.departure.leaving == serving:
            return order.departure
        self.finished(serving)
        return None

    def finished(self, serving: str | None) -> None:
        """The order was carried out, or there is nothing left to be done."""
        order, self._pending = self._pending, None
        if order is not None and not order.done.done():
            order.done.set_result(serving)

    async def interrupt(self, state: str, update: Update) -> Move:
        """Wait for an order while an update is under way; how that makes room for it."""
        while True:
            await self._given.wait()
            if state in SUPERSEDABLE:
                why = "an operator's roll back comes first"
                return Move("cancel", Outcome.CANCELLED, detail=why)
            departure = self.take(update.release_id)
            if departure is not None:
                return Move(
                    "roll_back",
                    Outcome.ROLLED_BACK,
                    departure.reason,
                    departure.detail,
                    fallback=departure.fallback,
                )


def to_try_again(journal: Journal, offered: Deployment | None, named: str | None) -> str:
    """The rejected release an operator wants tried again: named, deployed, or the newest one.

    Raises OrderRefused.
    """
    rejected = journal.rejected_releases()
    if named is not None:
        if named in rejected:
            return named
        raise OrderRefused(f"release {named} is not rejected; `edgeferry status` lists which are")
    if offered is not None and offered.release.id in rejected:
        return offered.release.id
    if not rejected:
        raise OrderRefused("no release is rejected, and no update waits to be tried again")
    return rejected[0]
