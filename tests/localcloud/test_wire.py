"""The bytes that Golioth's own SDKs send, and what must come back, message by message."""

from __future__ import annotations

from collections.abc import AsyncIterator

import cbor2
import pytest

from localcloud.settings import CloudSettings
from tests.localcloud.conftest import UNLIMITED
from tests.support.cloud import Bench
from tests.support.raw_client import RawClient

ACK = 0x60
ZERO_TOKEN = bytes(8)
TOKEN = bytes.fromhex("1122334455667788")


class RawDevice:
    """Sends and receives single messages as bytes, written in hexadecimal digits."""

    def __init__(self, client: RawClient) -> None:
        self._client = client

    async def send(self, message: str) -> None:
        await self._client.send(bytes.fromhex(message))

    async def receive(self) -> bytes:
        return await self._client.receive()

    async def ask(self, message: str) -> bytes:
        await self.send(message)
        return await self.receive()


@pytest.fixture
def settings() -> CloudSettings:
    return UNLIMITED


@pytest.fixture
async def raw(bench: Bench) -> AsyncIterator[RawDevice]:
    device = await bench.operator.device("camera-1")
    client = RawClient(bench.cloud.coap_address, device.credential)
    await client.handshake()
    yield RawDevice(client)
    client.abort()


async def test_the_libcoap_keep_alive_gets_its_zero_token_back(raw: RawDevice) -> None:
    for message_id in ("0a01", "0a02"):
        answer = await raw.ask(f"48 04 {message_id} 0000000000000000")
        assert answer[0] == ACK | 8, "on the acknowledgement"
        assert answer[2:4].hex() == message_id
        assert answer[4:12] == ZERO_TOKEN


async def test_the_zephyr_keep_alive_is_answered_by_a_reset(raw: RawDevice) -> None:
    assert (await raw.ask("50 00 0b01")).hex() == "70000b01"


async def test_a_coap_ping_is_answered_by_a_reset(raw: RawDevice) -> None:
    assert (await raw.ask("40 00 0b02")).hex() == "70000b02"


async def test_a_repeated_request_gets_the_same_answer(raw: RawDevice) -> None:
    one = await raw.ask("48 04 0c01 0000000000000000")
    assert await raw.ask("48 04 0c01 0000000000000000") == one


async def test_the_sdks_manifest_observation_is_answered_and_cancelled(raw: RawDevice) -> None:
    answer = await raw.ask(f"48 01 0d01 {TOKEN.hex()} 60 52 2e75 07 64657369726564 61 3c")
    assert (answer[0], answer[1]) == (ACK | 8, 0x45)
    assert answer[4:12] == TOKEN
    assert answer[12] == 0x63, "the Observe option with three bytes"
    assert answer.endswith(b"\xff\xa0")
    # The Zephyr SDK cancels with its own number for CBOR as Accept.
    cancel = await raw.ask(f"48 01 0d02 {TOKEN.hex()} 61 01 52 2e75 07 64657369726564 61 01")
    assert cancel[1] == 0x45
    assert cancel[12] & 0xF0 != 0x60, "no Observe option"


async def test_blocks_may_be_asked_for_with_four_byte_tokens_and_out_of_order(
    bench: Bench, raw: RawDevice
) -> None:
    await bench.operator.upload("main", "1.0.0", bytes(17_000))
    path = "b2 2e75 01 63 0a 6d61696e40312e302e30"
    answer = await raw.ask(f"44 01 0e01 cafe0001 {path} 61 2a 62 0106")
    header, payload = answer.split(b"\xff", 1)
    assert (header[1], header[4:8].hex(), len(payload)) == (0x45, "cafe0001", 17_000 - 16 * 1024)
    # Block2 (23) with number 16, no more, 1024; Size2 (28) with 17,000.
    assert header[8:].hex() == "d20a0106" + "524268"
    first = await raw.ask(f"44 01 0e02 cafe0002 {path} 61 2a 61 06")
    assert first.split(b"\xff", 1)[0][8:].hex() == "d10a0e" + "524268"


async def test_the_sdks_report_of_indefinite_length_is_understood(
    bench: Bench, raw: RawDevice
) -> None:
    body = "bf6173016172006370 6b67 646d61696e 6176 65312e322e33 6174 65312e322e34 ff"
    answer = await raw.ask(f"48 02 0f01 {TOKEN.hex()} b2 2e75 01 63 04 6d61696e 11 3c ff {body}")
    assert answer[:2].hex() == "6844"
    assert answer[4:] == TOKEN
    listed = await bench.operator.call("GET", f"{bench.operator.project}/devices")
    status = listed["list"][0]["metadata"]["update"]["main"]
    assert (status["version"], status["target"], status["state"]) == (
        "1.2.3",
        "1.2.4",
        "DOWNLOADING",
    )


async def test_notifications_are_confirmable(bench: Bench, raw: RawDevice) -> None:
    await raw.ask(f"48 01 1001 {TOKEN.hex()} 60 52 2e75 07 64657369726564 61 3c")
    [device] = (await bench.operator.call("GET", f"{bench.operator.project}/devices"))["list"]
    cohort = await bench.operator.cohort("bench")
    await bench.operator.deploy(cohort)
    await bench.operator.join(device["id"], cohort)
    pushed = await raw.receive()
    assert pushed[0] == 0x48, "CON with the observation's token"
    assert pushed[4:12] == TOKEN
    await raw.send(f"60 00 {pushed[2:4].hex()}")
    manifest = cbor2.loads(pushed.split(b"\xff", 1)[1])
    assert manifest[1] > 0
    assert manifest[3] == []


async def test_a_reset_ends_an_observation(bench: Bench, raw: RawDevice) -> None:
    device = (await bench.operator.call("GET", f"{bench.operator.project}/devices"))["list"][0]
    data = f"{bench.operator.project}/devices/{device['id']}/data/v"
    await raw.ask(f"48 01 1101 {TOKEN.hex()} 60 52 2e64 01 76")
    await bench.operator.call("POST", data, 1)
    pushed = await raw.receive()
    await raw.send(f"70 00 {pushed[2:4].hex()}")
    # The ping's answer shows that the reset has been taken in.
    assert (await raw.ask("40 00 1102")).hex() == "70001102"
    await bench.operator.call("POST", data, 2)
    assert (await raw.ask("40 00 1103")).hex() == "70001103", "nothing else came before"
