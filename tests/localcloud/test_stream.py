"""Stream: what devices send over real DTLS, read and queried by the operator."""

from __future__ import annotations

import json
from typing import Any

import cbor2
import pytest
from aiocoap import CHANGED, POST, Code, Message
from aiocoap.optiontypes import BlockOption

from localcloud.errors import InvalidArgument
from localcloud.model import StreamEntry
from localcloud.stream_query import duration_seconds, parse_query
from protocol.client import ClientLink
from protocol.formats import ContentFormat
from tests.support.cloud import Bench, Json, Operator, TestDevice, request

CBOR, JSON = int(ContentFormat.CBOR), int(ContentFormat.JSON)


async def _send(link: ClientLink, path: str, value: object) -> Message:
    body = cbor2.dumps(value)
    return await link.request(request(POST, f".s/{path}", body, content_format=CBOR))


async def _read(operator: Operator, device: TestDevice, **body: Any) -> Json:
    path = f"{operator.project}/devices/{device.id}/stream"
    return dict(await operator.call("POST", path, body))


async def test_what_is_sent_is_kept_with_its_path_and_time_newest_first(
    bench: Bench, operator: Operator
) -> None:
    device = await operator.device("camera-1")
    link = await bench.link(device)
    assert (await _send(link, "edgeferry/metrics", {"fps": 9.5})).code == CHANGED
    in_json = request(POST, ".s/sensor0/temp", b"21.5", content_format=JSON)
    assert (await link.request(in_json)).code == CHANGED
    read = await operator.call("GET", f"{operator.project}/devices/{device.id}/stream?interval=1m")
    assert (read["page"], read["perPage"], read["total"]) == (0, 100, 2)
    assert [entry["data"] for entry in read["list"]] == [
        {"sensor0": {"temp": 21.5}},
        {"edgeferry": {"metrics": {"fps": 9.5}}},
    ]
    newest = read["list"][0]
    assert newest["deviceId"] == newest["device_id"] == device.id
    assert newest["time"] > read["list"][1]["time"]
    assert set(newest) == {"time", "deviceId", "device_id", "data"}


async def test_a_large_entry_may_arrive_in_blocks(bench: Bench, operator: Operator) -> None:
    device = await operator.device("camera-1")
    link = await bench.link(device)
    body = json.dumps({"picture": "x" * 2500}).encode()
    for number in range(3):
        part = body[number * 1024 : (number + 1) * 1024]
        block1 = BlockOption.BlockwiseTuple(number, number < 2, 6)
        sent = request(POST, ".s/block_upload", part, content_format=JSON, block1=block1)
        code = (await link.request(sent)).code
        assert code == (Code.CONTINUE if number < 2 else CHANGED)
    assert (await _read(operator, device))["list"][0]["data"] == {"block_upload": json.loads(body)}


async def test_other_content_is_accepted_but_not_kept_and_noted(
    bench: Bench, operator: Operator
) -> None:
    device = await operator.device("camera-1")
    link = await bench.link(device)
    octets = request(POST, ".s/raw", b"\xff\xd8", content_format=int(ContentFormat.OCTETS))
    assert (await link.request(octets)).code == CHANGED
    assert (await _read(operator, device))["total"] == 0
    (note,) = await operator.logs(module="stream")
    assert (note["level"], note["type"]) == ("WARN", "DIAGNOSTICS")
    assert "/raw" in note["message"]


async def test_bad_documents_are_refused(bench: Bench, operator: Operator) -> None:
    device = await operator.device("camera-1")
    link = await bench.link(device)
    bad = request(POST, ".s/a", b"{", content_format=JSON)
    assert (await link.request(bad)).code == Code.BAD_REQUEST
    assert (await _read(operator, device))["total"] == 0


async def test_paging_and_times_narrow_the_list(bench: Bench, operator: Operator) -> None:
    device = await operator.device("camera-1")
    link = await bench.link(device)
    for number in range(5):
        await _send(link, "n", number)
    page = await _read(operator, device, page=1, perPage=2)
    assert ([e["data"]["n"] for e in page["list"]], page["total"]) == ([2, 1], 5)
    middle = page["list"][0]["time"]
    assert (await _read(operator, device, start="2999-01-01T00:00:00Z"))["total"] == 0
    # Times from callers have microseconds, so the entry itself may fall on either side.
    assert (await _read(operator, device, end=middle))["total"] in (2, 3)
    wrong = await operator.http.post(
        f"{operator.project}/devices/{device.id}/stream", json={"interval": "soon"}
    )
    assert (wrong.status_code, wrong.json()["code"]) == (400, 3)


async def test_later_pages_of_a_query_do_not_shift_when_something_arrives(
    bench: Bench, operator: Operator
) -> None:
    device = await operator.device("camera-1")
    link = await bench.link(device)
    for number in range(5):
        await _send(link, "n", {"count": number})
    await _send(link, "other", {"count": 7})
    query = {"filters": [{"path": "n.count", "op": ">=", "value": 1}]}

    async def page(number: int) -> tuple[list[int], int]:
        read = await _read(operator, device, query=query, page=number, perPage=2)
        return [entry["data"]["n"]["count"] for entry in read["list"]], read["total"]

    assert await page(0) == ([4, 3], 4)
    await _send(link, "n", {"count": 5})
    assert await page(1) == ([2, 1], 4)
    assert await page(0) == ([5, 4], 5)
    assert await page(2) == ([1], 5)
    assert await page(3) == ([], 5)
    # Of a query whose first page nobody asked for.
    query["filters"][0]["value"] = 2
    assert await page(1) == ([3, 2], 4)


async def test_a_query_chooses_fields_and_filters(bench: Bench, operator: Operator) -> None:
    device = await operator.device("camera-1")
    link = await bench.link(device)
    for temperature, kind in [(30, "inside"), (32, "inside"), (20, "outside")]:
        await _send(link, "env", {"temperature": temperature, "type": kind})
    await _send(link, "other", 1)
    query = {
        "fields": [
            {"path": "deviceId"},
            {"path": "env"},
            {"path": "env.temperature", "alias": "temperature"},
        ],
        "filters": [
            {"path": "env", "op": "<>", "value": None},
            {"path": "env.temperature", "op": ">=", "value": 30},
        ],
    }
    expected = [
        {
            "deviceId": device.id,
            "env": {"temperature": temperature, "type": "inside"},
            "temperature": temperature,
        }
        for temperature in (32, 30)
    ]
    assert (await _read(operator, device, query=query))["list"] == expected
    encoded = await _read(operator, device, encodedQuery=json.dumps(query), perPage=1)
    assert (encoded["list"], encoded["total"]) == (expected[:1], 2)
    over_get = await operator.http.get(
        f"{operator.project}/devices/{device.id}/stream",
        params={"encodedQuery": json.dumps(query), "interval": "8h"},
    )
    assert over_get.json()["list"] == expected


async def test_a_projects_stream_has_all_devices_or_some(bench: Bench, operator: Operator) -> None:
    devices = [await operator.device(f"camera-{n}") for n in range(3)]
    for number, device in enumerate(devices):
        await _send(await bench.link(device), "n", number)
    path = f"{operator.project}/stream"
    assert (await operator.call("GET", path))["total"] == 3
    chosen = {"deviceId": [devices[0].id, devices[2].id]}
    some = await operator.call("POST", path, chosen)
    assert [entry["data"]["n"] for entry in some["list"]] == [2, 0]
    one = await operator.call("GET", f"{path}?deviceId={devices[1].id}")
    assert [entry["data"]["n"] for entry in one["list"]] == [1]


async def test_another_projects_stream_stays_out_of_reach(bench: Bench, operator: Operator) -> None:
    other = bench.other_operator("Elsewhere")
    theirs = await other.device("camera-9")
    await _send(await bench.link(theirs), "n", 1)
    for path, status in [
        (f"{other.project}/stream", 403),
        (f"{other.project}/devices/{theirs.id}/stream", 403),
        (f"{operator.project}/devices/{theirs.id}/stream", 404),
    ]:
        assert (await operator.http.get(path)).status_code == status, path
    mine = await operator.call("POST", f"{operator.project}/stream", {"deviceId": [theirs.id]})
    assert mine["total"] == 0


def _entry(at: str, data: object) -> StreamEntry:
    return StreamEntry(
        time=f"2021-05-06T{at}.000000001Z", device_id="d", device_id_legacy="d", data=data
    )


ENTRIES = [
    _entry("14:51:43", {"env": {"temperature": 18, "type": "outside"}}),
    _entry("14:49:48", {"env": {"temperature": 20, "type": "outside"}}),
    _entry("14:49:36", {"env": {"temperature": 32, "type": "inside"}}),
    _entry("14:48:35", {"env": {"temperature": "30", "type": "inside"}}),
    _entry("13:00:00", {"light": True}),
]


def test_values_are_averaged_over_time_as_the_documentation_shows() -> None:
    temperature = {"path": "env.temperature", "alias": "t", "agg": "avg", "type": "float"}
    query = {
        "fields": [{"path": "time"}, {"path": "env.type", "alias": "sensorType"}, temperature],
        "timeBucket": "15m",
        "filters": [{"path": "env", "op": "<>", "value": None}],
    }
    time = "2021-05-06T14:45:00.000000000Z"
    assert parse_query(query).run(ENTRIES) == [
        {"time": time, "sensorType": "outside", "t": 19.0},
        {"time": time, "sensorType": "inside", "t": 31.0},
    ]


@pytest.mark.parametrize(
    ("agg", "expected"), [("count", 4), ("max", 32), ("min", 18), ("sum", 100), ("avg", 25)]
)
def test_every_aggregation(agg: str, expected: float) -> None:
    field = {"path": "env.temperature", "alias": "t", "agg": agg, "type": "float"}
    assert parse_query({"fields": [field]}).run(ENTRIES) == [{"t": expected}]


def test_what_json_can_not_hold_is_no_number() -> None:
    entries = [
        _entry("14:00:00", {"x": "inf", "y": 1.7e308}),
        _entry("14:00:01", {"x": "nan", "y": 1.7e308}),
    ]
    number = {"path": "x", "type": "float"}
    assert parse_query({"fields": [number]}).run(entries) == [{"x": None}, {"x": None}]
    for agg in ("sum", "avg"):
        query = parse_query({"fields": [{"path": "y", "agg": agg}]})
        assert query.run(entries) == [{"y": None}], agg
    huge = {"filters": [{"path": "y", "op": "<", "value": 10**400}]}
    assert parse_query(huge).run(entries) == []


@pytest.mark.parametrize(
    ("condition", "count"),
    [
        ({"path": "env.type", "op": "=", "value": "inside"}, 2),
        ({"path": "env.type", "op": "=", "value": ["inside", "outside"]}, 4),
        ({"path": "env.type", "op": "<>", "value": ["inside", None]}, 2),
        ({"path": "env.temperature", "op": "<", "value": 30}, 2),
        ({"path": "env.temperature", "op": "<=", "value": 30}, 3),
        ({"path": "light", "op": "=", "value": 1}, 0),
        ({"path": "light", "op": "=", "value": True}, 1),
        ({"path": "env.type", "op": ">", "value": 1}, 0),
        (
            {
                "op": "or",
                "filters": [
                    {"path": "light", "op": "=", "value": True},
                    {"path": "env.temperature", "op": ">", "value": 31},
                ],
            },
            2,
        ),
    ],
)
def test_every_filter(condition: Json, count: int) -> None:
    assert len(parse_query({"filters": [condition]}).run(ENTRIES)) == count


@pytest.mark.parametrize(
    "query",
    [
        [],
        "text",
        {"fields": [{"alias": "x"}]},
        {"fields": [{"path": "x", "agg": "median"}]},
        {"fields": [{"path": "x", "type": "colour"}]},
        {"filters": [{"path": "x", "op": "like", "value": 1}]},
        {"timeBucket": "0m"},
        {"fields": [{"path": "x"}] * 65},
    ],
)
def test_a_bad_query_is_refused(query: object) -> None:
    with pytest.raises(InvalidArgument):
        parse_query(query)


def test_durations_are_understood() -> None:
    assert duration_seconds("interval", "1m") == 60
    assert duration_seconds("interval", "1h30m") == 5400
    for bad in ("", "m", "1", "-1m", "1y", "0s"):
        with pytest.raises(InvalidArgument):
            duration_seconds("interval", bad)
