"""A small CoAP site, servers and links on loopback for tests."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from aiocoap import CHANGED, Message, resource

from protocol.client import ClientLink, connect
from protocol.credentials import (
    CertificateCredential,
    Credential,
    PskCredential,
    ServerCredentials,
)
from protocol.errors import LinkError
from protocol.server import DtlsRemote, Limits, Server, serve
from tests.support.pki import Authority

PSK = PskCredential("camera-1@warehouse", b"not-a-secret-worth-keeping")


@dataclass(frozen=True)
class Pki:
    """Our authority and one that nobody here trusts."""

    ours: Authority
    foreign: Authority

    def device(self, certificate_id: str = "camera-2") -> CertificateCredential:
        issued = self.ours.device(certificate_id)
        return CertificateCredential(issued.certificate, issued.key, self.ours.bundle)


class Whoami(resource.Resource):  # type: ignore[misc]
    """Answers with the kind and name of the peer."""

    async def render_get(self, request: Message) -> Message:
        peer = request.remote.peer
        name = peer.identity or peer.certificate.subject.rfc4514_string()
        return Message(payload=f"{peer.kind} {name}".encode())


class Blocks(resource.Resource):  # type: ignore[misc]
    """A body of blocks, each served by its number alone, whatever came before."""

    BODY = bytes(number % 251 for number in range(100_000))

    def __init__(self) -> None:
        super().__init__()
        self.served = 0

    async def needs_blockwise_assembly(self, request: Message) -> bool:
        return False

    async def render_get(self, request: Message) -> Message:
        self.served += 1
        number = request.opt.block2.block_number if request.opt.block2 else 0
        chunk = self.BODY[number * 1024 : (number + 1) * 1024]
        more = (number + 1) * 1024 < len(self.BODY)
        return Message(payload=chunk, block2=(number, more, 6))


class Counter(resource.ObservableResource):  # type: ignore[misc]
    """Counts POSTs and tells its observers."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    async def render_get(self, request: Message) -> Message:
        return Message(payload=str(self.count).encode())

    async def render_post(self, request: Message) -> Message:
        self.count += 1
        self.updated_state()
        return Message(code=CHANGED, payload=str(self.count).encode())


class ExampleSite(resource.Site):  # type: ignore[misc]
    """What the test server serves: ``who``, ``blocks``, ``counter``."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = Blocks()
        self.counter = Counter()
        self.add_resource(["who"], Whoami())
        self.add_resource(["blocks"], self.blocks)
        self.add_resource(["counter"], self.counter)


class Net:
    """Opens servers and links, and closes them after the test."""

    def __init__(self, stack: AsyncExitStack, pki: Pki) -> None:
        self._stack = stack
        self._pki = pki
        self.site = ExampleSite()

    def credentials(self, **changes: object) -> ServerCredentials:
        issued = self._pki.ours.server("localhost", "127.0.0.1")
        settings: dict[str, object] = {
            "psk_lookup": {PSK.identity: PSK.key}.get,
            "certificate": issued.certificate,
            "key": issued.key,
            "client_roots": lambda: [self._pki.ours.root],
        }
        return ServerCredentials(**(settings | changes))  # type: ignore[arg-type]

    async def serve(
        self,
        *,
        port: int = 0,
        limits: Limits | None = None,
        on_established: Callable[[DtlsRemote], None] = lambda _session: None,
        on_ended: Callable[[DtlsRemote, LinkError], None] = lambda _session, _error: None,
        **changes: object,
    ) -> Server:
        server = await serve(
            self.site,
            host="127.0.0.1",
            port=port,
            credentials=self.credentials(**changes),
            limits=limits,
            on_established=on_established,
            on_ended=on_ended,
        )
        self._stack.push_async_callback(server.close)
        return server

    async def connect(
        self,
        address: tuple[str, int],
        credential: Credential = PSK,
        *,
        handshake_timeout: float = 20.0,
        in_flight: int = 32,
    ) -> ClientLink:
        link = await connect(
            *address, credential, handshake_timeout=handshake_timeout, in_flight=in_flight
        )
        self._stack.push_async_callback(link.close)
        return link
