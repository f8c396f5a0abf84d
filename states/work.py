"""What is done in each state. Every step may be done again after a power cut.

A step answers with the :class:`~states.update.Move` its work came to. Difficulties are raised as
:class:`~states.ports.Postponed` and :class:`~states.ports.Rejected`; what they mean in which state
is decided by :func:`difficulty`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import Any

from states.confirming import Confirming
from states.decisions import Holdings, after_restore, plan, postpone, refuse, turn_back
from states.deltas import bytes_to_fetch, patches_for
from states.evidence import keep
from states.gates import Step
from states.model import Companion
from states.policy import PolicyInForce
from states.ports import Ports, Postponed, Rejected
from states.reasons import Rejection, Transient
from states.signature import SignatureCheck
from states.update import Move, Outcome, Update

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]


class Work:
    """The work of every state, by name. ``wake`` ends the wait of AwaitingRetry early."""

    def __init__(self, ports: Ports, policy: PolicyInForce, progress: Progress) -> None:
        self._ports = ports
        self._policy = policy
        self._progress = progress
        self._confirming = Confirming(ports, policy)
        self._signature = SignatureCheck(ports)
        self.wake = asyncio.Event()
        self.of: dict[str, Callable[[Update], Coroutine[Any, Any, Move]]] = {
            "manifest-received": self._plan,
            "downloading": self._download,
            "verifying": self._verify,
            "activating": self._activate,
            "confirming": self._confirming.confirm,
            "rolling-back": self._restore,
            "reporting": self._report,
            "awaiting-retry": self._wait,
            "held": self._held,
        }

    async def _plan(self, update: Update) -> Move:
        store, release = self._ports.store, update.deployment.release
        if self._signature.must_fetch(update.deployment):
            why = self._ports.gate.closed(Step.DOWNLOAD)
            if why is not None:
                return Move("hold", detail=why)
        await self._signature.check(update.deployment)
        if store.active() == release.id:
            return Move("discard", Outcome.UNNEEDED)
        move = plan(update, self._holdings(update), self._policy.now)
        if move.reason is Transient.DISK_FULL:
            store.collect((release,), self._ports.journal.confirmed_releases())
            move = plan(update, self._holdings(update), self._policy.now)
        return self._unless_closed(Step.DOWNLOAD, move) if move.event == "download" else move

    def _unless_closed(self, step: Step, move: Move) -> Move:
        why = self._ports.gate.closed(step)
        return move if why is None else Move("hold", detail=why)

    def _holdings(self, update: Update) -> Holdings:
        store = self._ports.store
        missing = store.missing(update.deployment.release)
        partial = sum(store.fetched_bytes(package) for package in missing)
        patches = patches_for(missing, self._companions(update), store)
        patch_bytes = sum(bytes_to_fetch(patch, store) for patch in patches)
        return Holdings(missing, partial, store.available_bytes(), patch_bytes)

    def _companions(self, update: Update) -> tuple[Companion, ...]:
        """Patches that may be tried; none when the agent may be dying of one."""
        worn_out = update.resumes > self._policy.now.resume_limit
        return () if worn_out else update.deployment.companions

    async def _download(self, update: Update) -> Move:
        before = self._holdings(update)
        try:
            companions = self._companions(update)
            await self._ports.fetcher.fetch(before.missing, self._progress, companions)
        except Postponed as difficulty:
            if self._holdings(update).bytes_to_go >= before.bytes_to_go:
                raise
            # A bad link that still gets something across is no reason to wait ever longer.
            fresh = replace(update, attempts=0)
            return postpone(fresh, difficulty.reason, difficulty.detail, self._policy.now)
        return Move("downloaded")

    async def _verify(self, update: Update) -> Move:
        release, journal = update.deployment.release, self._ports.journal
        await self._signature.check(update.deployment)
        known_good = release.id in journal.confirmed_releases()
        try:
            trial = await self._ports.verifier.verify(release, known_good)
        except Rejected as refusal:
            if refusal.evidence is not None:
                keep(journal, update.id, "trial", refusal.evidence)
            raise
        keep(journal, update.id, "trial", trial)
        self._ports.store.assemble(release)
        return self._unless_closed(Step.ACTIVATION, Move("accept"))

    async def _activate(self, update: Update) -> Move:
        worker, release_id = self._ports.worker, update.release_id
        await worker.prepare(release_id)
        self._ports.store.switch(release_id, update.fallback)
        swap = await worker.commit(release_id, watch=True)
        keep(self._ports.journal, update.id, "swap", swap)
        return Move("switched")

    async def _restore(self, update: Update) -> Move:
        """Put the newest good release back. The link decides; a worker that is away reads it."""
        store, journal = self._ports.store, self._ports.journal
        confirmed = [r for r in journal.confirmed_releases() if r != update.release_id]
        held = [r for r in dict.fromkeys([update.fallback, *confirmed]) if r and store.holds(r)]
        good = [r for r in held if r == update.fallback or not journal.is_rejected(r)] or held[:1]
        store.switch(good[0] if good else None, good[1] if len(good) > 1 else None)
        try:
            if good:
                await self._ports.worker.prepare(good[0])
                await self._ports.worker.commit(good[0], watch=False)
            else:
                await self._ports.worker.withdraw()
        except Postponed as away:
            logger.warning("rolled back on disk; the worker follows when it is back: %s", away)
        return after_restore(update)

    async def _report(self, _update: Update) -> Move:
        """The outcome stands in the outbox already; what is left is tidying up."""
        try:
            await self._let_shadow_go()
            self._ports.store.collect((), self._ports.journal.confirmed_releases())
        except Postponed as difficulty:
            logger.warning("some tidying up is left for later: %s", difficulty)
        return Move("reported")

    async def _let_shadow_go(self) -> None:
        """The commit window is over, so the release before need not stay in memory."""
        active = self._ports.store.active()
        if active is not None:
            with suppress(Postponed):  # a worker that is away keeps nothing in memory
                await self._ports.worker.settle(active)

    async def _held(self, update: Update) -> Move:
        """Wait until what comes next may begin."""
        missing = self._ports.store.missing(update.deployment.release)
        fetching = bool(missing) or self._signature.must_fetch(update.deployment)
        step = Step.DOWNLOAD if fetching else Step.ACTIVATION
        while self._ports.gate.closed(step) is not None:
            await self._ports.clock.sleep(self._policy.now.gate_interval)
        return Move("release")

    async def until_closed(self, step: Step) -> Move:
        """Wait until a step that is under way must be broken off."""
        while True:
            await self._ports.clock.sleep(self._policy.now.gate_interval)
            why = self._ports.gate.closed(step)
            if why is not None:
                return Move("hold", detail=why)

    async def _wait(self, update: Update) -> Move:
        sleep = asyncio.ensure_future(self._ports.clock.sleep(update.retry_delay))
        wake = asyncio.ensure_future(self.wake.wait())
        try:
            await asyncio.wait({sleep, wake}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()
            wake.cancel()
            self.wake.clear()
        return Move("retry")

    def difficulty(
        self, state: str, update: Update, reason: Rejection | Transient, detail: str
    ) -> Move:
        """What a difficulty means in a state: wait, refuse, or go back."""
        if state == "rolling-back":
            return after_restore(update)
        if state == "reporting":
            return Move("reported")
        switched = self._ports.store.active() == update.release_id
        if state == "confirming" or (state == "activating" and switched):
            return turn_back(update, reason, detail, self._policy.now)
        if isinstance(reason, Transient):
            return postpone(update, reason, detail, self._policy.now)
        if state == "activating":
            return turn_back(update, reason, detail, self._policy.now)
        return refuse(reason, detail)

    def overdue(self, state: str, update: Update, seconds: float) -> Move:
        """What it means that a state has used up its time."""
        reason: Rejection | Transient = Rejection.DEADLINE
        detail = f"{state} took longer than {seconds:g} s"
        if state == "confirming":
            return self._confirming.overdue(update)
        if state in {"manifest-received", "downloading"}:
            reason = Transient.STALLED
        return self.difficulty(state, update, reason, detail)
