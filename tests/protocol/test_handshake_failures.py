"""What keeps a device and its server apart, and the errors that tell a person what to do."""

from __future__ import annotations

import asyncio
import socket
from datetime import timedelta

import pytest
from aiocoap import CONTENT, GET, Message

from bench.link import Conditions, link_to
from protocol.credentials import CertificateCredential, PskCredential
from protocol.dialling import Address
from protocol.errors import (
    HandshakeRefused,
    HandshakeTimedOut,
    LinkError,
    ServerUntrusted,
)
from tests.support.coap import PSK, Net, Pki

DAY = timedelta(days=1)


def who() -> Message:
    return Message(code=GET, uri_path=["who"])


async def test_a_wrong_key_is_silence_and_the_error_says_so(net: Net) -> None:
    server = await net.serve()
    wrong = PskCredential(PSK.identity, b"wrong")
    with pytest.raises(HandshakeTimedOut, match="PSK-ID/PSK wrong"):
        await net.connect(server.address, wrong, handshake_timeout=0.5)


async def test_a_silent_address_times_out_as_unreachable(net: Net) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        with pytest.raises(HandshakeTimedOut, match="unreachable, or PSK-ID/PSK wrong"):
            await net.connect(silent.getsockname(), handshake_timeout=0.2)


async def test_an_unknown_identity_is_refused_by_name(net: Net) -> None:
    server = await net.serve()
    with pytest.raises(HandshakeRefused, match="PSK identity") as caught:
        await net.connect(server.address, PskCredential("nobody@warehouse", PSK.key))
    assert caught.value.alert == "unknown_psk_identity"


async def test_a_failing_key_lookup_refuses_the_client_and_is_logged(
    net: Net, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(identity: str) -> bytes | None:
        raise RuntimeError("the database is gone")

    server = await net.serve(psk_lookup=broken)
    with pytest.raises(HandshakeRefused):
        await net.connect(server.address)
    assert "the database is gone" in caplog.text


async def test_a_device_certificate_of_a_foreign_authority_is_refused(net: Net, pki: Pki) -> None:
    server = await net.serve()
    issued = pki.foreign.device("camera-9")
    stranger = CertificateCredential(issued.certificate, issued.key, pki.ours.bundle)
    with pytest.raises(HandshakeRefused, match="uploaded") as caught:
        await net.connect(server.address, stranger)
    assert caught.value.alert == "unknown_ca"


async def test_new_client_roots_count_after_a_refresh(net: Net, pki: Pki) -> None:
    roots = [pki.ours.root]
    server = await net.serve(client_roots=lambda: roots)
    issued = pki.foreign.device("camera-9")
    credential = CertificateCredential(issued.certificate, issued.key, pki.ours.bundle)
    with pytest.raises(HandshakeRefused):
        await net.connect(server.address, credential)

    roots.append(pki.foreign.root)
    server.refresh()

    link = await net.connect(server.address, credential)
    assert (await link.request(who())).code == CONTENT


@pytest.mark.parametrize(
    ("authority", "host", "starts_in", "ends_in", "cause"),
    [
        ("foreign", "127.0.0.1", -DAY, DAY, "unknown-ca"),
        ("ours", "cloud.example", -DAY, DAY, "host-name"),
        ("ours", "127.0.0.2", -DAY, DAY, "host-name"),
        ("ours", "127.0.0.1", -2 * DAY, -DAY, "expired"),
        ("ours", "127.0.0.1", DAY, 2 * DAY, "not-yet-valid"),
    ],
)
async def test_a_server_certificate_that_does_not_hold_is_named_with_its_cause(
    net: Net,
    pki: Pki,
    authority: str,
    host: str,
    starts_in: timedelta,
    ends_in: timedelta,
    cause: str,
) -> None:
    issuer = getattr(pki, authority)
    issued = issuer.server(host, starts_in=starts_in, ends_in=ends_in)
    server = await net.serve(certificate=issued.certificate, key=issued.key)
    with pytest.raises(ServerUntrusted) as caught:
        await net.connect(server.address, pki.device())
    assert caught.value.cause_code == cause


async def test_a_host_name_is_checked_where_one_was_given(net: Net, pki: Pki) -> None:
    port = (await net.serve()).address[1]
    link = await net.connect(("localhost", port), pki.device())
    assert (await link.request(who())).code == CONTENT


async def test_the_system_trust_store_does_not_know_a_private_server(net: Net, pki: Pki) -> None:
    server = await net.serve()
    issued = pki.ours.device("camera-2")
    with pytest.raises(ServerUntrusted) as caught:
        await net.connect(server.address, CertificateCredential(issued.certificate, issued.key))
    assert caught.value.cause_code == "unknown-ca"


async def test_a_server_without_certificate_has_no_common_ground_with_one(
    net: Net, pki: Pki
) -> None:
    server = await net.serve(certificate=None, key=None)
    with pytest.raises(HandshakeRefused, match="common ground"):
        await net.connect(server.address, pki.device())
    assert (await (await net.connect(server.address)).request(who())).code == CONTENT


async def test_a_closed_port_is_reported_at_once(net: Net) -> None:
    server = await net.serve()
    address = server.address
    await server.close()
    with pytest.raises(LinkError, match="nothing listens"):
        await net.connect(address)


async def test_the_next_address_of_a_name_is_tried(
    net: Net, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = await net.serve()
    dead = closed.address
    await closed.close()
    server = await net.serve()
    addresses = [(socket.AF_INET, dead), (socket.AF_INET, server.address)]

    async def resolve(*_: object) -> list[Address]:
        return list(addresses)

    monkeypatch.setattr("protocol.client.resolve", resolve)  # no name here has two addresses

    link = await net.connect(("cloud.example", 5684))
    assert (await link.request(who())).code == CONTENT


async def test_a_name_that_does_not_resolve_is_reported(net: Net) -> None:
    with pytest.raises(LinkError, match="can't be resolved"):
        await net.connect(("no-such-host.invalid", 5684))


async def test_handshakes_survive_heavy_loss(net: Net) -> None:
    server = await net.serve()

    async def handshake(seed: int) -> int:
        lossy = Conditions.both_ways(loss=0.3)
        async with link_to(server.address, lossy, seed=seed, own_process=False) as wire:
            link = await net.connect(wire.address, handshake_timeout=60)
            assert link.traffic.bytes_received > 0
            statistics = await wire.statistics()
            return statistics.up.lost + statistics.down.lost

    lost = await asyncio.gather(*(handshake(seed) for seed in (2, 3, 9, 13)))

    assert all(lost)
    assert len(server) == 4
