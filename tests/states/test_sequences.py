"""Random lives of a device: whatever happens in whatever order, the law holds."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from states.gates import Step
from states.machine import STATES
from states.model import Deployment
from states.orders import OrderRefused
from states.policy import Policy
from states.ports import Postponed, Rejected
from states.reasons import Rejection, Transient
from tests.states.comparisons import ALIKE, COLLAPSED, compared
from tests.states.memory_journal import PowerCut
from tests.states.world import Device, deployment, release

STEPS = ["fetch", "verify", "assemble", "prepare", "switch", "switched", "commit", "figures"]
ACCIDENTS = [
    PowerCut(),
    Postponed(Transient.LINK_LOST, "made up"),
    Postponed(Transient.DISK_FULL, "made up"),
    Rejected(Rejection.HASH_MISMATCH, "made up"),
    RuntimeError("defect"),
]
FALLS = [None, Transient.ENGINE_SILENT, Transient.ENGINE_LATE]
WORSE = compared(COLLAPSED)
VERSIONS = st.sampled_from(["1", "2", "3", "4"])

events = st.one_of(
    st.tuples(st.just("offer"), VERSIONS),
    st.tuples(st.just("withdraw"), st.none()),
    st.tuples(st.just("accident"), st.tuples(st.sampled_from(STEPS), st.sampled_from(ACCIDENTS))),
    st.tuples(st.just("restart"), st.none()),
    st.tuples(st.just("gate"), st.sampled_from(Step)),
    st.tuples(st.just("steps"), st.integers(1, 9)),
    st.tuples(st.just("worker"), st.sampled_from(["restarts", "goes astray"])),
    st.tuples(st.just("fall"), st.sampled_from(FALLS)),
    st.tuples(st.just("order"), st.sampled_from(["roll back", "retry"])),
    st.tuples(st.just("comparison"), st.sampled_from([None, ALIKE, WORSE])),
)


class Life:
    """A device, its agent, and what must hold at every moment."""

    def __init__(self) -> None:
        self.device = Device(Policy(longest_retry=60))
        self.agent = self.device.start()
        self.sequence = 0

    async def live(self, event: str, value: object) -> None:
        if event == "offer":
            self.sequence += 1
            self.agent.offer(deployment(str(value), self.sequence))
        elif event == "withdraw":
            self.agent.offer(None)
        elif event == "accident" and isinstance(value, tuple):
            step, accident = value
            self.device.world.accidents.setdefault(step, []).append(accident)
        elif event == "gate" and isinstance(value, Step):
            self.device.world.closed_gates ^= {value}
        elif event == "restart":
            self.agent = self.device.start()
        elif event == "worker":
            self.meddle(str(value))
        elif event == "fall":
            self.fall(value)  # type: ignore[arg-type]
        elif event == "order":
            await self.order(str(value))
        elif event == "comparison":
            self.device.world.comparing = value  # type: ignore[assignment]
        elif isinstance(value, int):
            await self.steps(value)
        self.check()

    def meddle(self, what: str) -> None:
        """The worker does something by itself."""
        world = self.device.world
        if what == "restarts":
            world.restart_worker()
        elif what == "goes astray":
            world.serving = world.previous_link

    def fall(self, reason: Transient | None) -> None:
        """The worker goes back by itself."""
        world = self.device.world
        if world.serving and world.previous_link:
            world.fall_back(reason)

    async def order(self, what: str) -> None:
        """An operator orders something and does not wait for the answer."""
        with suppress(OrderRefused):
            if what == "retry":
                self.agent.retry()
            else:
                order = asyncio.ensure_future(self.agent.roll_back())
                await asyncio.sleep(0)
                order.cancel()

    async def steps(self, count: int) -> None:
        async with self.device.pumping():
            for _ in range(count):
                held = self.agent.state == "held" and self.device.world.closed_gates
                if held or self.at_rest():
                    return
                try:
                    await self.step()
                except PowerCut:
                    self.agent = self.device.start()
                self.check()

    async def step(self) -> None:
        """One step, or the part of it after which nothing more would come."""
        step = asyncio.ensure_future(self.agent.step())
        while not step.done() and not self.at_rest():  # noqa: ASYNC110
            await asyncio.sleep(0)
        if not step.done():
            step.cancel()
        with suppress(asyncio.CancelledError):
            await step

    def at_rest(self) -> bool:
        """Whether nothing would ever happen by itself."""
        world = self.device.world
        fine = world.serving == world.current
        return self.agent.state == "idle" and not self.agent.has_news and fine

    def check(self) -> None:
        world, journal = self.device.world, self.device.journal
        assert self.agent.state in STATES
        assert journal.state == self.agent.state
        assert world.current is None or world.holds(world.current)
        if journal.confirmed and self.agent.state == "idle":
            assert world.current is not None, "the active release was lost"
        if self.agent.state == "idle" and world.current is not None:
            assert world.current not in journal.rejected or world.current in journal.confirmed

    async def rest(self) -> None:
        """Without further accidents the newest manifest is served, or its content is rejected."""
        self.device.world.accidents.clear()
        self.device.world.closed_gates.clear()
        self.device.world.comparing = None
        self.agent = self.device.start()
        self.sequence += 1
        final = Deployment(self.sequence, release("9"))
        self.agent.offer(final)
        await self.steps(200)
        assert self.device.world.current == self.device.world.serving == final.release.id


@settings(max_examples=300, deadline=None)
@given(st.lists(events, max_size=25))
def test_no_sequence_of_accidents_loses_the_active_release(life: list[tuple[str, object]]) -> None:
    async def play() -> None:
        device = Life()
        for event, value in life:
            await device.live(event, value)
        await device.rest()

    asyncio.run(play())


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 60), VERSIONS, st.sampled_from([None, 3.0, 1e9]))
def test_a_cut_at_any_commit_is_survived(cut: int, version: str, elapsed: float | None) -> None:
    async def play() -> None:
        life = Life()
        life.device.journal.elapsed = elapsed
        life.device.journal.cut_before = cut
        for each in ("1", version, "2"):
            await life.live("offer", each)
            await life.steps(30)
            if life.device.journal.cut_before is not None and life.agent.state != "idle":
                life.device.journal.cut_before = None
        life.device.journal.cut_before = None
        await life.rest()

    asyncio.run(play())


def test_policy_times_are_never_negative() -> None:
    policy = replace(Policy(), jitter=lambda low, high: low)
    assert all(0 < policy.retry_delay(n) <= policy.longest_retry for n in range(200))
