"""Remote calls over real DTLS: what the operator asks, and what the device answers at once."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.control.errors import ControlError
from agent.control.parameters import Parameters
from agent.operations import Operation
from agent.remote import calls as desk
from agent.remote.begun import BEGUN_FACT, KEPT, BegunCalls
from agent.remote.briefs import MOST_BYTES, fitted
from agent.remote.calls import RemoteCalls, named
from protocol.errors import LinkLost
from protocol.formats import PlainValue
from protocol.rpc import RpcCall, RpcCode, RpcResult, encode_result
from states.ports import Postponed
from states.reasons import Transient
from tests.support.device_and_cloud import RemoteDevice
from tests.support.waiting import until, within
from tests.support.worker_harness import running_worker

OK, BAD, UNKNOWN, REFUSED, FORBIDDEN, AWAY = 0, 3, 5, 9, 7, 14
ALLOWED = {"remote": {"allow": True}}


async def serving(device: RemoteDevice, version: str) -> None:
    """Wait until that version serves."""

    async def look() -> bool:
        state = await device.state("edgeferry") or {}
        if not state.get("active") or state["state"] != "idle":
            return False
        return bool(state["active"]["versions"]["ai-model"] == version)

    await until(look)


async def test_whoever_may_only_look_is_told_what_to_do(device: RemoteDevice) -> None:
    async with device.agent():
        code, detail = await device.call("status")
        assert (code, detail["state"], detail["worker"]["state"]) == (OK, "idle", "away")
        for method in ("rollback", "retry", "reload", "restart_worker"):
            code, detail = await device.call(method)
            assert code == FORBIDDEN
            assert "allow = true in [remote]" in detail["error"]
        code, detail = await device.call("format_disk", "now")
        assert code == UNKNOWN
        assert "restart_worker" in detail["error"]


WRONG: list[tuple[str, list[object]]] = [
    ("status", [1]),
    ("rollback", [7]),
    ("rollback", ["a", "b"]),
    ("retry", [True]),
    ("explain", [[1]]),
    ("hold", ["something"]),
    ("hold", [{"how": "everything"}]),
    ("capture", ["yes"]),
    ("log_level", ["loud"]),
    ("log_level", [5]),
]


async def test_wrong_parameters_have_their_code(device: RemoteDevice) -> None:
    async with device.agent(**ALLOWED):
        for method, params in WRONG:
            code, detail = await device.call(method, *params)
            assert (code, bool(detail["error"])) == (BAD, True), (method, params, detail)


async def test_everything_an_operator_may_ask_of_a_serving_device(device: RemoteDevice) -> None:
    async with (
        running_worker(device.state_dir, frames_per_second=50) as worker,
        device.agent(**ALLOWED),
    ):
        for version in ("1", "2"):
            await device.deploy(version)
            await serving(device, version)
        code, story = await device.call("explain")
        assert (code, story["outcome"]) == (OK, "confirmed")
        assert (await device.call("explain", 1))[1]["update"] == 1
        assert (await device.call("explain", 77))[0] == REFUSED

        before = (await worker.client.call("status"))["engine"]["pid"]
        code, detail = await device.call("reload")
        assert (code, detail["release"]) == (OK, story["release"])
        after = await worker.classified(1)
        assert after["engine"]["pid"] != before
        assert after["release"] == story["release"]

        code, detail = await device.call("rollback")
        assert code == OK, detail
        assert detail["serves"]["packages"]["ai-model"]["version"] == "1"
        assert (await device.call("rollback", "0123456789abcdef"))[0] == REFUSED
        code, detail = await device.call("retry", {"release": story["release"]})
        assert (code, "tried again now" in detail["said"]) == (OK, True)
        await serving(device, "2")

        assert await device.call("hold", "everything") == (OK, {"hold": "everything"})
        assert (await device.call("status"))[1]["hold"] == "everything"
        assert await device.call("release_hold") == (OK, {"hold": "nothing"})
        code, detail = await device.call("capture", True)
        assert (code, detail["on"]) == (OK, True)
        assert (await device.call("capture"))[1]["on"] is True
        await picture_arrives(device)


async def picture_arrives(device: RemoteDevice) -> None:
    code, told = await device.call("snapshot")
    assert code == OK
    assert told["label"] in {"red", "green"}

    async def look() -> dict[str, Any] | None:
        answer = await device.operator.call("GET", f"{device.operator.project}/stream?perPage=100")
        documents = (entry["data"]["edgeferry"].get("snapshot") for entry in answer["list"])
        return next((d for d in documents if d and d["id"] == told["id"]), None)

    arrived = await until(look)
    jpeg = base64.b64decode(arrived.pop("jpeg"))
    assert jpeg.startswith(b"\xff\xd8")
    assert len(jpeg) < 60_000
    assert arrived == told


async def test_calls_are_answered_while_an_update_runs_and_the_worker_is_away(
    device: RemoteDevice,
) -> None:
    async with device.agent(download={"bytes_per_second": 10_000}, **ALLOWED):
        await device.deploy("1", trailing_bytes=1_500_000)

        async def fetching() -> bool:
            return bool((await device.call("status"))[1]["state"] == "downloading")

        await until(fetching)
        code, detail = await device.call("reload")
        assert (code, "under way (downloading)" in detail["error"]) == (REFUSED, True)
        assert (await device.call("rollback"))[0] == REFUSED
        assert (await device.call("explain"))[1]["state"] == "downloading"
        for method in ("capture", "snapshot", "restart_worker"):
            code, detail = await device.call(method)
            assert (code, "is edgeferry worker running?" in detail["error"]) == (AWAY, True)
        assert (await device.call("hold", "activation"))[0] == OK
        assert await fetching()


class Session:
    """A link on which the first answers are lost."""

    def __init__(self, losses: int = 0) -> None:
        self.answers: asyncio.Queue[RpcResult] = asyncio.Queue()
        self._losses = losses

    async def wait_connected(self) -> None:
        pass

    async def answer(self, result: RpcResult) -> None:
        if self._losses:
            self._losses -= 1
            raise LinkLost("gone")
        self.answers.put_nowait(result)


class Facts:
    """The journal's facts; ``full`` for a disk that refuses them."""

    def __init__(self, *, full: bool = False) -> None:
        self.known: dict[str, str] = {}
        self._full = full

    def fact(self, name: str) -> str | None:
        return self.known.get(name)

    def note_fact(self, name: str, value: str) -> None:
        if self._full:
            raise Postponed(Transient.DISK_FULL, "journal: database or disk is full")
        self.known[name] = value


class Desk:
    """Remote calls on their own, with operations made up for a test."""

    def __init__(
        self, operations: Mapping[str, Operation], losses: int = 0, facts: Facts | None = None
    ) -> None:
        self.calls = RemoteCalls(BegunCalls(facts or Facts()), allow=True)
        self.session = Session(losses)
        self._running = asyncio.create_task(self.calls.run(operations, self.session))

    async def ask(self, method: str, call_id: str = "1", *params: PlainValue) -> RpcResult:
        self.calls.take(RpcCall(call_id, method, params))
        return await within(self.session.answers.get())

    async def close(self) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)


async def test_a_call_that_comes_twice_is_carried_out_once_and_answered_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(desk, "BUSY_SECONDS", 0.01)
    asked: list[Parameters] = []

    async def count(parameters: Parameters) -> dict[str, Any]:
        asked.append(parameters)
        return {"count": len(asked)}

    calls = Desk({"count": Operation(count)}, losses=3)
    try:
        answers = [await calls.ask("count", call_id) for call_id in ("1", "1", "2", "1")]
        assert [answer.detail for answer in answers] == [{"count": n} for n in (1, 1, 2, 1)]
    finally:
        await calls.close()


async def test_what_changes_the_device_is_not_repeated_by_the_next_agent() -> None:
    asked: list[str] = []

    async def note(parameters: Parameters) -> dict[str, Any]:
        asked.append(parameters["what"])
        return {}

    operations = {
        "change": Operation(note, ("what",), changes=True),
        "look": Operation(note, ("what",)),
    }
    facts = Facts()
    codes = []
    for life in ("first", "second"):
        calls = Desk(operations, facts=facts)
        try:
            for call_id, method in (("1", "change"), (f"of the {life}", "change"), ("2", "look")):
                codes.append((await calls.ask(method, call_id, life)).code)
        finally:
            await calls.close()
    assert codes == [RpcCode.OK] * 3 + [RpcCode.ABORTED, RpcCode.OK, RpcCode.OK]
    assert asked == ["first"] * 3 + ["second"] * 2
    for number in range(2 * KEPT):
        BegunCalls(facts).begin(f"of some other life {number}")
    assert len(json.loads(facts.known[BEGUN_FACT])) == KEPT


async def test_what_can_not_be_noted_is_not_begun() -> None:
    async def never(_parameters: Parameters) -> dict[str, Any]:
        raise AssertionError("it was begun")

    calls = Desk({"change": Operation(never, changes=True)}, facts=Facts(full=True))
    try:
        answer = await calls.ask("change")
    finally:
        await calls.close()
    assert (answer.code, "full" in str(answer.detail)) == (RpcCode.UNAVAILABLE, True)


async def test_what_takes_long_goes_on_or_ends_and_defects_are_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(desk, "WORK_SECONDS", 0.02)
    go_on, ended = asyncio.Event(), asyncio.Event()

    async def slow(_parameters: Parameters) -> dict[str, Any]:
        try:
            await go_on.wait()
        finally:
            ended.set()
        raise ControlError("refused", "too late")

    async def broken(_parameters: Parameters) -> dict[str, Any]:
        raise ZeroDivisionError("secret")

    table = {"slow": Operation(slow), "long": Operation(slow, goes_on=True)}
    calls = Desk({**table, "broken": Operation(broken)})
    try:
        assert (await calls.ask("slow", "1")).code is RpcCode.DEADLINE_EXCEEDED
        await within(ended.wait())
        ended.clear()
        answer = await calls.ask("long", "2")
        assert answer.code is RpcCode.OK
        assert isinstance(answer.detail, dict)
        assert answer.detail["goes_on"] is True
        assert not ended.is_set()
        go_on.set()
        await within(ended.wait())
        defect = await calls.ask("broken", "3")
        assert defect.code is RpcCode.INTERNAL
        assert "secret" not in str(defect.detail)
    finally:
        await calls.close()
    failed = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert failed[0] == "what a remote call began failed: {'error': 'too late'}"


@pytest.mark.parametrize(
    ("params", "taken"),
    [
        ((), {}),
        (("a",), {"to": "a"}),
        ((None,), {}),
        (({"to": "a"},), {"to": "a"}),
        (("a", 1), {"to": "a", "why": 1}),
    ],
)
def test_parameters_come_in_order_or_by_name(params: tuple[Any, ...], taken: Parameters) -> None:
    async def nothing(_parameters: Parameters) -> dict[str, Any]:
        return {}

    assert named(Operation(nothing, ("to", "why")), params) == taken


texts = st.text(st.characters(codec="utf-8"), max_size=900)
details = st.recursive(
    st.none() | st.integers(-(2**63), 2**63 - 1) | texts,
    lambda inner: st.lists(inner, max_size=40) | st.dictionaries(texts, inner, max_size=10),
    max_leaves=60,
)


@given(details)
def test_every_answer_fits_one_message_and_short_ones_are_untouched(detail: Any) -> None:
    result = RpcResult("status/0123", RpcCode.OK, detail)
    fitting = fitted(result)
    assert len(encode_result(fitting)) <= MOST_BYTES
    if len(encode_result(result)) <= MOST_BYTES:
        assert fitting == result
