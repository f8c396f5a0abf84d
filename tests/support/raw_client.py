"""A DTLS client without CoAP: the test writes the bytes and chooses the local port."""

from __future__ import annotations

import asyncio
import socket

from protocol.credentials import Credential
from protocol.dtls.connection import DtlsConnection
from protocol.dtls.contexts import client_context
from tests.support.waiting import within


class RawClient:
    """One UDP socket, one DTLS connection, plaintexts in and out. Nothing is retransmitted."""

    def __init__(self, server: tuple[str, int], credential: Credential, port: int = 0) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(("127.0.0.1", port))
        self._socket.connect(server)
        self._dtls = DtlsConnection.client(client_context(credential), server[0])
        self._received: list[bytes] = []

    @property
    def port(self) -> int:
        port: int = self._socket.getsockname()[1]
        return port

    async def handshake(self) -> None:
        self._dtls.start()
        await self._flush()
        while not self._dtls.established:
            await self._read()

    async def send(self, plaintext: bytes) -> None:
        self._dtls.send(plaintext)
        await self._flush()

    async def receive(self) -> bytes:
        while not self._received:
            await self._read()
        return self._received.pop(0)

    def abort(self) -> None:
        """Close the socket without a word, as a power cut would."""
        self._socket.close()

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        datagram = await within(loop.sock_recv(self._socket, 2048))
        self._received += self._dtls.feed(datagram)
        await self._flush()

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        for datagram in self._dtls.outgoing():
            await loop.sock_sendall(self._socket, datagram)
