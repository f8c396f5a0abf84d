"""Links that are lost, and servers under garbage and too many clients."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest
from aiocoap import CONTENT, GET, Message
from aiocoap.numbers.constants import TransportTuning
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.link import link_to
from protocol.client import connect
from protocol.credentials import PskCredential
from protocol.dtls.connection import DtlsConnection
from protocol.dtls.contexts import client_context
from protocol.errors import (
    LinkLost,
)
from protocol.server import Limits
from tests.support.coap import PSK, Net
from tests.support.raw_client import RawClient
from tests.support.waiting import eventually, within


class Impatient(TransportTuning):  # type: ignore[misc]
    """Retransmissions in the time of a test."""

    ACK_TIMEOUT = 0.02
    MAX_RETRANSMIT = 2


def who(tuning: TransportTuning | None = None) -> Message:
    return Message(code=GET, uri_path=["who"], transport_tuning=tuning)


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
        messages = [who(Impatient()) for _ in range(5)]
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


class Insistent(TransportTuning):  # type: ignore[misc]
    """Sent again many times, more than a test waits for."""

    ACK_TIMEOUT = 0.05
    MAX_RETRANSMIT = 12


async def test_a_request_that_nobody_waits_for_is_sent_no_more(net: Net) -> None:
    """The cloud would take a report that comes late for the newest."""
    server = await net.serve()
    async with link_to(server.address, own_process=False) as wire:
        link = await net.connect(wire.address, in_flight=1)
        await wire.blackout()
        given_up = [who(Insistent()) for _ in range(3)]
        async with asyncio.TaskGroup() as group:
            for request in (group.create_task(link.request(message)) for message in given_up):
                asyncio.get_running_loop().call_later(0.1, request.cancel)
        sent = link.traffic.bytes_sent
        await asyncio.sleep(0.5)
        assert link.traffic.bytes_sent == sent
        await wire.restore()
        assert (await within(link.request(who()))).code == CONTENT


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
