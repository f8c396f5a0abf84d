"""The device's log at Golioth: what arrives, how much, and never because of sending."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
from aiocoap import Code, Message
from hypothesis import given
from hypothesis import strategies as st

from agent.remote import cloud_log as logs
from agent.remote.cloud_log import (
    BURST,
    LONGEST,
    SECONDS_PER_LINE,
    CloudLog,
    LineBudget,
    is_about_sending,
)
from agent.service.logs import CLOUD, set_level
from protocol.errors import LinkLost, ResponseError, TooManyRequests
from protocol.session import DeviceSession
from protocol.subscriptions import Subscriptions
from protocol.trouble import Trouble
from protocol.values import LogLevel, LogLine, decode_log
from tests.protocol.session.conftest import CREDENTIAL, SETTINGS, Cloud, CloudSite
from tests.support.cloud import Json
from tests.support.device_and_cloud import RemoteDevice
from tests.support.waiting import eventually, until

log = logging.getLogger("agent.worker.camera")


@pytest.fixture(autouse=True)
def root_level() -> Iterator[None]:
    before = logging.getLogger().level
    yield
    logging.getLogger().setLevel(before)


async def test_warnings_arrive_without_secrets_and_the_level_is_the_operators(
    device: RemoteDevice,
) -> None:
    await device.set("LOG_CLOUD_LEVEL", "string", "warning")
    async with device.agent() as agent:

        async def lines() -> list[Json]:
            found = await device.operator.logs(deviceId=device.id)
            return [line for line in found if line["module"] == log.name]

        log.info("all is well")
        log.warning("the key is key-of-camera-1, or so they say")
        log.error("unforeseen", exc_info=ValueError("no such picture"))

        async def both() -> list[Json] | None:
            found = await lines()
            return found if len(found) == 2 else None

        first = await until(both)
        assert {(line["level"], line["message"]) for line in first} == {
            ("WARN", "the key is (removed), or so they say"),
            ("ERROR", "unforeseen: ValueError: no such picture"),
        }
        await device.set("LOG_CLOUD_LEVEL", "string", "off")

        async def level_is(level: str) -> bool:
            return agent.live.current.log.cloud_level == level

        await until(lambda: level_is("off"))
        log.error("nobody hears this")
        await device.set("LOG_CLOUD_LEVEL", "string", "info")
        await until(lambda: level_is("info"))
        log.info("heard again")

        async def heard() -> bool:
            return any(line["message"] == "heard again" for line in await lines())

        await until(heard)
        assert len(await lines()) == 3


class Session:
    """A link that refuses, loses or takes lines."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.sent: list[LogLine] = []
        self.tries = 0

    async def wait_connected(self) -> None:
        pass

    async def log(self, line: LogLine) -> None:
        self.tries += 1
        if self.error is not None:
            # What the layers below say about it.
            logging.getLogger("protocol.session").warning("connection: %s", self.error)
            logging.getLogger("agent.anything").warning("said while sending")
            raise self.error
        self.sent.append(line)


@contextlib.asynccontextmanager
async def attached(session: Session) -> AsyncIterator[CloudLog]:
    handler = CloudLog(lambda text: text)
    root = logging.getLogger()
    root.addHandler(handler)
    set_level(CLOUD, "warning")
    running = asyncio.create_task(handler.run(session))
    await asyncio.sleep(0)
    try:
        yield handler
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        root.removeHandler(handler)


@pytest.mark.parametrize(
    "error",
    [
        TooManyRequests(Code.TOO_MANY_REQUESTS, "slow down", None),
        LinkLost("gone"),
        ResponseError(Code.INTERNAL_SERVER_ERROR, "no"),
    ],
)
async def test_no_line_brings_about_another_whatever_becomes_of_it(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(logs, "LONGEST_PAUSE_SECONDS", 0.002)
    session = Session(error)
    async with attached(session):
        log.warning("the camera is gone")
        await eventually(lambda: session.tries >= (1 if type(error) is ResponseError else 20))
        await asyncio.sleep(0.02)
        session.error = None
        log.warning("the camera is back")
        await eventually(lambda: [s.message for s in session.sent][-1:] == ["the camera is back"])
    kept = [] if type(error) is ResponseError else ["the camera is gone"]
    assert [line.message for line in session.sent] == [*kept, "the camera is back"]


async def test_a_flood_is_cut_to_the_rate_and_the_queue_and_counted() -> None:
    session = Session()
    async with attached(session):
        for number in range(LONGEST + BURST + 50):
            log.warning("line %d", number)
        for _ in range(7):
            log.warning("line %d", LONGEST + BURST + 49)
        await eventually(lambda: len(session.sent) >= BURST)
        await asyncio.sleep(0.02)
        assert len(session.sent) == BURST
    # The oldest had gone before anything could be sent.
    assert session.sent[0].message == f"line {BURST + 50}"
    assert session.sent[0].level is LogLevel.WARN


async def test_how_much_was_left_out_is_told_at_the_end() -> None:
    session = Session()
    async with attached(session):
        for _ in range(4):
            log.warning("again")
        await eventually(lambda: len(session.sent) >= 2)
    assert session.sent[1].message.startswith("3 more lines were left out")


def test_what_is_about_sending_is_told_by_the_logger() -> None:
    for name in ("protocol.session", "protocol", "coap", "agent.cloud.delivery", logs.__name__):
        assert is_about_sending(record(name))
    for name in ("agent.worker", "agent.cloudy", "states.conductor"):
        assert not is_about_sending(record(name))


def record(name: str) -> logging.LogRecord:
    return logging.LogRecord(name, logging.WARNING, "", 1, "a line", None, None)


@pytest.mark.parametrize(
    ("error", "heard"),
    [
        (TooManyRequests(Code.TOO_MANY_REQUESTS, "slow down", None), False),
        (LinkLost("gone"), False),
        (ValueError("nonsense"), True),
    ],
)
def test_what_is_about_sending_is_told_by_what_failed(
    error: Exception, heard: bool, caplog: pytest.LogCaptureFixture
) -> None:
    Trouble(log, "metrics").failed(error)
    assert [not is_about_sending(line) for line in caplog.records] == [heard]


@given(st.lists(st.floats(0, 30), min_size=1, max_size=300))
def test_no_more_lines_go_than_the_budget_has(gaps: list[float]) -> None:
    now, sent = 0.0, 0
    budget = LineBudget(now)
    for gap in gaps:
        now += gap
        sent += budget.wait(now) == 0
        assert sent <= BURST + now / SECONDS_PER_LINE + 1e-6


class BusySite(CloudSite):
    """A server that is always too busy."""

    async def render(self, request: Message) -> Message:
        self.requests.append(request)
        return Message(code=Code.TOO_MANY_REQUESTS, max_age=0)


async def test_a_server_that_is_always_busy_is_told_of_no_more_for_that(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logs, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(logs, "LONGEST_PAUSE_SECONDS", 0.05)
    cloud = Cloud(BusySite())
    await cloud.start()
    session = DeviceSession(
        "127.0.0.1",
        cloud.port,
        lambda: CREDENTIAL,
        settings=replace(SETTINGS, poll_interval=0.05),
        on_manifest=lambda _manifest: None,
        on_connection=lambda _up, _error: None,
        subscriptions=Subscriptions(lambda _s: None, lambda _c: None, {"a": lambda _v: None}),
    )
    running = asyncio.create_task(session.run())
    handler = CloudLog(lambda text: text)
    logging.getLogger().addHandler(handler)
    sending = asyncio.create_task(handler.run(session))
    try:
        log.warning("the camera is gone")
        await eventually(lambda: cloud.site.paths(Code.POST).count(".s/logs") >= 10)
        await eventually(lambda: len(cloud.site.requests) >= 60)
    finally:
        logging.getLogger().removeHandler(handler)
        for task in (running, sending):
            task.cancel()
        await asyncio.gather(running, sending, return_exceptions=True)
        await cloud.stop()
    sent = {r.payload for r in cloud.site.requests if r.opt.uri_path == (".s", "logs")}
    assert [decode_log(payload)[0].message for payload in sent] == ["the camera is gone"]
    # One line for each resource that can't be followed, however often that is tried.
    assert len([r for r in caplog.records if r.levelno >= logging.WARNING]) <= 1 + 4
