"""Remote procedure calls: the operator waits, the device answers over real DTLS."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiocoap import CHANGED, GET, POST, Code, Message

from protocol.client import ClientLink, Observation
from protocol.formats import ContentFormat, PlainValue
from protocol.rpc import RpcCall, RpcCode, RpcResult, decode_call, encode_result
from tests.support.cloud import Bench, Operator, TestDevice, first, request

CBOR, JSON = int(ContentFormat.CBOR), int(ContentFormat.JSON)


async def _call(operator: Operator, device: TestDevice, method: str, **body: Any) -> Any:
    path = f"{operator.project}/devices/{device.id}/rpc"
    return await operator.call("POST", path, {"method": method, **body})


async def _next_call(observation: Observation, content_format: int = CBOR) -> RpcCall:
    while (call := decode_call((await first(observation)).payload, content_format)) is None:
        pass
    return call


async def _answer(link: ClientLink, result: RpcResult, content_format: int = CBOR) -> Message:
    body = encode_result(result, content_format)
    return await link.request(request(POST, ".rpc/status", body, content_format=content_format))


async def test_the_devices_answer_is_the_operators(bench: Bench, operator: Operator) -> None:
    device = await operator.device("camera-1")
    link = await bench.link(device)
    for content_format in (CBOR, JSON):
        observation = link.observe(request(GET, ".rpc", accept=content_format))
        waiting = asyncio.create_task(_call(operator, device, "multiply", params=[4, 5]))
        call = await _next_call(observation, content_format)
        assert (call.method, call.params) == ("multiply", (4, 5))
        detail: PlainValue = {"value": 20}
        answered = await _answer(link, RpcResult(call.id, RpcCode.OK, detail), content_format)
        assert answered.code == CHANGED
        assert await waiting == {"statusCode": 0, "detail": {"value": 20}}
        observation.cancel()


async def test_a_devices_error_is_an_answer_too(bench: Bench, operator: Operator) -> None:
    device = await operator.device("camera-1")
    link = await bench.link(device)
    observation = link.observe(request(GET, ".rpc", accept=CBOR))
    waiting = asyncio.create_task(_call(operator, device, "unknown"))
    call = await _next_call(observation)
    await _answer(link, RpcResult(call.id, RpcCode.NOT_FOUND))
    assert await waiting == {"statusCode": 5, "detail": None}


async def test_calls_reach_a_slow_device_one_after_another(
    bench: Bench, operator: Operator
) -> None:
    device = await operator.device("camera-1")
    link = await bench.link(device)
    observation = link.observe(request(GET, ".rpc", accept=CBOR))
    waiting = [
        asyncio.create_task(_call(operator, device, "echo", params=[number])) for number in range(5)
    ]
    for _ in waiting:
        call = await _next_call(observation)
        await _answer(link, RpcResult(call.id, detail=list(call.params)))
    answers = await asyncio.gather(*waiting)
    assert [answer["detail"] for answer in answers] == [[number] for number in range(5)]


async def test_a_device_that_connects_in_time_still_gets_the_call(
    bench: Bench, operator: Operator
) -> None:
    device = await operator.device("camera-1")
    waiting = asyncio.create_task(_call(operator, device, "status"))
    link = await bench.link(device)
    call = await _next_call(link.observe(request(GET, ".rpc", accept=CBOR)))
    await _answer(link, RpcResult(call.id))
    assert (await waiting)["statusCode"] == 0


async def test_without_an_answer_the_deadline_is_exceeded(bench: Bench, operator: Operator) -> None:
    device = await operator.device("camera-1")
    path = f"{operator.project}/devices/{device.id}/rpc"
    link = await bench.link(device)
    observation = link.observe(request(GET, ".rpc", accept=CBOR))
    body = {"method": "status", "params": [], "timeout": 1}
    waiting = asyncio.create_task(operator.http.post(path, json=body))
    call = await _next_call(observation)
    malformed = request(POST, ".rpc/status", b'{"id":1}', content_format=JSON)
    assert (await link.request(malformed)).code == Code.BAD_REQUEST
    answer = await waiting
    assert (answer.status_code, answer.json()["code"]) == (504, 4)
    assert answer.json()["message"] == "deadline exceeded: no answer to 'status' within 1 s"
    assert (await _answer(link, RpcResult(call.id))).code == CHANGED, "too late, and no matter"
    waiting_again = asyncio.create_task(_call(operator, device, "status"))
    again = await _next_call(observation)
    await _answer(link, RpcResult(again.id))
    assert (await waiting_again)["statusCode"] == 0


async def test_a_stale_observer_takes_no_calls_from_the_new_one(
    bench: Bench, operator: Operator
) -> None:
    device = await operator.device("camera-1")
    link = await bench.link(device)
    stale = link.observe(request(GET, ".rpc", accept=CBOR))
    assert (await first(stale)).payload == b"\x62OK"
    fresh = link.observe(request(GET, ".rpc", accept=CBOR))
    assert (await first(fresh)).payload == b"\x62OK"
    waiting = asyncio.create_task(_call(operator, device, "status"))
    call = await _next_call(fresh)
    await _answer(link, RpcResult(call.id))
    assert (await waiting)["statusCode"] == 0


async def test_a_device_that_registers_anew_leaves_no_observation_behind(
    bench: Bench, operator: Operator
) -> None:
    link = await bench.link(await operator.device("camera-1"))
    former = link.observe(request(GET, ".rpc", accept=CBOR))
    assert (await first(former)).opt.observe is not None
    assert (await first(link.observe(request(GET, ".rpc", accept=CBOR)))).opt.observe is not None
    assert (await first(former)).opt.observe is None, "no call will follow"
    with pytest.raises(StopAsyncIteration):
        await first(former)


async def test_keyword_arguments_of_the_official_client_become_one_parameter(
    bench: Bench, operator: Operator
) -> None:
    device = await operator.device("camera-1")
    link = await bench.link(device)
    observation = link.observe(request(GET, ".rpc", accept=CBOR))
    for params, expected in [({"a": 1}, ({"a": 1},)), ({}, ()), (None, ())]:
        waiting = asyncio.create_task(_call(operator, device, "status", params=params))
        call = await _next_call(observation)
        assert call.params == expected
        await _answer(link, RpcResult(call.id))
        await waiting


async def test_calls_and_answers_stay_inside_the_project_and_the_device(
    bench: Bench, operator: Operator
) -> None:
    other = bench.other_operator("Elsewhere")
    theirs = await other.device("camera-9")
    for project, status in [(other.project, 403), (operator.project, 404)]:
        path = f"{project}/devices/{theirs.id}/rpc"
        answer = await operator.http.post(path, json={"method": "status", "params": []})
        assert answer.status_code == status
    device = await operator.device("camera-1")
    impostor = await bench.link(await operator.device("camera-2"))
    link = await bench.link(device)
    observation = link.observe(request(GET, ".rpc", accept=CBOR))
    waiting = asyncio.create_task(_call(operator, device, "status"))
    call = await _next_call(observation)
    await _answer(impostor, RpcResult(call.id, detail="forged"))
    await _answer(link, RpcResult(call.id, detail="genuine"))
    assert (await waiting)["detail"] == "genuine"


async def test_a_call_no_device_could_read_is_refused(bench: Bench, operator: Operator) -> None:
    device = await operator.device("camera-1")
    path = f"{operator.project}/devices/{device.id}/rpc"
    for body in [
        {"method": "", "params": []},
        {"params": []},
        {"method": "a\nb", "params": []},
        {"method": "m", "params": "text"},
        {"method": "m", "params": [], "timeout": -1},
    ]:
        answer = await operator.http.post(path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (400, 3), body
