"""Requests, observations and pings over real DTLS on loopback."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiocoap import BAD_REQUEST, CHANGED, CONTENT, GET, NOT_FOUND, POST, Message
from aiocoap.numbers.constants import TransportTuning
from aiocoap.numbers.types import CON

from bench.link import link_to
from protocol.client import connect
from protocol.credentials import CertificateCredential
from protocol.errors import LinkLost
from tests.support.coap import PSK, Net, Pki
from tests.support.pki import Authority
from tests.support.raw_client import RawClient
from tests.support.waiting import PATIENCE, eventually, within


class Impatient(TransportTuning):  # type: ignore[misc]
    """Retransmissions in the time of a test."""

    ACK_TIMEOUT = 0.05
    MAX_RETRANSMIT = 4


def get(*path: str) -> Message:
    return Message(code=GET, uri_path=path)


async def test_psk_and_certificate_clients_share_one_port(net: Net, pki: Pki) -> None:
    server = await net.serve()
    by_key = await net.connect(server.address)
    by_certificate = await net.connect(server.address, pki.device("camera-7"))

    assert (await by_key.request(get("who"))).payload == b"psk camera-1@warehouse"
    assert (
        await by_certificate.request(get("who"))
    ).payload == b"certificate CN=camera-7,O=warehouse"
    assert by_key.cipher == "PSK-AES128-GCM-SHA256"
    assert by_certificate.cipher == "ECDHE-ECDSA-AES128-GCM-SHA256"
    assert len(server) == len(list(server)) == 2


async def test_an_intermediate_authority_is_sent_along(net: Net, pki: Pki, tmp_path: Path) -> None:
    server = await net.serve()
    plant = Authority(tmp_path, "Plant 4", above=pki.ours)
    issued = plant.device("camera-8")
    chain = tmp_path / "chain.pem"
    chain.write_bytes(issued.certificate.read_bytes() + plant.bundle.read_bytes())

    link = await net.connect(
        server.address, CertificateCredential(chain, issued.key, pki.ours.bundle)
    )

    assert (await link.request(get("who"))).payload == b"certificate CN=camera-8,O=warehouse"


async def test_the_system_trust_store_is_used_where_no_authority_is_named(
    net: Net, pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await net.serve()
    issued = pki.ours.device("camera-2")
    monkeypatch.setenv("SSL_CERT_FILE", str(pki.ours.bundle))
    link = await net.connect(server.address, CertificateCredential(issued.certificate, issued.key))
    assert (await link.request(get("who"))).code == CONTENT


async def test_a_link_leaves_by_the_address_it_was_given(net: Net) -> None:
    server = await net.serve()
    link = await connect(*server.address, PSK, source_host="127.0.0.2")
    assert [session.peer.address[0] for session in server] == ["127.0.0.2"]
    await link.close()


async def test_an_error_code_is_a_response_like_any_other(net: Net) -> None:
    link = await net.connect((await net.serve()).address)
    assert (await link.request(get("nowhere"))).code == NOT_FOUND


async def test_every_request_has_a_token_of_eight_bytes(net: Net) -> None:
    link = await net.connect((await net.serve()).address)
    responses = [await link.request(get("who")) for _ in range(3)]
    tokens = {response.token for response in responses}
    assert len(tokens) == 3
    assert {len(token) for token in tokens} == {8}


async def test_blocks_come_in_any_order_with_many_in_flight(net: Net) -> None:
    link = await net.connect((await net.serve()).address, in_flight=32)
    body = net.site.blocks.BODY
    numbers = [number % 98 for number in range(250)]

    async def fetch(number: int) -> bytes:
        response = await link.request(
            Message(code=GET, uri_path=["blocks"], block2=(number, False, 6))
        )
        assert response.opt.block2.block_number == number
        payload: bytes = response.payload
        return payload

    blocks = await asyncio.gather(*(fetch(number) for number in numbers))

    assert blocks == [body[number * 1024 :][:1024] for number in numbers]
    assert net.site.blocks.served == 250 + link.traffic.retransmissions


async def test_no_more_messages_are_in_flight_than_allowed(net: Net) -> None:
    server = await net.serve()
    async with link_to(server.address, own_process=False) as wire:
        link = await net.connect(wire.address, in_flight=4)
        before = link.traffic.datagrams_sent
        await wire.blackout()
        requests = [
            asyncio.create_task(
                link.request(Message(code=GET, uri_path=["who"], transport_tuning=Impatient()))
            )
            for _ in range(12)
        ]
        await asyncio.sleep(0)
        assert link.traffic.datagrams_sent - before == 4

        await wire.restore()
        responses = await asyncio.gather(*requests)
    assert {response.code for response in responses} == {CONTENT}


async def test_an_observer_gets_the_present_state_and_each_change(net: Net) -> None:
    link = await net.connect((await net.serve()).address)
    observation = link.observe(get("counter"))

    assert (await anext(observation)).payload == b"0"
    for expected in (b"1", b"2", b"3"):
        await link.request(Message(code=POST, uri_path=["counter"]))
        assert (await anext(observation)).payload == expected


async def test_the_end_of_an_observation_is_its_last_message(net: Net) -> None:
    link = await net.connect((await net.serve()).address)
    observation = link.observe(get("counter"))
    assert (await anext(observation)).payload == b"0"

    net.site.counter.updated_state(Message(code=BAD_REQUEST, payload=b"gone"))

    assert [message.payload async for message in observation] == [b"gone"]


async def test_a_resource_that_can_not_be_observed_answers_once(net: Net) -> None:
    link = await net.connect((await net.serve()).address)
    messages = [message async for message in link.observe(get("who"))]
    assert [message.payload for message in messages] == [b"psk camera-1@warehouse"]


async def test_a_cancelled_observation_is_reset_at_the_server(net: Net) -> None:
    link = await net.connect((await net.serve()).address)
    observation = link.observe(get("counter"))
    await anext(observation)
    assert observers(net) == 1

    observation.cancel()
    await link.request(Message(code=POST, uri_path=["counter"]))
    await link.ping(PATIENCE)  # behind the notification, so behind its reset too

    assert observers(net) == 0
    assert [message async for message in observation] == []


def observers(net: Net) -> int:
    return len(net.site.counter._observations)


async def test_a_ping_is_answered(net: Net) -> None:
    link = await net.connect((await net.serve()).address)
    before = link.traffic.datagrams_received
    await link.ping(PATIENCE)
    assert link.traffic.datagrams_received == before + 1
    assert not link.lost.is_set()


async def test_a_ping_without_answer_loses_the_link_and_all_requests(net: Net) -> None:
    server = await net.serve()
    async with link_to(server.address, own_process=False) as wire:
        link = await net.connect(wire.address)
        await wire.blackout()
        request = asyncio.create_task(link.request(get("who")))
        with pytest.raises(LinkLost, match="ping"):
            await link.ping(0.05)
        with pytest.raises(LinkLost, match="ping"):
            await request
    assert link.lost.is_set()


async def test_a_request_goes_on_after_its_message_id_wrapped(net: Net) -> None:
    link = await net.connect((await net.serve()).address)
    link._stack.messages.message_id = 0xFFFE
    for _ in range(4):
        assert (await link.request(get("who"))).code == CONTENT
    assert link._stack.messages.message_id == 2


async def test_a_message_id_that_is_still_in_flight_is_not_taken_again(net: Net) -> None:
    server = await net.serve()
    async with link_to(server.address, own_process=False) as wire:
        link = await net.connect(wire.address)
        await wire.blackout()
        manager = link._stack.messages
        first_id = manager.message_id
        first = asyncio.create_task(
            link.request(Message(code=GET, uri_path=["who"], transport_tuning=Impatient()))
        )
        await asyncio.sleep(0)
        manager.message_id = first_id  # as after 65,536 further messages
        second = asyncio.create_task(
            link.request(Message(code=GET, uri_path=["who"], transport_tuning=Impatient()))
        )
        await asyncio.sleep(0)
        await wire.restore()
        responses = await asyncio.gather(first, second)
    assert [response.code for response in responses] == [CONTENT, CONTENT]


async def test_a_reused_message_id_with_other_content_is_a_new_request(net: Net) -> None:
    link = await net.connect((await net.serve()).address)
    manager = link._stack.messages
    message_id = manager.message_id
    for expected in (b"1", b"2"):
        manager.message_id = message_id
        response = await link.request(Message(code=POST, uri_path=["counter"]))
        assert (response.code, response.payload) == (CHANGED, expected)


async def test_closing_a_link_fails_what_waits_and_tells_the_server(net: Net) -> None:
    server = await net.serve()
    link = await net.connect(server.address)
    observation = link.observe(get("counter"))
    await anext(observation)

    await link.close()

    assert link.lost.is_set()

    with pytest.raises(LinkLost):
        await anext(observation)
    with pytest.raises(LinkLost):
        await link.request(get("who"))
    other = await net.connect(server.address)
    await other.ping(PATIENCE)
    assert len(server) == 1
    assert observers(net) == 0


async def test_the_server_tells_of_sessions_that_begin_and_end(net: Net) -> None:
    told: list[tuple[str, object]] = []
    server = await net.serve(
        on_established=lambda session: told.append(("begun", session.peer.identity)),
        on_ended=lambda session, error: told.append(("ended", str(error))),
    )
    link = await net.connect(server.address)
    await link.close()
    await eventually(lambda: len(server) == 0)
    dropped = await net.connect(server.address)
    for session in server:
        server.drop(session)
    await within(dropped.lost.wait())

    assert told == [
        ("begun", PSK.identity),
        ("ended", "the peer closed the connection"),
        ("begun", PSK.identity),
        ("ended", "dropped by the server"),
    ]


async def test_traffic_counts_what_the_wire_carried(net: Net) -> None:
    server = await net.serve()
    link = await net.connect(server.address)
    await link.request(get("who"))
    (session,) = server
    assert link.traffic.bytes_sent > 400
    assert link.traffic.retransmissions == 0
    # The server does not count the cookie exchange, which it keeps no state for.
    assert session.traffic.bytes_sent < link.traffic.bytes_received
    assert session.traffic.datagrams_received == link.traffic.datagrams_sent - 2


async def test_secrets_show_up_nowhere(net: Net) -> None:
    server = await net.serve()
    link = await net.connect(server.address)
    (session,) = server
    shown = repr((PSK, net.credentials(), link, server, session, session.peer))
    assert PSK.key.decode() not in shown


async def test_keep_alives_of_all_kinds_are_answered(net: Net) -> None:
    """Golioth: Linux sends a DELETE without path and a token of zeros, Zephyr an empty NON."""
    server = await net.serve()
    client = RawClient(server.address, PSK)
    await client.handshake()

    await client.send(b"\x50\x00\x00\x07")
    assert await client.receive() == b"\x70\x00\x00\x07"
    await client.send(b"\x40\x00\x00\x08")
    assert await client.receive() == b"\x70\x00\x00\x08"
    await client.send(b"\x48\x04\x00\x09" + bytes(8))
    answer = await client.receive()
    assert answer[0] == 0x68
    assert answer[2:12] == b"\x00\x09" + bytes(8)
    client.abort()


async def test_a_retransmitted_request_is_taken_in_once_and_answered_again(net: Net) -> None:
    server = await net.serve()
    client = RawClient(server.address, PSK)
    await client.handshake()
    post = Message(
        code=POST, _mtype=CON, _mid=77, _token=b"12345678", uri_path=["counter"]
    ).encode()

    answers = []
    for _ in range(3):
        await client.send(post)
        answers.append(await client.receive())

    assert len(set(answers)) == 1
    assert net.site.counter.count == 1
    client.abort()
