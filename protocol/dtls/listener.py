"""The server's first step: the stateless cookie exchange (RFC 6347, 4.2.1)."""

from __future__ import annotations

from OpenSSL import SSL

from protocol.dtls import bindings, records
from protocol.dtls.connection import DtlsConnection
from protocol.dtls.notes import Notes


def answer_client_hello(
    context: SSL.Context, datagram: bytes, address: str
) -> tuple[DtlsConnection | None, list[bytes]]:
    """Answer a ClientHello without keeping anything of a client that has not proved its address.

    Returns the connection, ready to be started, when the ClientHello carries the right cookie;
    otherwise None and the HelloVerifyRequest to send, or nothing for bytes that are no ClientHello.
    """
    connection = SSL.Connection(context, None)
    connection.set_app_data(Notes(cookie_subject=address.encode()))
    connection.set_ciphertext_mtu(records.MTU)
    connection.set_accept_state()
    bindings.clear_errors()
    connection.bio_write(datagram)
    candidate = DtlsConnection(connection, is_client=False)
    try:
        connection.DTLSv1_listen()
    except SSL.WantReadError:
        return None, candidate.outgoing()
    except SSL.Error:
        return None, []
    return candidate, []
