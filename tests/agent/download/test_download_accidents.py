"""Servers and links that misbehave: what heals, and what ends the download and why."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from aiocoap import Code

from protocol.errors import ProtocolError, ResponseError, TooManyRequests
from states.reasons import Rejection, Transient
from tests.support.downloading import (
    Accident,
    Answer,
    Device,
    Server,
    lost_at,
    no_accident,
    refused,
)

# What heals.


def once(number: int, make: Callable[[Server, int], Answer | ProtocolError]) -> Accident:
    """The accident happens to the first answer for one block."""

    def accident(server: Server, asked: int, time: int) -> Answer | ProtocolError | None:
        return make(server, asked) if asked == number and time == 1 else None

    return accident


HEALING: dict[str, Callable[[Server, int], Answer | ProtocolError]] = {
    "block 0 instead": lambda s, n: s.block("/model", 0),
    "the next block": lambda s, n: s.block("/model", n + 1),
    "a short block": lambda s, n: replace(s.block("/model", n), payload=b"x" * 1000),
    "an empty block": lambda s, n: replace(s.block("/model", n), payload=b""),
    "a long block": lambda s, n: replace(s.block("/model", n), payload=b"x" * 1025),
    "the end, too early": lambda s, n: replace(s.block("/model", n), payload=b"end", more=False),
    "another size": lambda s, n: replace(s.block("/model", n), total_size=7),
    "half a block": lambda s, n: replace(s.block("/model", n), payload=b"x" * 512),
    "server error": lambda s, n: ResponseError(Code.SERVICE_UNAVAILABLE, ""),
    "overtaken": lambda s, n: ResponseError(Code.REQUEST_ENTITY_INCOMPLETE, ""),
    "too fast": lambda s, n: TooManyRequests(Code.TOO_MANY_REQUESTS, "", 1.0),
}


@pytest.mark.parametrize("accident", HEALING.values(), ids=HEALING.keys())
@pytest.mark.parametrize("in_flight", [1, 4])
async def test_a_bad_answer_is_asked_for_again(
    device: Device, model: bytes, accident: Callable[..., Answer | ProtocolError], in_flight: int
) -> None:
    device.restart(in_flight)
    device.server.accident = once(100, accident)
    package = device.publish("ai-model", model)
    await device.fetch(package)
    assert device.content(package) == model
    assert Counter(device.server.numbers()) == Counter(range(201)) + Counter([100])


async def test_what_the_link_spoiled_heals_by_one_more_download(
    device: Device, model: bytes
) -> None:
    spoiled = bytes(1024)
    device.server.accident = once(7, lambda s, n: replace(s.block("/model", n), payload=spoiled))
    package = device.publish("ai-model", model)
    await device.fetch(package)
    assert device.content(package) == model
    assert len(device.server.asked) == 2 * 201


async def test_a_damaged_partial_file_heals_by_one_more_download(
    device: Device, model: bytes
) -> None:
    package = device.publish("ai-model", model)
    device.server.accident = lost_at(150)
    await refused(device, package)
    part = device.store.partial_path(package)
    part.write_bytes(bytes(1024) + part.read_bytes()[1024:])
    device.server.accident = no_accident
    await device.fetch(package)
    assert device.content(package) == model


@pytest.mark.parametrize("in_flight", [1, 4])
async def test_a_replaced_artifact_starts_over(
    device: Device, model: bytes, in_flight: int
) -> None:
    """The server first has other bytes of the same length under that path."""
    device.restart(in_flight)
    package = device.publish("ai-model", model)
    old = bytes(len(model))
    device.server.artifacts["/model"], device.server.etags["/model"] = old, b"old"

    def replaced(server: Server, number: int, time: int) -> None:
        if number == 100:
            server.artifacts["/model"], server.etags["/model"] = model, b"new"

    device.server.accident = replaced
    await device.fetch(package)
    assert device.content(package) == model
    assert len(device.server.asked) <= 100 + 201 + 2 * in_flight


async def test_a_replaced_artifact_is_noticed_after_a_restart(device: Device, model: bytes) -> None:
    package = device.publish("ai-model", model)
    device.server.etags["/model"] = b"old"
    device.server.accident = lost_at(100)
    await refused(device, package)
    device.restart()
    device.server.etags["/model"] = b"new"
    device.server.accident = no_accident
    device.server.asked.clear()
    await device.fetch(package)
    assert device.server.numbers() == [100, *range(201)]


@pytest.mark.parametrize("in_flight", [1, 4])
async def test_a_server_with_smaller_blocks_is_followed(
    device: Device, model: bytes, in_flight: int
) -> None:
    """The original took each 512-byte answer for 1024 bytes and installed half a file."""
    device.restart(in_flight)
    device.server.largest = 5
    package = device.publish("ai-model", model)
    await device.fetch(package)
    assert device.content(package) == model
    assert len(device.server.asked) <= 401 + 2 * in_flight


async def test_a_server_whose_blocks_become_smaller_later_is_followed(
    device: Device, model: bytes
) -> None:
    package = device.publish("ai-model", model)
    device.server.accident = lost_at(100)
    await refused(device, package)
    device.server.largest = 4
    device.server.accident = no_accident
    device.server.asked.clear()
    await device.fetch(package)
    assert device.content(package) == model
    assert min(device.server.numbers()[2:]) == 400


async def test_a_clear_4_29_storm_is_ridden_out(device: Device, model: bytes) -> None:
    refusals = iter(range(8))

    def storm(server: Server, number: int, time: int) -> ProtocolError | None:
        if number == 50 and next(refusals, None) is not None:
            return TooManyRequests(Code.TOO_MANY_REQUESTS, "", None)
        return None

    device.server.accident = storm
    package = device.publish("ai-model", model)
    await device.fetch(package)
    assert device.content(package) == model


# What does not.


def always(make: Callable[[Server, int], Answer | ProtocolError]) -> Accident:
    return lambda server, asked, time: make(server, asked) if asked == 100 else None


OUTCOMES: list[tuple[str, Accident, Transient | Rejection]] = [
    ("link lost", lost_at(100), Transient.LINK_LOST),
    ("not found", always(lambda s, n: ResponseError(Code.NOT_FOUND, "")), Transient.NOT_FOUND),
    ("5.03", always(lambda s, n: ResponseError(Code.SERVICE_UNAVAILABLE, "")),
     Transient.SERVER_ERROR),
    ("4.08", always(lambda s, n: ResponseError(Code.REQUEST_ENTITY_INCOMPLETE, "")),
     Transient.SERVER_ERROR),
    ("4.03", always(lambda s, n: ResponseError(Code.FORBIDDEN, "")), Transient.SERVER_ERROR),
    ("4.29", always(lambda s, n: TooManyRequests(Code.TOO_MANY_REQUESTS, "", None)),
     Transient.SERVER_ERROR),
    ("block 0", always(lambda s, n: s.block("/model", 0)), Transient.SERVER_ERROR),
    ("short", always(lambda s, n: replace(s.block("/model", n), payload=b"x")),
     Transient.SERVER_ERROR),
    ("new ETag each time", lambda s, n, t: replace(s.block("/model", n), etag=bytes([n % 2])),
     Transient.SERVER_ERROR),
    ("other size now and then", always(lambda s, n: replace(s.block("/model", n), total_size=5)),
     Transient.SERVER_ERROR),
    ("another end each time",
     lambda s, n, t: None if n else replace(s.block("/model", 0), payload=bytes(t), more=False),
     Transient.SERVER_ERROR),
    ("other bytes each time",
     lambda s, n, t: replace(s.block("/model", n), payload=bytes([t]) * 1024) if n == 0 else None,
     Transient.SERVER_ERROR),
]  # fmt: skip


@pytest.mark.parametrize(
    ("accident", "reason"), [o[1:] for o in OUTCOMES], ids=[o[0] for o in OUTCOMES]
)
@pytest.mark.parametrize("in_flight", [1, 4])
async def test_what_does_not_heal_ends_with_its_reason(
    device: Device, model: bytes, accident: Accident, reason: Transient | Rejection, in_flight: int
) -> None:
    device.restart(in_flight)
    package = device.publish("ai-model", model)
    device.server.accident = accident
    outcome = await refused(device, package)
    assert outcome.reason is reason
    assert "/model" in outcome.detail
    assert len(device.server.asked) < 4 * 201
    assert device.server.under_way == 0

    device.server.accident = no_accident
    await device.fetch(package)
    assert device.content(package) == model


@pytest.mark.parametrize("states_size", [True, False])
@pytest.mark.parametrize("served", [100_000, 98 * 1024, 300_000, 0])
@pytest.mark.parametrize("in_flight", [1, 4])
async def test_an_artifact_of_another_size_is_refused_without_fetching_it_all(
    device: Device, model: bytes, states_size: bool, served: int, in_flight: int
) -> None:
    device.restart(in_flight)
    package = device.publish("ai-model", model)
    device.server.artifacts["/model"] = os.urandom(served)
    device.server.states_size = states_size
    outcome = await refused(device, package)
    assert outcome.reason is Rejection.SIZE_MISMATCH
    if states_size and served:
        assert len(device.server.asked) <= 4 * in_flight
    assert not device.store.has(package)


async def test_wrong_bytes_are_refused_after_exactly_one_more_download(
    device: Device, model: bytes
) -> None:
    package = device.publish("ai-model", model)
    device.server.artifacts["/model"] = model[:-1] + bytes([model[-1] ^ 1])
    outcome = await refused(device, package)
    assert outcome.reason is Rejection.HASH_MISMATCH
    assert len(device.server.asked) == 2 * 201
    assert not device.store.has(package)
    assert not device.store.partial_path(package).exists()

    # An operator's retry after publishing the right bytes starts with a clean slate.
    device.server.artifacts["/model"] = model
    await device.fetch(package)
    assert device.content(package) == model


@pytest.mark.parametrize(
    "uri", ["", "http://else.where/model", "coap:x", "//else.where/model", "data:,x"]
)
async def test_only_paths_on_the_connected_server_are_fetched(device: Device, uri: str) -> None:
    package = replace(device.publish("ai-model", b"x"), uri=uri)
    outcome = await refused(device, package)
    assert outcome.reason is Rejection.UNSUPPORTED_URI
    assert device.server.asked == []


async def test_an_artifact_beyond_the_last_block_number_is_refused(device: Device) -> None:
    package = replace(device.publish("ai-model", b"x"), size=2**30 + 1)
    outcome = await refused(device, package)
    assert outcome.reason is Rejection.TOO_LARGE
    assert device.server.asked == []
