"""What one answer is worth, late answers, and the engine alone."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from agent.download.answers import Expected, Verdict, judge
from agent.download.engine import BlockRequest
from agent.download.partial import Partial
from agent.download.transfer import Transfer
from agent.download.window import WindowEngine
from protocol.errors import ProtocolError
from tests.support.downloading import (
    Answer,
    Device,
    Server,
)

GOOD = Answer(3, True, b"x" * 1024, 10 * 1024)
EXPECTED = Expected(3, 1024, 10 * 1024, b"e")
LAST = Expected(9, 1024, 9 * 1024 + 100, None)


@pytest.mark.parametrize(
    ("answer", "expected", "verdict"),
    [
        (GOOD, EXPECTED, Verdict.GOOD),
        (replace(GOOD, etag=b"e"), EXPECTED, Verdict.GOOD),
        (replace(GOOD, etag=b"f"), EXPECTED, Verdict.OTHER_ARTIFACT),
        (replace(GOOD, etag=b"f"), replace(EXPECTED, etag=None), Verdict.GOOD),
        (replace(GOOD, total_size=None), EXPECTED, Verdict.GOOD),
        (replace(GOOD, total_size=10 * 1024 + 1), EXPECTED, Verdict.OTHER_SIZE),
        (replace(GOOD, total_size=0), EXPECTED, Verdict.OTHER_SIZE),
        (replace(GOOD, number=0), EXPECTED, Verdict.ASK_AGAIN),
        (replace(GOOD, number=0, total_size=5), EXPECTED, Verdict.ASK_AGAIN),
        (replace(GOOD, payload=b"x" * 1025), EXPECTED, Verdict.ASK_AGAIN),
        (replace(GOOD, payload=b"x" * 1000), EXPECTED, Verdict.ASK_AGAIN),
        (replace(GOOD, payload=b""), EXPECTED, Verdict.ASK_AGAIN),
        (replace(GOOD, payload=b"x" * 8), EXPECTED, Verdict.ASK_AGAIN),
        (replace(GOOD, payload=b"x" * 512), EXPECTED, Verdict.SMALLER_BLOCKS),
        (replace(GOOD, payload=b"x" * 512, number=6), EXPECTED, Verdict.SMALLER_BLOCKS),
        (replace(GOOD, payload=b"x" * 512, number=5), EXPECTED, Verdict.ASK_AGAIN),
        (replace(GOOD, more=False), EXPECTED, Verdict.OTHER_SIZE),
        (replace(GOOD, more=False, payload=b"x" * 5), EXPECTED, Verdict.OTHER_SIZE),
        (Answer(9, False, b"x" * 100), LAST, Verdict.GOOD),
        (Answer(9, True, b"x" * 1024), LAST, Verdict.OTHER_SIZE),
        (Answer(9, False, b"x" * 99), LAST, Verdict.OTHER_SIZE),
        (Answer(9, False, b"x" * 101), LAST, Verdict.OTHER_SIZE),
    ],
)
def test_an_answer_is_judged_by_everything_it_says(
    answer: Answer, expected: Expected, verdict: Verdict
) -> None:
    found, why = judge(answer, expected)
    assert found is verdict
    assert bool(why) == (verdict is not Verdict.GOOD)


@pytest.mark.parametrize("news", ["another ETag", "smaller blocks"])
def test_late_answers_from_before_the_news_change_nothing(device: Device, news: str) -> None:
    """With a window, answers to the old questions are still on their way."""
    package = device.publish("ai-model", os.urandom(8 * 1024))
    path = device.store.partial_path(package)
    with Partial(path, package.sha256, package.size, device.notes) as partial:
        transfer = Transfer(package, partial)
        asked = [transfer.take() for _ in range(8)]
        old = [device.server.block("/model", number) for number in range(8)]
        assert asked[0]
        assert asked[1]
        assert transfer.accept(asked[0], replace(old[0], etag=b"old"))
        if news == "another ETag":
            transfer.accept(asked[1], replace(old[1], etag=b"new"))
        else:
            small = replace(old[1], payload=old[1].payload[:512])
            transfer.accept(asked[1], small)
            again = transfer.take()
            assert again == asked[1]
            transfer.accept(again, small)
        done = partial.bytes_done
        for request, answer in zip(asked[2:], old[2:], strict=True):
            assert request
            assert not transfer.accept(request, replace(answer, etag=b"old"))
            transfer.ask_again(request, "late")
        assert partial.bytes_done == done
        following = transfer.take()
        assert following
        assert following.number == done // partial.block_size
        assert following.size_exponent == (6 if news == "another ETag" else 5)


async def test_the_engine_leaves_nothing_running_when_the_work_fails() -> None:
    server = Server()
    server.artifacts["/model"] = bytes(100 * 1024)

    class Work:
        busy = False

        def __init__(self) -> None:
            self.number = 0

        def on_rest(self, wake: Callable[[], None]) -> None: ...

        def take(self) -> BlockRequest | None:
            self.number += 1
            return BlockRequest("/model", self.number, 6, "", 0)

        def wants(self, request: BlockRequest) -> bool:
            return True

        def deliver(self, request: BlockRequest, block: object) -> None:
            raise ZeroDivisionError

        def failed(self, request: BlockRequest, error: ProtocolError) -> None:
            raise error

    with pytest.raises(ZeroDivisionError):
        await WindowEngine(server, 8).run(Work())
    await asyncio.sleep(0)
    assert server.under_way == 0
    assert len(asyncio.all_tasks()) == 1
