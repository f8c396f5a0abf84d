"""Routing and counting with engines that do as they are told, in any order of events."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agent.worker.camera.frames import SLOTS, Frame, FrameStore
from agent.worker.camera.mailbox import Mailbox
from agent.worker.engines.counters import Result
from agent.worker.engines.engine import Answer, Engine, Outcome
from agent.worker.engines.serving import Serving, Tenure
from agent.worker.engines.settings import ReleaseFiles
from agent.worker.errors import EngineFailed
from states.reasons import Rejection
from tests.support.worker_harness import assert_balanced

FAILURE = EngineFailed(Rejection.MODEL_CRASHED, "told to")
EVENTS = (
    *("frame", "frame", "frame", "answer", "answer", "answer", "lose", "fail", "switch"),
    *("switch and close", "withdraw", "restart", "warm the one before", "slow", "drain"),
    "answer newest",
)


class ToldEngine:
    """Takes frames, and answers or fails when told to."""

    def __init__(self) -> None:
        self.busy_ms = 0.0
        self.asked: deque[tuple[int, Callable[[Outcome], None]]] = deque()
        self.failed = False

    def submit(self, frame: Frame, done: Callable[[Outcome], None], *, quiet: bool = False) -> None:
        assert not quiet
        if self.failed:
            asyncio.get_running_loop().call_soon(done, FAILURE)
        else:
            self.asked.append((frame.number, done))

    def answer(self) -> None:
        _, done = self.asked.popleft()
        done(Answer([("red", 1.0)], 0.1, 0.2))

    def fail(self) -> None:
        self.failed = True
        asked, self.asked = self.asked, deque()
        for _, done in asked:
            done(FAILURE)


class Scene:
    """A worker's middle without a camera and without processes."""

    def __init__(self) -> None:
        self.store = FrameStore()
        self.mailbox = Mailbox(self.store)
        self.serving = Serving(self.store, self.mailbox)
        self.serving.stand_in = self.stand_in
        self.serving.engine_failed = lambda *_: None
        self.engines: list[ToldEngine] = []
        self.warm: Tenure | None = None
        self.captured = 0

    def tenure(self) -> Tenure:
        engine = ToldEngine()
        self.engines.append(engine)
        release = f"r{len(self.engines)}"
        files = ReleaseFiles(release, Path(), Path(), None)
        return Tenure(files, cast("Engine", engine), self.serving.active)

    def stand_in(self, _failing: Tenure) -> Tenure | None:
        warm, self.warm = self.warm, None
        return warm

    def active_engine(self) -> ToldEngine | None:
        active = self.serving.active
        return cast("ToldEngine | None", active.engine if active else None)

    def play(self, event: str) -> None:
        active, engine = self.serving.active, self.active_engine()
        match event:
            case "frame":
                slot = self.store.reserve()
                assert slot is not None
                self.mailbox.put(Frame(self.captured, slot, 2, 2, captured_at=0.0))
                self.captured += 1
            case "lose":
                self.mailbox.lose()
                self.captured += 1
            case "answer" | "answer newest":
                asked = [told for told in self.engines if told.asked]
                if asked:
                    asked[-1 if event == "answer newest" else 0].answer()
            case "fail" if engine:
                engine.fail()
            case "switch" | "switch and close":
                self.serving.switch(self.tenure())
                if engine and event == "switch and close":
                    engine.fail()
            case "withdraw":
                self.serving.switch(None)
                if engine:
                    engine.fail()
            case "restart" if active and engine is None:
                active.engine = cast("Engine", ToldEngine())
                self.engines.append(cast("ToldEngine", active.engine))
            case "warm the one before":
                self.warm = self.tenure()
                self.warm.proven.set_result(None)
            case "slow" if engine:
                engine.busy_ms = 1e9 - engine.busy_ms
            case "drain" if active:
                active.engine = None

    def check(self) -> dict[str, Any]:
        figures = self.serving.figures()
        assert_balanced(figures)
        assert figures["frames"] == self.captured
        numbers = [result.frame for result in self.serving.results]
        assert numbers == sorted(set(numbers))
        assert all(len(engine.asked) <= 2 for engine in self.engines)
        # Every slot is free again but those of frames in flight and of the last one.
        free = list(iter(self.store.reserve, None))
        for slot in free:
            self.store.free(slot)
        held = SLOTS - len(free)
        assert figures["in_flight"] <= held <= figures["in_flight"] + 1
        return figures


async def _play(events: list[str]) -> None:
    scene = Scene()
    for event in events:
        scene.play(event)
        await asyncio.sleep(0)  # a frame is told of through the event loop
        await asyncio.sleep(0)
        scene.check()
    await _come_to_rest(scene)
    scene.store.close()


async def _come_to_rest(scene: Scene) -> None:
    """Once everything is answered nothing is in flight any more: no frame was forgotten."""
    for _ in range(20):
        scene.play("restart")
        scene.play("answer")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert scene.check()["in_flight"] == 0


@given(st.lists(st.sampled_from(EVENTS), max_size=60))
@example(["switch", "frame", "switch", "frame", "answer newest"])
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_happens_every_frame_is_classified_once_or_dropped(events: list[str]) -> None:
    asyncio.run(_play(events))


async def test_two_frames_in_a_failing_engine_go_to_the_one_that_stands_in_in_order() -> None:
    scene = Scene()
    for event in ("switch", "frame", "answer"):
        scene.play(event)
        await asyncio.sleep(0)
    scene.play("warm the one before")
    for _ in range(2):
        scene.play("frame")
        await asyncio.sleep(0)
    failing = scene.active_engine()
    assert failing
    assert [number for number, _ in failing.asked] == [1, 2]
    failing.fail()
    standing_in = scene.active_engine()
    assert standing_in
    assert [number for number, _ in standing_in.asked] == [1, 2]
    figures = scene.check()
    assert (figures["errors"], figures["dropped"], figures["in_flight"]) == (1, 0, 2)
    await _come_to_rest(scene)
    scene.store.close()


async def test_a_slow_engine_gets_its_next_frame_only_when_it_is_nearly_done() -> None:
    scene = Scene()
    for event in ("switch", "slow", "frame", "frame", "frame"):
        scene.play(event)
        await asyncio.sleep(0)
    engine = scene.active_engine()
    assert engine
    # The newest one waits, where a newer one can still take its place.
    assert [number for number, _ in engine.asked] == [0]
    assert scene.check()["in_flight"] == 2
    engine.answer()
    assert [number for number, _ in engine.asked] == [2]
    scene.play("slow")
    await _come_to_rest(scene)
    scene.store.close()


async def test_a_defect_of_somebody_who_looks_on_ends_serving_and_is_told() -> None:
    scene = Scene()

    def defective(_frame: Frame, _result: Result) -> None:
        raise ZeroDivisionError

    scene.serving.on_result.append(defective)
    serving = asyncio.create_task(scene.serving.run())
    for event in ("switch", "frame", "answer"):
        scene.play(event)
        await asyncio.sleep(0)
    with pytest.raises(ZeroDivisionError):
        await serving
    scene.store.close()
