"""The sans-IO DTLS connection: two ends in memory, and what the record headers say."""

from __future__ import annotations

import logging
import time
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL._util import lib

from protocol.credentials import Credential, PskCredential, ServerCredentials
from protocol.dtls import bindings, records
from protocol.dtls.connection import DtlsConnection
from protocol.dtls.contexts import client_context, server_context
from protocol.dtls.listener import answer_client_hello
from protocol.errors import HandshakeRefused, LinkError, LinkLost
from tests.support.coap import PSK, Pki

SECRET = b"cookie secret of the test server"
HERE = "198.51.100.7:5684"


def keys(identity: str) -> bytes | None:
    return {PSK.identity: PSK.key}.get(identity)


def record(body: bytes, content: int = 22, epoch: int = 0, number: int = 0) -> bytes:
    header = (
        bytes([content, 0xFE, 0xFD]),
        epoch.to_bytes(2, "big"),
        number.to_bytes(6, "big"),
        len(body).to_bytes(2, "big"),
    )
    return b"".join(header) + body


class Pair:
    """A client and the server it talks to, one datagram at a time."""

    def __init__(self, credential: Credential, credentials: ServerCredentials) -> None:
        self.client = DtlsConnection.client(client_context(credential), "localhost")
        self.server: DtlsConnection | None = None
        self._context = server_context(credentials, SECRET)

    def begin(self) -> DtlsConnection:
        """The cookie exchange, up to a server connection that is not started yet."""
        self.client.start()
        (hello,) = self.client.outgoing()
        nobody, (request,) = answer_client_hello(self._context, hello, HERE)
        assert nobody is None
        self.client.feed(request)
        (hello,) = self.client.outgoing()
        self.server, replies = answer_client_hello(self._context, hello, HERE)
        assert replies == []
        assert self.server is not None
        return self.server

    def handshake(self) -> DtlsConnection:
        server = self.begin()
        server.start()
        while not (self.client.established and server.established):
            for datagram in server.outgoing():
                self.client.feed(datagram)
            for datagram in self.client.outgoing():
                server.feed(datagram)
        return server


def established() -> tuple[DtlsConnection, DtlsConnection]:
    pair = Pair(PSK, ServerCredentials(keys))
    return pair.client, pair.handshake()


def test_a_session_carries_records_both_ways() -> None:
    client, server = established()
    assert server.notes.psk_identity == PSK.identity
    assert server.peer_chain == ()
    for sender, receiver in ((client, server), (server, client)):
        sender.send(b"one")
        sender.send(b"two")
        received = [plain for datagram in sender.outgoing() for plain in receiver.feed(datagram)]
        assert received == [b"one", b"two"]


def test_certificates_prove_both_ends(pki: Pki) -> None:
    issued = pki.ours.server("localhost")
    credentials = ServerCredentials(keys, issued.certificate, issued.key, lambda: [pki.ours.root])
    pair = Pair(pki.device("camera-3"), credentials)
    server = pair.handshake()
    assert server.notes.psk_identity is None
    assert len(server.peer_chain) == 2
    assert server.peer_chain[0].subject.rfc4514_string() == "CN=camera-3,O=warehouse"
    assert len(pair.client.peer_chain) == 2


def test_a_client_with_the_small_tag_only_is_served() -> None:
    context = client_context(PSK)
    context.set_cipher_list(b"PSK-AES128-CCM8:@SECLEVEL=0")
    pair = Pair(PSK, ServerCredentials(keys))
    pair.client = DtlsConnection.client(context, "localhost")
    pair.handshake()
    assert pair.client.cipher == "PSK-AES128-CCM8"


def test_the_default_suites_of_openssl_end_in_a_documented_one() -> None:
    """Golioth's Linux SDK restricts nothing and offers ECDHE-PSK and DHE-PSK as well."""
    context = client_context(PSK)
    context.set_cipher_list(b"DEFAULT:PSK")
    pair = Pair(PSK, ServerCredentials(keys))
    pair.client = DtlsConnection.client(context, "localhost")
    pair.handshake()
    assert pair.client.cipher == "PSK-AES128-GCM-SHA256"


def test_a_cookie_is_good_for_its_own_address_only() -> None:
    pair = Pair(PSK, ServerCredentials(keys))
    pair.client.start()
    (hello,) = pair.client.outgoing()
    _, (request,) = answer_client_hello(pair._context, hello, HERE)
    pair.client.feed(request)
    (hello,) = pair.client.outgoing()

    connection, replies = answer_client_hello(pair._context, hello, "203.0.113.9:1")

    assert connection is None
    assert len(replies) == 1
    assert len(replies[0]) < len(hello)  # no amplification


def test_a_lost_flight_is_sent_again_when_its_timer_is_due() -> None:
    pair = Pair(PSK, ServerCredentials(keys))
    server = pair.begin()
    server.start()
    lost = server.outgoing()
    delay = server.timeout()
    assert delay is not None
    server.handle_timeout()
    assert server.outgoing() == []  # not due yet

    time.sleep(delay)  # OpenSSL reads the real clock
    server.handle_timeout()

    again = server.outgoing()
    assert len(again) == len(lost) > 0
    for datagram in again:
        pair.client.feed(datagram)
    assert pair.client.outgoing() != []


def test_every_datagram_of_the_handshake_fits_the_mtu(pki: Pki) -> None:
    issued = pki.ours.server(*(f"a-rather-long-host-name-{n}.example" for n in range(60)))
    credentials = ServerCredentials(keys, issued.certificate, issued.key, lambda: [pki.ours.root])
    pair = Pair(pki.device(), credentials)
    server = pair.begin()
    server.start()
    flight = server.outgoing()
    assert len(flight) > 1
    assert max(map(len, flight)) <= records.MTU


def test_closing_is_told_to_the_peer() -> None:
    client, server = established()
    client.close()
    (notify,) = client.outgoing()
    with pytest.raises(LinkLost, match="closed"):
        server.feed(notify)


def test_an_unknown_identity_fails_on_both_ends() -> None:
    pair = Pair(PskCredential("nobody@warehouse", PSK.key), ServerCredentials(keys))
    server = pair.begin()
    server.start()
    for datagram in server.outgoing():
        pair.client.feed(datagram)
    (flight,) = pair.client.outgoing()
    with pytest.raises(LinkError, match="psk identity not found"):
        server.feed(flight)
    (alert,) = server.outgoing()
    with pytest.raises(HandshakeRefused, match="PSK identity"):
        pair.client.feed(alert)


def test_a_lookup_that_raises_is_logged_and_refuses(caplog: pytest.LogCaptureFixture) -> None:
    def broken(identity: str) -> bytes | None:
        raise OSError("disk on fire")

    pair = Pair(PSK, ServerCredentials(broken))
    with caplog.at_level(logging.ERROR), pytest.raises(LinkError):
        pair.handshake()
    assert "disk on fire" in caplog.text


@pytest.fixture(scope="module")
def session() -> tuple[DtlsConnection, DtlsConnection]:
    return established()


@given(junk=st.lists(st.binary(max_size=80), max_size=8))
def test_junk_does_not_disturb_an_established_session(
    session: tuple[DtlsConnection, DtlsConnection], junk: list[bytes]
) -> None:
    client, server = session
    for datagram in junk:
        assert client.feed(datagram) == server.feed(datagram) == []
    client.send(b"still here")
    assert [server.feed(datagram) for datagram in client.outgoing()] == [[b"still here"]]


@pytest.mark.parametrize(
    "suite",
    ["PSK-AES128-GCM-SHA256", "PSK-AES128-CCM", "PSK-AES128-CBC-SHA256", "PSK-AES128-CCM8"],
)
def test_forged_records_do_not_end_a_session(suite: str) -> None:
    """OpenSSL before 4.0.3 ended it at a short one, and still does for CBC (openssl#24972)."""
    context = client_context(PSK)
    context.set_cipher_list(f"{suite}:@SECLEVEL=0".encode())
    pair = Pair(PSK, ServerCredentials(keys))
    pair.client = DtlsConnection.client(context, "localhost")
    server = pair.handshake()
    assert pair.client.cipher == suite

    for length in range(1, 100):
        assert server.feed(record(bytes(length), content=23, epoch=1, number=1000)) == []

    pair.client.send(b"still here")
    assert [server.feed(datagram) for datagram in pair.client.outgoing()] == [[b"still here"]]


def test_a_replayed_record_is_dropped() -> None:
    client, server = established()
    client.send(b"once")
    (datagram,) = client.outgoing()
    assert server.feed(datagram) == [b"once"]
    assert server.feed(datagram) == []


def test_bindings_without_psk_are_reported_at_import() -> None:
    with pytest.raises(ImportError, match=r"Cryptography_HAS_PSK, SSL_CTX_set_psk_client_callback"):
        bindings.require_symbols(SimpleNamespace(DTLSv1_listen=None))
    bindings.require_symbols(lib)


@given(bodies=st.lists(st.binary(max_size=1400)))
def test_datagrams_hold_whole_records_up_to_the_mtu(bodies: list[bytes]) -> None:
    stream = b"".join(map(record, bodies))
    datagrams = records.split_datagrams(stream)
    assert b"".join(datagrams) == stream
    for datagram in datagrams:
        length = int.from_bytes(datagram[11:13], "big") + records.HEADER_LENGTH
        assert len(datagram) <= records.MTU or len(datagram) == length


@given(datagram=st.binary(max_size=200))
def test_only_a_client_hello_has_a_random(datagram: bytes) -> None:
    found = records.client_hello_random(datagram)
    assert found is None or (datagram[0] == 22 and datagram[13] == 1 and len(found) == 32)


def test_the_random_of_a_handshake_stays_the_same_with_its_cookie() -> None:
    client = DtlsConnection.client(client_context(PSK), "localhost")
    client.start()
    (first,) = client.outgoing()
    _, (request,) = answer_client_hello(
        server_context(ServerCredentials(keys), SECRET), first, HERE
    )
    client.feed(request)
    (second,) = client.outgoing()
    assert records.client_hello_random(first) == records.client_hello_random(second) is not None
    assert records.client_hello_random(request) is None
