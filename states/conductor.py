"""Drives one update at a time through the machine: runs each state's work, then makes its move.

* The journal is written before the machine moves; a power cut repeats a step, never skips one.
* After a start the stored state is checked and its work begun again; nothing else resumes it.
* A newer manifest is heeded wherever nothing has been switched yet, and ends a commit window.
* Every state has a deadline; a step that fails in an unforeseen way is a postponed step.
"""

from __future__ import annotations

import logging
from collections.abc import Coroutine, Iterator
from typing import Any

from states.decisions import STARTING, Consideration
from states.gates import Step
from states.machine import SUPERSEDABLE, UpdateMachine
from states.model import Deployment
from states.offers import Offers
from states.orders import Departure, Orders, to_try_again
from states.policy import Policy, PolicyInForce
from states.ports import Ports, Postponed, Rejected
from states.race import first
from states.reasons import Rejection, Transient, is_shortage
from states.recovery import recover
from states.update import Move, Outcome, Transition, Update, after
from states.watch import IdleWatch
from states.work import Progress, Work

logger = logging.getLogger(__name__)

Racer = Coroutine[Any, Any, Move]

_SHORT_STATES = frozenset({"verifying", "activating", "confirming", "rolling-back", "reporting"})


def no_progress(_done: int, _total: int) -> None:
    """Progress nobody looks at."""


class Conductor:
    """The update agent without its hands: everything it touches is a port.

    Call :meth:`offer` for every manifest, however often it is delivered, and keep :meth:`run`
    running. ``run`` only returns by cancellation, which is safe at any point.
    """

    def __init__(self, ports: Ports, policy: Policy, progress: Progress = no_progress) -> None:
        self._ports = ports
        self._policy = PolicyInForce(policy)
        self._work = Work(ports, self._policy, progress)
        self.steps = 0
        """How often :meth:`step` was begun: who does not move on has not hung if this grows."""
        self._offers = Offers(ports.store, ports.journal)
        self._orders = Orders(ports.store, ports.journal)
        self._watch = IdleWatch(ports, self._policy)
        self._journal_refuses = False
        self._next: Update | None = None
        self._ended: Update | None = None
        recovered = recover(ports.journal, policy)
        self._update, self._elapsed = recovered.update, recovered.elapsed
        self._machine = UpdateMachine(recovered.state, self._commit)

    @property
    def state(self) -> str:
        """Name of the present state, as the journal holds it."""
        return str(next(iter(self._machine.configuration)).value)

    @property
    def update(self) -> Update | None:
        """The update under way, or None in Idle."""
        return self._update

    @property
    def has_news(self) -> bool:
        """Whether a manifest or an operator's order waits to be considered."""
        return self._offers.waiting or self._orders.waiting

    def offer(self, deployment: Deployment | None) -> None:
        """Hand over the newest manifest; None when nothing is deployed to this device."""
        self._offers.take(deployment)

    def go_by(self, policy: Policy) -> None:
        """Follow another policy from now on; a commit window under way keeps its limits."""
        self._policy.now = policy

    def wake(self) -> None:
        """What an update waits for may have healed: end the wait of AwaitingRetry now."""
        if self.state == "awaiting-retry":
            self._work.wake.set()

    async def roll_back(self, to: str | None = None) -> str | None:
        """Go back to release ``to``, or to the best there is; answers once that is done.

        What is left is remembered as rejected, so that the deployment does not bring it back; an
        update that has not switched anything is broken off and considered again afterwards.
        Raises OrderRefused, and Postponed without a journal.
        """
        return await self._orders.roll_back(self.state, self._update, to).done

    def retry(self, release_id: str | None = None) -> str:
        """End a wait, or forget a rejection and consider the manifest again; says which.

        Raises OrderRefused, and Postponed without a journal.
        """
        update, state = self._update, self.state
        if update and state == "awaiting-retry" and release_id in {None, update.release_id}:
            self.wake()
            return f"release {update.release_id} is tried again now"
        offers = self._offers
        cleared = to_try_again(self._ports.journal, offers.newest, release_id)
        self._ports.journal.clear_rejection(cleared)
        if not offers.heard:
            return f"release {cleared} is tried again once the device is connected, if deployed"
        offers.look_again()
        if offers.newest is not None and offers.newest.release.id == cleared:
            return f"release {cleared} is tried again now"
        return f"release {cleared} may be deployed again; another one is deployed now"

    async def run(self) -> None:
        """Work for ever."""
        while True:
            await self.step()

    async def step(self) -> None:
        """Do the work of the present state and move on; without a journal nothing moves."""
        self.steps += 1
        try:
            if self._update is None:
                await self._idle()
            else:
                self._make(await self._result(self.state, self._update))
        except Postponed as difficulty:
            if not self._journal_refuses:
                logger.warning("the journal can't be written, so nothing moves: %s", difficulty)
            self._journal_refuses = True
            self._offers.look_again()
            await self._ports.clock.sleep(self._policy.now.retry_delay(0))
        else:
            if self._journal_refuses:
                logger.info("the journal can be written again")
            self._journal_refuses = False

    async def _idle(self) -> None:
        departure = await self._departure()
        if departure is not None:
            self._depart(departure)
            return
        verdict, offered = self._offers.consider(), self._offers.newest
        if verdict in STARTING and offered is not None:
            self._move("offer", self._begin(offered))
        elif verdict is not Consideration.NOTHING_DEPLOYED and offered is not None:
            self._ports.journal.note_manifest(offered)

    async def _departure(self) -> Departure | None:
        """Wait for a reason to leave what serves, or None for a manifest to consider."""
        if self._offers.waiting and not self._orders.waiting:
            return None
        return await first(self._orders.departure(), self._watch.departure(), self._offers.wait())

    def _depart(self, departure: Departure) -> None:
        journal, leaving = self._ports.journal, departure.leaving
        release = self._ports.store.contents(leaving)
        assert release is not None, "nobody orders to leave what is not known"
        update = Update(
            journal.next_update_id(),
            Deployment(journal.sequence_of(leaving), release),
            departure.fallback,
            outcome=Outcome.ROLLED_BACK,
            reason=departure.reason,
            detail=departure.detail,
        )
        self._move("demote", update)

    def _begin(self, deployment: Deployment) -> Update:
        active = self._ports.store.active()
        return Update(self._ports.journal.next_update_id(), deployment, fallback=active)

    async def _result(self, state: str, update: Update) -> Move:
        if state in _SHORT_STATES and update.resumes > self._policy.now.resume_limit:
            detail = f"the agent was restarted {update.resumes} times in {state}"
            return self._work.difficulty(state, update, Rejection.CRASH_LOOP, detail)
        try:
            return await self._race(state, update)
        except Postponed as difficulty:
            reason, detail = difficulty.reason, difficulty.detail
        except Rejected as difficulty:
            return self._work.difficulty(state, update, difficulty.reason, difficulty.detail)
        except Exception as defect:
            reason, detail = Transient.INTERNAL_ERROR, f"{type(defect).__name__}: {defect}"
            if is_shortage(defect):
                reason = Transient.NO_RESOURCES
            else:
                logger.exception("unforeseen error in %s", state)
        if state == "rolling-back":
            # There is no better state to be in: the previous release must come back.
            logger.warning("rolling back is tried again: %s", detail)
            await self._ports.clock.sleep(self._policy.now.retry_delay(0))
            return Move("again")
        return self._work.difficulty(state, update, reason, detail)

    async def _race(self, state: str, update: Update) -> Move:
        """Run a state's work against its deadline and newer manifests."""
        racers = tuple(self._racers(state, update))
        self._elapsed = 0.0
        return await first(*racers)

    def _racers(self, state: str, update: Update) -> Iterator[Racer]:
        """All that may end a state; of two at the same moment, the first counts."""
        if state in SUPERSEDABLE or state == "confirming":
            yield self._orders.interrupt(state, update)
        if state in SUPERSEDABLE:
            # Before the work: what it has come to is for a manifest that is no longer wanted.
            yield self._offers.supersede(state, update)
        yield self._work.of[state](update)
        if state == "confirming":
            yield self._offers.supersede(state, update)
        if state == "downloading":
            yield self._work.until_closed(Step.DOWNLOAD)
        seconds = self._policy.now.deadlines.get(state)
        if seconds is not None:
            left = max(0.0, seconds - self._elapsed)
            yield self._overdue(state, update, seconds, left)

    async def _overdue(self, state: str, update: Update, seconds: float, left: float) -> Move:
        await self._ports.clock.sleep(left)
        return self._work.overdue(state, update, seconds)

    def _make(self, move: Move) -> None:
        if self._update is None or move.event == "again":
            return
        changed = after(self._update, move)
        if move.event == "supersede" and move.deployment is not None:
            self._move(move.event, self._begin(move.deployment), ended=changed)
        else:
            self._move(move.event, changed)

    def _move(self, event: str, update: Update, ended: Update | None = None) -> None:
        self._next, self._ended = update, ended
        self._machine.send(event)
        self._update = None if self.state == "idle" else update
        if event in {"restored", "restored_for_retry"}:
            self._orders.finished(self._ports.store.active())
        if self._update is None:
            self._offers.look_again()  # at what was offered meanwhile

    def _commit(self, event: str, source: str, target: str) -> None:
        detail = self._next.detail if self._next else ""
        step = Transition(event, source, target, self._next, self._ended, detail)
        self._ports.journal.commit(step)
        number = self._next.id if self._next else 0
        logger.info("update %d: %s -> %s%s", number, source, target, detail and f" ({detail})")
