"""Certificates that OpenSSL takes and Python's library can't read."""

from __future__ import annotations

import pytest
from cryptography import x509

from protocol.credentials import ServerCredentials, load_certificates
from protocol.dtls.connection import DtlsConnection
from protocol.dtls.contexts import client_context
from protocol.errors import CredentialError, PeerClosed
from protocol.server import Limits, Server
from protocol.transport import build_stack
from protocol.x509_reading import whole_certificate, whole_request
from tests.fuzz.memory_link import Datagrams
from tests.support.coap import Pki

HERE = ("192.0.2.7", 40_000)


def test_a_certificate_is_read_whole_or_refused_with_one_error(pki: Pki) -> None:
    good = pki.ours.device("camera-3").certificate.read_bytes()
    assert whole_certificate(x509.load_pem_x509_certificate, good).version is x509.Version.v3
    odd = pki.ours.odd_device("camera-3").certificate.read_bytes()
    for content in (odd, b"", good[:200]):
        with pytest.raises(ValueError):
            whole_certificate(x509.load_pem_x509_certificate, content)
    with pytest.raises(ValueError):
        whole_request(b"no request")


def test_a_file_with_such_a_certificate_is_named(pki: Pki) -> None:
    odd = pki.ours.odd_device("camera-3")
    with pytest.raises(CredentialError, match=odd.certificate.name):
        load_certificates(odd.certificate)


async def test_a_peer_that_shows_one_has_no_session_and_takes_no_place(pki: Pki) -> None:
    issued = pki.ours.server("localhost")
    credentials = ServerCredentials(
        _no_key, issued.certificate, issued.key, lambda: [pki.ours.root]
    )
    server, datagrams = Server(credentials, build_stack(None, 4), Limits()), Datagrams()
    server.connection_made(datagrams)
    context, odd = client_context(pki.device()), pki.ours.odd_device("camera-2")
    context.use_certificate_file(str(odd.certificate))
    context.use_privatekey_file(str(odd.key))
    client = DtlsConnection.client(context, "localhost")
    client.start()
    with pytest.raises(PeerClosed):
        _talk(client, server, datagrams)
    assert client.established
    assert len(server) == 0
    assert list(server) == []
    assert server._half_open == {}


def _talk(client: DtlsConnection, server: Server, datagrams: Datagrams) -> None:
    for _ in range(10):
        for datagram in client.outgoing():
            server.datagram_received(datagram, HERE)
        for datagram, _ in datagrams.sent:
            client.feed(datagram)
        datagrams.sent.clear()


def _no_key(_identity: str) -> bytes | None:
    return None
