"""One DTLS 1.2 connection as a sans-IO object."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from cryptography import x509
from OpenSSL import SSL

from protocol.dtls import bindings, failures, records
from protocol.dtls.notes import Notes, notes_of
from protocol.errors import LinkError, LinkLost, PeerClosed
from protocol.x509_reading import UNREADABLE, looked_through

_LARGEST_RECORD = 16384


class DtlsConnection:
    """Feed it one datagram at a time; after every call send what :meth:`outgoing` gives.

    While a handshake is under way, :meth:`timeout` says when to call :meth:`handle_timeout`
    (retransmission, RFC 6347, 4.2.4). Every method that fails raises a LinkError or a subclass of
    it and leaves the alert for the peer in :meth:`outgoing`; the connection is then of no use.
    """

    def __init__(self, connection: SSL.Connection, *, is_client: bool) -> None:
        self._connection = connection
        self._is_client = is_client
        self.established = False

    @classmethod
    def client(
        cls, context: SSL.Context, host: str, judged_at: datetime | None = None
    ) -> DtlsConnection:
        """A client whose server must be ``host`` if it shows a certificate; sends SNI for names.

        Certificates must be valid at ``judged_at``, or now.
        """
        connection = SSL.Connection(context, None)
        connection.set_ciphertext_mtu(records.MTU)
        bindings.require_host(connection, host)
        if judged_at is not None:
            bindings.judge_at(connection, int(judged_at.timestamp()))
        connection.set_connect_state()
        return cls(connection, is_client=True)

    @property
    def notes(self) -> Notes:
        """What the callbacks learned: the PSK identity on a server."""
        return notes_of(self._connection)

    @property
    def peer_chain(self) -> tuple[x509.Certificate, ...]:
        """The peer's verified certificate and what vouches for it; empty with PSK.

        Raises LinkError when one of them is fine by OpenSSL and unreadable here.
        """
        try:
            chain = self._connection.get_verified_chain(as_cryptography=True) or ()
            return tuple(looked_through(certificate) for certificate in chain)
        except UNREADABLE as error:
            raise LinkError(f"the peer's certificate can't be read ({error})") from error

    @property
    def cipher(self) -> str | None:
        """OpenSSL's name of the negotiated suite."""
        return self._connection.get_cipher_name()

    def start(self) -> None:
        """Begin the handshake, or go on with one whose ClientHello is already buffered."""
        self._guarded(self._handshake)

    def feed(self, datagram: bytes) -> list[bytes]:
        """Take in one datagram and return the plaintexts of its records.

        Records that don't belong here or fail the MAC are dropped silently (RFC 6347, 4.1.2.7).
        """
        plaintexts: list[bytes] = []
        if datagram:
            self._connection.bio_write(datagram)
            self._guarded(lambda: self._advance(datagram, plaintexts))
        return plaintexts

    def send(self, plaintext: bytes) -> None:
        """Encrypt one record of at most 16,384 bytes."""
        self._guarded(lambda: self._connection.send(plaintext))

    def outgoing(self) -> list[bytes]:
        """The datagrams to send now, each up to the MTU unless a single record is larger."""
        stream = b""
        while size := bindings.waiting_output(self._connection):
            stream += self._connection.bio_read(size)
        return records.split_datagrams(stream)

    def timeout(self) -> float | None:
        """Seconds until :meth:`handle_timeout` is due, None when no timer runs."""
        return self._connection.DTLSv1_get_timeout()

    def handle_timeout(self) -> None:
        """Send the last flight of the handshake again."""
        self._guarded(self._connection.DTLSv1_handle_timeout)

    def close(self) -> None:
        """Put close_notify into :meth:`outgoing`; a handshake under way is just abandoned."""
        if not self.established:
            return
        self.established = False
        bindings.clear_errors()
        self._connection.shutdown()

    def _handshake(self) -> None:
        self._connection.do_handshake()
        self.established = True

    def _advance(self, datagram: bytes, plaintexts: list[bytes]) -> None:
        # Nearly every datagram is one record. To be told by an exception that there is no second
        # one would cost more than to decrypt the first.
        only = self.established and records.is_one_record(datagram)
        if not self.established:
            self._handshake()
        while True:
            plaintexts.append(self._connection.recv(_LARGEST_RECORD))
            if only and not bindings.has_input(self._connection):
                return

    def _guarded(self, step: Callable[[], object]) -> None:
        bindings.clear_errors()
        try:
            step()
        except SSL.WantReadError:
            return
        except SSL.ZeroReturnError as error:
            raise PeerClosed("the peer closed the connection") from error
        except SSL.Error as error:
            raise self._failure(error) from error

    def _failure(self, error: SSL.Error) -> LinkError:
        alert = self.notes.fatal_alert
        if self.established:
            cause = str(error) if alert is None else failures.alert_name(alert)
            return LinkLost(f"the DTLS connection broke: {cause}")
        if alert is not None and self._is_client:
            return failures.refused(alert)
        result = bindings.verify_result(self._connection)
        if result and self._is_client:
            return failures.untrusted(result, self.notes.not_before)
        if result:
            reason = bindings.verify_result_text(result)
            return LinkError(f"the client's certificate is not accepted ({reason})")
        return LinkError(f"the DTLS handshake failed: {_reasons(error)}")


def _reasons(error: SSL.Error) -> str:
    """The readable part of an OpenSSL error queue."""
    queue = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return ", ".join(entry[-1] for entry in queue) or str(error)
