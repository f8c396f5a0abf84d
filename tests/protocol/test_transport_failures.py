"""What goes wrong between a device and its server, and the errors that tell a person what to do."""

from __future__ import annotations

import asyncio
import gc
import socket
import weakref
from datetime import timedelta

import pytest
from aiocoap import CONTENT, GET, Message
from aiocoap.numbers.constants import TransportTuning
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.link import Conditions, link_to
from protocol.client import connect
from protocol.credentials import CertificateCredential, PskCredential
from protocol.dialling import Address
from protocol.dtls.connection import DtlsConnection
from protocol.dtls.contexts import client_context
from protocol.errors import (
    HandshakeRefused,
    HandshakeTimedOut,
    LinkError,
    LinkLost,
    ServerUntrusted,
)
from protocol.server import Limits
from tests.support.coap import PSK, Net, Pki
from tests.support.raw_client import RawClient
from tests.support.waiting import eventually, within

DAY = timedelta(days=1)


class Impatient(TransportTuning):  # type: ignore[misc]
    """Retransmissions in the time of a test."""

    ACK_TIMEOUT = 0.02
    MAX_RETRANSMIT = 2


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


async def test_a_server_that_closes_takes_the_link_with_it_and_a_new_one_works(net: Net) -> None:
    server = await net.serve()
    link = await net.connect(server.address)
    observation = link.observe(Message(code=GET, uri_path=["counter"]))
    await anext(observation)

    address = server.address
    await server.close()
    await within(link.lost.wait())
    with pytest.raises(LinkLost):
        await anext(observation)
    with pytest.raises(LinkLost):
        await link.request(who())

    await net.serve(port=address[1])
    again = await net.connect(address)
    assert (await again.request(who())).code == CONTENT


async def test_a_server_that_died_is_noticed_by_its_closed_port(net: Net) -> None:
    server = await net.serve()
    link = await net.connect(server.address)
    server._transport.abort()
    await server._closed.wait()

    with pytest.raises(LinkLost, match="port is closed"):
        await link.request(who())


async def test_a_link_is_lost_when_retransmissions_run_out(net: Net) -> None:
    server = await net.serve()
    async with link_to(server.address, own_process=False) as wire:
        link = await net.connect(wire.address, in_flight=2)
        await wire.blackout()
        messages = [
            Message(code=GET, uri_path=["who"], transport_tuning=Impatient()) for _ in range(5)
        ]
        results = await asyncio.gather(
            *(link.request(message) for message in messages), return_exceptions=True
        )
        assert {type(result) for result in results} == {LinkLost}
        assert "no acknowledgement after 2 retransmissions" in str(results[0])
        assert link.lost.is_set()
        assert link.traffic.retransmissions >= 3

        await wire.restore()
        again = await net.connect(wire.address)
        assert (await again.request(who())).code == CONTENT


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


async def test_a_new_handshake_from_a_known_address_replaces_the_old_session(net: Net) -> None:
    server = await net.serve()
    first = RawClient(server.address, PSK)
    await first.handshake()
    (old,) = server
    first.abort()

    second = RawClient(server.address, PSK, first_port := old.peer.address[1])
    await second.handshake()

    (new,) = server
    assert new is not old
    assert new.peer.address == ("127.0.0.1", first_port)
    assert isinstance(old.end, LinkLost)
    second.abort()


async def test_an_idle_session_is_dropped(net: Net) -> None:
    server = await net.serve(limits=Limits(idle=0.2))
    link = await net.connect(server.address)
    await within(link.lost.wait())
    assert len(server) == 0


async def test_an_owner_that_fails_does_not_keep_idle_sessions(net: Net) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the disk is full")

    # Long enough for handshakes on a busy machine.
    server = await net.serve(limits=Limits(idle=2), on_ended=fail)
    links = await asyncio.gather(*(net.connect(server.address) for _ in range(3)))
    async with asyncio.timeout(60):
        for link in links:
            await link.lost.wait()
    assert len(server) == 0


async def test_half_open_handshakes_are_limited_and_expire(net: Net) -> None:
    server = await net.serve(limits=Limits(half_open=3, handshake=0.4))
    wrong = PskCredential(PSK.identity, b"wrong")
    attempts = [
        asyncio.create_task(net.connect(server.address, wrong, handshake_timeout=2))
        for _ in range(6)
    ]
    await eventually(lambda: len(server._half_open) == 3)
    assert len(server._entries) == 3
    link = await net.connect(server.address)
    assert (await link.request(who())).code == CONTENT

    await eventually(lambda: not server._half_open)
    assert [session.peer.identity for session in server] == [PSK.identity]
    for attempt in attempts:
        attempt.cancel()
    await asyncio.gather(*attempts, return_exceptions=True)


async def test_more_clients_at_a_time_than_handshakes_all_get_their_turn(net: Net) -> None:
    server = await net.serve(limits=Limits(half_open=2))
    links = await asyncio.gather(
        *(net.connect(server.address, handshake_timeout=60) for _ in range(4))
    )
    assert len(server) == len(links) == 4


async def test_a_server_ignores_garbage(net: Net) -> None:
    server = await net.serve()
    link = await net.connect(server.address)
    (session,) = server
    hello = DtlsConnection.client(client_context(PSK), "127.0.0.1")
    hello.start()
    (client_hello,) = hello.outgoing()

    @settings(max_examples=300, deadline=None)
    @given(datagram=damaged(client_hello) | record_like() | st.binary(max_size=100))
    def receive(datagram: bytes) -> None:
        server.datagram_received(datagram, ("127.0.0.1", 9))
        server.datagram_received(datagram, session.socket_address)

    receive()

    assert (await link.request(who())).code == CONTENT
    assert list(server) == [session]


@st.composite
def damaged(draw: st.DrawFn, datagram: bytes) -> bytes:
    """A datagram with some bytes changed and perhaps its end missing."""
    mutable = bytearray(datagram)
    for _ in range(draw(st.integers(0, 3))):
        mutable[draw(st.integers(0, len(mutable) - 1))] = draw(st.integers(0, 255))
    return bytes(mutable[: draw(st.integers(1, len(mutable)))])


@st.composite
def record_like(draw: st.DrawFn) -> bytes:
    """Something with a DTLS record header, of any content type, epoch and sequence number."""
    body = draw(st.binary(max_size=64))
    return b"".join(
        (
            bytes([draw(st.integers(20, 25))]),
            draw(st.sampled_from([b"\xfe\xff", b"\xfe\xfd", b"\x03\x03"])),
            draw(st.integers(0, 2)).to_bytes(2, "big"),
            draw(st.integers(0, 2**48 - 1)).to_bytes(6, "big"),
            draw(st.sampled_from([len(body), 0, 1, 0xFFFF])).to_bytes(2, "big"),
            body,
        )
    )


async def test_bytes_that_are_no_coap_message_do_not_disturb_a_session(net: Net) -> None:
    server = await net.serve()
    client = RawClient(server.address, PSK)
    await client.handshake()

    for junk in (b"\x00", b"\xff" * 40, b"\x40\x01\x00\x01\xb2\xff\xfe"):
        await client.send(junk)
    await client.send(b"\x40\x00\x12\x34")  # a ping

    assert await client.receive() == b"\x70\x00\x12\x34"
    client.abort()


async def test_nothing_of_a_closed_link_or_session_stays_in_memory(net: Net) -> None:
    server = await net.serve()
    link = await connect(*server.address, PSK)
    await link.request(who())
    (session,) = server
    kept: list[weakref.ref[object]] = [
        weakref.ref(link),
        weakref.ref(link._remote),
        weakref.ref(session),
    ]

    await link.close()
    await eventually(lambda: len(server) == 0)
    del link, session
    await asyncio.sleep(0)
    gc.collect()

    assert [reference() for reference in kept] == [None, None, None]
