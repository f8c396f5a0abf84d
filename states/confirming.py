"""The work of Confirming: keeps the commit window, over restarts of the agent and of the worker."""

from __future__ import annotations

import logging
from dataclasses import replace

from states.decisions import turn_back
from states.evidence import keep
from states.figures import WorkerFigures
from states.policy import PolicyInForce
from states.ports import Ports, Postponed, Rejected
from states.reasons import Rejection, Transient
from states.update import Move, Outcome, Update
from states.window import Judgement, Verdict, Window, stored_window

logger = logging.getLogger(__name__)

KIND = "window"


class Confirming:
    """Watches one update's commit window and notes what it saw as evidence."""

    def __init__(self, ports: Ports, policy: PolicyInForce) -> None:
        self._ports = ports
        self._policy = policy
        self._limits = policy.now.window
        self._window: Window | None = None
        self._seen: WorkerFigures | None = None

    async def confirm(self, update: Update) -> Move:
        """Look at the worker until the window has a verdict."""
        self._limits = self._policy.now.window  # kept to the end, whatever is set meanwhile
        self._window = self._stored(update)
        while True:
            now = await self._look()
            if now is not None:
                judgement = await self._judge(update, now)
                if judgement.verdict is not Verdict.UNDECIDED:
                    return self._move(update, judgement)
            await self._ports.clock.sleep(self._policy.now.figures_interval)

    def overdue(self, update: Update) -> Move:
        """The window's time is up: what has been seen must do."""
        if self._window is None:
            return self._turn_back(update, *_NEVER_OPENED)
        if self._seen is not None:
            judgement = self._window.judge(self._seen, self._limits, over=True)
            if judgement.verdict is not Verdict.UNDECIDED:
                return self._move(update, judgement)
        reason, detail = self._window.at_deadline(self._seen)
        self._note(update, Judgement(Verdict.FAILED, detail))
        return self._turn_back(update, reason, detail)

    async def _look(self) -> WorkerFigures | None:
        """Figures now, or None while the worker is away: the deadline decides about that."""
        try:
            self._seen = await self._ports.worker.figures()
        except Postponed:
            self._seen = None
        return self._seen

    async def _judge(self, update: Update, now: WorkerFigures) -> Judgement:
        if self._window is None or self._window.lost_by(now):
            return await self._open(update, now)
        judgement = self._window.judge(now, self._limits)
        if judgement.checks:
            self._window = replace(self._window, looked_at=now.classified)
        return judgement

    async def _open(self, update: Update, now: WorkerFigures) -> Judgement:
        """Begin the window, or begin it anew because the worker was restarted."""
        if self._window is not None:
            # Counted before anything else is done, so that a power cut does not forget it.
            self._window = self._window.again(now)
            self._note(update, Judgement(Verdict.UNDECIDED))
            logger.warning("the worker was restarted in the commit window; it begins anew")
            if self._window.restarts > self._limits.restarts:
                return self._window.judge(now, self._limits)
            now = await self._switch_anew(update)
            self._window = replace(self._window, opened=now)
        else:
            if update.resumes:
                await self._serve(update.release_id)
                now = await self._ports.worker.figures()
            self._window = Window(
                update.release_id, update.attempts, now, apart=self._apart(update)
            )
        self._note(update, Judgement(Verdict.UNDECIDED))
        return Judgement(Verdict.UNDECIDED)

    async def _switch_anew(self, update: Update) -> WorkerFigures:
        """Serve the release before for a moment, so that the worker can compare the two again."""
        if update.fallback is not None and self._ports.store.holds(update.fallback):
            try:
                await self._ports.worker.prepare(update.fallback)
                await self._ports.worker.commit(update.fallback, watch=False)
            except Rejected as refusal:
                logger.warning("release %s is not compared with: %s", update.fallback, refusal)
        await self._serve(update.release_id)
        return await self._ports.worker.figures()

    async def _serve(self, release_id: str) -> None:
        await self._ports.worker.prepare(release_id)
        await self._ports.worker.commit(release_id, watch=True)

    def _stored(self, update: Update) -> Window | None:
        if not update.resumes:
            return None
        evidence = self._ports.journal.evidence(update.id, KIND)
        return stored_window(evidence, update.release_id, update.attempts)

    def _apart(self, update: Update) -> str:
        if update.release_id in self._ports.journal.confirmed_releases():
            return "it was confirmed on this device before, so it is judged on itself alone"
        return ""

    def _move(self, update: Update, judgement: Judgement) -> Move:
        self._note(update, judgement)
        if judgement.verdict is Verdict.CONFIRMED:
            return Move("confirm", Outcome.CONFIRMED)
        return self._turn_back(update, judgement.reason, judgement.why)

    def _turn_back(self, update: Update, reason: Rejection | Transient, detail: str) -> Move:
        return turn_back(update, reason, detail, self._policy.now)

    def _note(self, update: Update, judgement: Judgement) -> None:
        assert self._window is not None
        document = self._window.document(judgement, self._seen, self._limits)
        keep(self._ports.journal, update.id, KIND, document)


_NEVER_OPENED = (Transient.WORKER_AWAY, "the worker never took the release over")
