"""The session keeps a link up, whatever happens to the network and the server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from protocol.credentials import CertificateCredential
from protocol.errors import CredentialError, HandshakeTimedOut, LinkError, LinkLost
from protocol.manifest import Component, Manifest
from protocol.report import OtaReport
from protocol.session import SessionSettings
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.protocol.session.conftest import Cloud, Device, Relay

    StartDevice = Callable[..., Device]

FIRST = Manifest(1, (Component("ai-model", "1", "a" * 64, 5, "/.u/c/ai-model@1"),))
SECOND = Manifest(2, (Component("ai-model", "2", "b" * 64, 6, "/.u/c/ai-model@2"),))
WATCHFUL = {"keepalive_interval": 0.1, "ping_timeout": 1.0}


async def test_it_connects_and_says_so(cloud: Cloud, start_device: StartDevice) -> None:
    device = start_device()
    assert not device.session.connected
    assert await device.connection() == (True, None)
    assert device.session.connected


async def test_a_server_that_stops_is_noticed_and_its_successor_used(
    cloud: Cloud, relay: Relay, start_device: StartDevice
) -> None:
    cloud.site.deploy(FIRST)
    device = start_device(relay.port)
    await device.until(FIRST)
    assert await device.connection() == (True, None)
    await cloud.stop()
    up, error = await device.connection()
    assert not up
    assert isinstance(error, LinkLost)
    relay.target = ("127.0.0.1", await cloud.start())
    await device.connected()
    await device.until(FIRST)
    cloud.site.deploy(SECOND)
    await device.until(SECOND)
    assert len(relay.legs) >= 2, "a new handshake takes a new socket"


async def test_whoever_asks_on_and_on_keeps_no_session_from_noticing_that_its_link_is_dead(
    cloud: Cloud, start_device: StartDevice
) -> None:
    session = start_device().session
    await session.wait_connected()
    session.give_up_link("for this test")
    for _ in range(100):
        if not session.connected:
            break
        with pytest.raises(LinkError):
            await session.report(OtaReport("ai-model"))
    else:
        pytest.fail("it asks in vain, and the session never learns of it")


async def test_a_server_that_forgot_the_session_is_noticed_by_its_silence(
    cloud: Cloud, relay: Relay, start_device: StartDevice
) -> None:
    device = start_device(relay.port, **WATCHFUL)
    await device.manifest()
    # The successor takes over the address without a word: it ignores the old records.
    relay.target = ("127.0.0.1", await cloud.start())
    for address, leg in relay.legs.items():
        leg.close()
        relay.legs[address], _ = await asyncio.get_running_loop().create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=relay.target
        )
    cloud.site.deploy(SECOND)
    await device.until(SECOND)
    assert cloud.site.observations() == 2
    assert len(set(cloud.remotes)) == 2


async def test_a_network_that_goes_deaf_is_healed(
    cloud: Cloud, relay: Relay, start_device: StartDevice
) -> None:
    device = start_device(relay.port, handshake_timeout=0.3, **WATCHFUL)
    await device.manifest()
    await device.connection()
    relay.deaf = True
    up, error = await device.connection()
    assert not up
    assert isinstance(error, LinkLost)
    assert "ping" in str(error)
    assert not device.session.connected
    _, error = await device.connection()
    assert isinstance(error, HandshakeTimedOut)
    relay.deaf = False
    cloud.site.deploy(SECOND)
    await device.until(SECOND)
    assert device.session.connected


async def test_an_idle_link_is_kept_alive(
    cloud: Cloud, relay: Relay, start_device: StartDevice
) -> None:
    device = start_device(relay.port, keepalive_interval=0.02)
    await device.manifest()
    before = relay.bytes_down
    await eventually(lambda: relay.bytes_down > before + 200)  # the pings are answered
    assert len(cloud.site.requests) == 1, "pings are no requests"
    assert device.connections.qsize() == 1


async def test_requests_that_are_never_answered_cost_the_link(
    cloud: Cloud, start_device: StartDevice
) -> None:
    device = start_device(request_timeout=0.3, keepalive_interval=0.1)
    await device.manifest()
    await device.connection()
    cloud.site.answering.clear()
    for _ in range(3):
        with pytest.raises(LinkError, match=r"\.u/c/main: no answer within 0\.3 s"):
            await device.session.report(OtaReport())
    up, error = await device.connection()
    assert not up
    assert "stays silent" in str(error)
    cloud.site.answering.set()
    cloud.site.deploy(SECOND)
    await device.until(SECOND)


async def test_a_wrong_key_is_told_as_such_and_tried_again(
    cloud: Cloud, start_device: StartDevice
) -> None:
    key = cloud.keys["device@project"]
    cloud.keys["device@project"] = b"other"
    device = start_device(handshake_timeout=0.2)
    for _ in range(2):
        up, error = await device.connection()
        assert not up
        assert isinstance(error, HandshakeTimedOut)
        assert "PSK" in str(error)
    cloud.keys["device@project"] = key
    await device.connected()


async def test_a_missing_certificate_is_told_and_looked_for_again(
    cloud: Cloud, start_device: StartDevice, tmp_path: Path
) -> None:
    missing = CertificateCredential(tmp_path / "device.crt", tmp_path / "device.key")
    device = start_device(credential=missing)
    for _ in range(2):
        up, error = await device.connection()
        assert not up
        assert isinstance(error, CredentialError)
        assert "device.crt" in str(error)


def test_by_default_a_dead_server_is_noticed_within_30_seconds() -> None:
    settings = SessionSettings()
    assert settings.keepalive_interval < 9, "below the keep-alive that Golioth's own SDK uses"
    assert settings.keepalive_interval + settings.ping_timeout < 30


async def test_only_the_first_failure_and_the_recovery_are_logged(
    cloud: Cloud, start_device: StartDevice, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "protocol.session")
    key = cloud.keys.pop("device@project")
    device = start_device()
    for _ in range(5):
        await device.connection()
    cloud.keys["device@project"] = key
    await device.connected()
    levels = [record.levelname for record in caplog.records if record.name == "protocol.session"]
    assert levels == ["WARNING", "INFO"]


async def test_requests_without_a_link_fail_at_once(
    cloud: Cloud, start_device: StartDevice
) -> None:
    await cloud.stop()
    await cloud.start()
    port = cloud.port
    await cloud.stop()
    device = start_device(port)
    await device.connection()
    with pytest.raises(LinkLost, match="not connected"):
        device.session.ask_block("/.u/c/ai-model@1", 0, 6, print, confirmable=False)
    with pytest.raises(LinkLost, match="not connected"):
        await device.session.report(OtaReport())


async def test_requests_under_way_fail_when_the_link_dies(
    cloud: Cloud, start_device: StartDevice
) -> None:
    device = start_device()
    await device.manifest()
    cloud.site.answering.clear()
    request = asyncio.create_task(device.session.report(OtaReport()))
    await eventually(lambda: len(cloud.site.requests) == 2)
    await cloud.stop()
    with pytest.raises(LinkLost):
        await request


async def test_traffic_is_counted_over_all_links(
    cloud: Cloud, relay: Relay, start_device: StartDevice
) -> None:
    device = start_device(relay.port)
    await device.manifest()
    first = device.session.traffic
    cloud.servers[-1].drop(next(iter(cloud.servers[-1])))
    await device.manifest()
    assert device.session.traffic.received_bytes > first.received_bytes + 300
    assert device.session.traffic.sent_bytes > first.sent_bytes + 300
    await device.stop()
    traffic = device.session.traffic
    await eventually(lambda: relay.bytes_up == traffic.sent_bytes)
    assert (relay.bytes_down, relay.bytes_up) == (traffic.received_bytes, traffic.sent_bytes)


async def test_stopping_closes_the_dtls_session(cloud: Cloud, start_device: StartDevice) -> None:
    device = start_device()
    await device.manifest()
    await device.stop()
    await eventually(lambda: len(cloud.servers[-1]) == 0)
    assert not device.session.connected
