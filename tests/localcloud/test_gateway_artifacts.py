"""Manifests and artifacts as devices get them, over real DTLS."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise

import pytest
from aiocoap import CONTENT, NOT_FOUND, Code, Message
from aiocoap.optiontypes import BlockOption

from localcloud.settings import CloudSettings
from protocol.formats import ContentFormat
from protocol.manifest import Component, Manifest, decode_manifest
from tests.localcloud.conftest import UNLIMITED
from tests.support.cloud import Bench, Operator, first, get, request

MODEL = bytes(number % 251 for number in range(10 * 1024 + 77))
CBOR, JSON = int(ContentFormat.CBOR), int(ContentFormat.JSON)


@pytest.fixture
def settings() -> CloudSettings:
    """These tests ask faster than a device may."""
    return UNLIMITED


def _block(number: int, exponent: int = 6) -> BlockOption.BlockwiseTuple:
    return BlockOption.BlockwiseTuple(number, False, exponent)


async def test_a_device_without_deployment_gets_an_empty_map(bench: Bench) -> None:
    link = await bench.link(await bench.operator.device("camera-1"))
    in_cbor = await get(link, ".u/desired", accept=CBOR)
    assert (in_cbor.code, in_cbor.payload, in_cbor.opt.content_format) == (CONTENT, b"\xa0", CBOR)
    unsaid = await get(link, ".u/desired")
    assert (unsaid.payload, unsaid.opt.content_format) == (b"{}", JSON)


async def test_the_manifest_names_the_deployed_artifacts(bench: Bench, operator: Operator) -> None:
    cohort = await operator.cohort("bench")
    model = await operator.upload("ai-model", "1.0", MODEL)
    labels = await operator.upload("labels", "7", b"a\nb\n")
    await operator.deploy(cohort, model["id"], labels["id"])
    link = await bench.link(await operator.device("camera-1", cohort))
    answer = await get(link, ".u/desired", accept=CBOR)
    manifest = decode_manifest(answer.payload, CBOR)
    assert manifest.components == (
        Component(
            "ai-model",
            "1.0",
            hashlib.sha256(MODEL).hexdigest(),
            len(MODEL),
            "/.u/c/ai-model@1.0",
            "default",
        ),
        Component(
            "labels", "7", hashlib.sha256(b"a\nb\n").hexdigest(), 4, "/.u/c/labels@7", "default"
        ),
    )
    assert manifest.hash is not None
    assert len(manifest.hash) == 64
    in_json = await get(link, ".u/desired", accept=JSON)
    assert decode_manifest(in_json.payload, JSON) == manifest
    assert json.loads(in_json.payload)["sequenceNumber"] == manifest.sequence


async def test_a_deployment_is_pushed_to_observers(bench: Bench, operator: Operator) -> None:
    cohort = await operator.cohort("bench")
    model = await operator.upload("ai-model", "1", MODEL)
    link = await bench.link(await operator.device("camera-1", cohort))
    observation = link.observe(request(Code.GET, ".u/desired", accept=CBOR))
    nothing = await first(observation)
    assert nothing.payload == b"\xa0"
    await operator.deploy(cohort, model["id"])
    pushed = await first(observation)
    asked = await get(link, ".u/desired", accept=CBOR)
    assert pushed.payload == asked.payload, "the same bytes however they are asked for"
    await operator.deploy(cohort, model["id"])
    again = await first(observation)
    one, two = (decode_manifest(message.payload, CBOR) for message in (pushed, again))
    assert two.sequence > one.sequence
    assert two.components == one.components
    sequence = [message.opt.observe for message in (nothing, pushed, again)]
    assert all(0 < (b - a) % 2**24 < 2**23 for a, b in pairwise(sequence))


async def test_joining_a_cohort_pushes_and_leaving_does_not(
    bench: Bench, operator: Operator
) -> None:
    one, two = await operator.cohort("one"), await operator.cohort("two")
    model = await operator.upload("ai-model", "1", MODEL)
    await operator.deploy(one, model["id"], name="for one")
    await operator.deploy(two, model["id"], name="for two")
    device = await operator.device("camera-1")
    link = await bench.link(device)
    observation = link.observe(request(Code.GET, ".u/desired", accept=CBOR))
    assert (await first(observation)).payload == b"\xa0"
    await operator.join(device.id, one)
    joined = decode_manifest((await first(observation)).payload, CBOR)
    await operator.join(device.id, "")
    assert (await get(link, ".u/desired", accept=CBOR)).payload == b"\xa0"
    await operator.join(device.id, two)
    # Had leaving been pushed, the empty manifest would come before this one.
    after = decode_manifest((await first(observation)).payload, CBOR)
    assert after.sequence > joined.sequence > 0


async def test_other_cohorts_are_not_told(bench: Bench, operator: Operator) -> None:
    mine, other = await operator.cohort("mine"), await operator.cohort("other")
    model = await operator.upload("ai-model", "1", MODEL)
    link = await bench.link(await operator.device("camera-1", mine))
    observation = link.observe(request(Code.GET, ".u/desired", accept=CBOR))
    await first(observation)
    await operator.deploy(other, model["id"])
    await operator.deploy(mine, model["id"])
    manifest = decode_manifest((await first(observation)).payload, CBOR)
    # The first push is the second deployment; sequences are per project.
    assert (
        manifest.sequence
        == decode_manifest((await get(link, ".u/desired", accept=CBOR)).payload, CBOR).sequence
    )


async def test_a_large_manifest_comes_block_by_block(bench: Bench, operator: Operator) -> None:
    cohort = await operator.cohort("bench")
    parts = [await operator.upload(f"part-{n}", "1", bytes([n])) for n in range(20)]
    link = await bench.link(await operator.device("camera-1", cohort))
    observation = link.observe(request(Code.GET, ".u/desired", accept=CBOR))
    await first(observation)
    await operator.deploy(cohort, *(part["id"] for part in parts))
    pushed = await first(observation)
    assert pushed.opt.block2 == (0, True, 6)
    body, number = pushed.payload, 0
    while True:
        number += 1
        block = await get(link, ".u/desired", accept=CBOR, block2=_block(number))
        body += block.payload
        assert block.opt.size2 == pushed.opt.size2
        if not block.opt.block2.more:
            break
    assert len(body) == pushed.opt.size2
    assert len(decode_manifest(body, CBOR).components) == 20


async def test_an_unsupported_accept_is_refused_except_on_cancel(bench: Bench) -> None:
    link = await bench.link(await bench.operator.device("camera-1"))
    refused = await get(link, ".u/desired", accept=int(ContentFormat.OCTETS))
    assert refused.code == Code.NOT_ACCEPTABLE
    # What Golioth's Zephyr SDK sends to cancel an observation in CBOR.
    cancelled = await get(link, ".u/desired", accept=1, observe=1)
    assert (cancelled.code, cancelled.opt.observe) == (CONTENT, None)


async def test_any_block_is_served_at_once_in_any_order(bench: Bench, operator: Operator) -> None:
    await operator.upload("ai-model", "1", MODEL)
    link = await bench.link(await operator.device("camera-1"))
    for number in (7, 10, 0, 3):
        block = await get(link, ".u/c/ai-model@1", accept=42, block2=_block(number))
        assert block.code == CONTENT
        assert block.payload == MODEL[number * 1024 : (number + 1) * 1024]
        assert block.opt.block2 == (number, number < 10, 6)
        assert block.opt.size2 == len(MODEL)
        assert (block.opt.etag, block.opt.content_format) == (None, None)


async def test_a_block_is_the_same_whichever_way_it_is_answered(
    bench: Bench, operator: Operator
) -> None:
    await operator.upload("ai-model", "1", MODEL)
    link = await bench.link(await operator.device("camera-1"))
    for number in (0, 3, 10):
        short = await get(link, ".u/c/ai-model@1", block2=_block(number))
        # An option that plain requests for a block have not.
        long = await get(link, ".u/c/ai-model@1", block2=_block(number), uri_query=("any",))
        assert short.payload == long.payload
        assert (short.code, short.opt) == (long.code, long.opt)
    at_the_root = await get(link, "", block2=_block(0))
    assert at_the_root.code == Code.NOT_FOUND


async def test_an_artifact_that_was_deleted_is_served_no_longer(
    bench: Bench, operator: Operator
) -> None:
    artifact = await operator.upload("ai-model", "1", MODEL)
    link = await bench.link(await operator.device("camera-1"))
    assert (await get(link, ".u/c/ai-model@1", block2=_block(0))).payload == MODEL[:1024]
    await operator.call("DELETE", f"{operator.project}/artifacts/{artifact['id']}")
    assert (await get(link, ".u/c/ai-model@1", block2=_block(1))).code == Code.NOT_FOUND
    await operator.upload("ai-model", "1", MODEL[::-1])
    assert (await get(link, ".u/c/ai-model@1", block2=_block(0))).payload == MODEL[::-1][:1024]


async def test_smaller_blocks_are_served_when_asked_for(bench: Bench, operator: Operator) -> None:
    await operator.upload("ai-model", "1", MODEL)
    link = await bench.link(await operator.device("camera-1"))
    block = await get(link, ".u/c/ai-model@1", block2=_block(100, exponent=2))
    assert block.payload == MODEL[6400:6464]
    assert block.opt.block2 == (100, True, 2)


async def test_a_get_without_block_option_is_answered_block_wise(
    bench: Bench, operator: Operator
) -> None:
    await operator.upload("ai-model", "1", MODEL)
    link = await bench.link(await operator.device("camera-1"))
    answer = await get(link, ".u/c/ai-model@1")
    assert (answer.payload, answer.opt.block2) == (MODEL[:1024], (0, True, 6))


async def test_bodies_around_one_block(bench: Bench, operator: Operator) -> None:
    for size in (0, 1, 1023, 1024, 1025, 2048):
        await operator.upload("part", f"{size}", bytes(size))
    link = await bench.link(await operator.device("camera-1"))

    async def block(size: int, number: int) -> Message:
        return await get(link, f".u/c/part@{size}", block2=_block(number))

    for size in (0, 1, 1023):
        small = await block(size, 0)
        assert (len(small.payload), small.opt.block2, small.opt.size2) == (size, None, None)
    for size, number, length, more in [
        (1024, 0, 1024, False),
        (1025, 0, 1024, True),
        (1025, 1, 1, False),
        (2048, 1, 1024, False),
        (1024, 1, 0, False),
        (2048, 2, 0, False),
    ]:
        answer = await block(size, number)
        assert (answer.code, len(answer.payload)) == (CONTENT, length)
        assert (answer.opt.block2, answer.opt.size2) == ((number, more, 6), size)
    for size, number in [(0, 1), (1, 1), (1025, 2), (2048, 3), (2048, 2**20 - 1)]:
        assert (await block(size, number)).code == Code.REQUEST_ENTITY_INCOMPLETE


async def test_an_unknown_component_is_not_found(bench: Bench, operator: Operator) -> None:
    await operator.upload("ai-model", "1", MODEL)
    link = await bench.link(await operator.device("camera-1"))
    for path in (".u/c/ai-model@2", ".u/c/other@1", ".u/c/@", ".u/desired/suit", ".u", ".u/c"):
        assert (await get(link, path)).code == NOT_FOUND, path


async def test_a_component_of_another_project_is_not_found(
    bench: Bench, operator: Operator
) -> None:
    await bench.other_operator("Elsewhere").upload("ai-model", "1", MODEL)
    link = await bench.link(await operator.device("camera-1"))
    assert (await get(link, ".u/c/ai-model@1")).code == NOT_FOUND


async def test_a_deployment_of_nothing_still_has_a_sequence(
    bench: Bench, operator: Operator
) -> None:
    cohort = await operator.cohort("bench")
    await operator.deploy(cohort)
    link = await bench.link(await operator.device("camera-1", cohort))
    manifest = decode_manifest((await get(link, ".u/desired", accept=CBOR)).payload, CBOR)
    assert manifest == Manifest(manifest.sequence, (), manifest.hash)
    assert manifest.sequence > 0
