"""A small cloud on real DTLS, a UDP relay that can go deaf, and a device between them."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from aiocoap import CHANGED, CONTENT, NOT_FOUND, Code, Message, resource
from aiocoap.interfaces import Resource
from aiocoap.optiontypes import BlockOption
from aiocoap.pipe import Pipe

from protocol.credentials import Credential, PskCredential, ServerCredentials
from protocol.errors import ProtocolError
from protocol.formats import ContentFormat
from protocol.manifest import Manifest, encode_manifest
from protocol.server import Server, serve
from protocol.session import DeviceSession, SessionSettings
from tests.support.waiting import within

IDENTITY = "device@project"
CREDENTIAL = PskCredential(IDENTITY, b"secret")
# Short waits where nothing is lost by them; liveness as in the field unless a test shortens it.
SETTINGS = SessionSettings(
    requests_per_second=None,
    backoff_initial=0.02,
    backoff_maximum=0.1,
    observe_retry_initial=0.02,
    request_timeout=10.0,
)


class CloudSite(resource.ObservableResource):  # type: ignore[misc]
    """Answers every path; artifacts and the manifest are served block-wise and statelessly."""

    def __init__(self) -> None:
        super().__init__()
        self.body = b"\xa0"
        self.etag: bytes | None = None
        self.artifacts: dict[str, bytes] = {}
        self.scripted: dict[str, deque[Message | Callable[[], Message]]] = defaultdict(deque)
        self.requests: list[Message] = []
        self.arrivals: list[float] = []
        self.observable = True
        # While it is not set, requests are acknowledged but not answered.
        self.answering = asyncio.Event()
        self.answering.set()

    async def needs_blockwise_assembly(self, request: Message) -> bool:
        return False

    async def render_to_pipe(self, request: Pipe) -> None:
        if self.observable:
            await super().render_to_pipe(request)
        else:
            await Resource._render_to_pipe(self, request)

    async def render(self, request: Message) -> Message:
        self.requests.append(request)
        self.arrivals.append(asyncio.get_running_loop().time())
        await self.answering.wait()
        path = "/".join(request.opt.uri_path)
        if self.scripted[path]:
            scripted = self.scripted[path].popleft()
            return scripted() if callable(scripted) else scripted
        if path == ".u/desired":
            return self._slice(request, self.body, ContentFormat.CBOR)
        if path in self.artifacts:
            return self._slice(request, self.artifacts[path], None)
        return Message(code=NOT_FOUND if request.code is Code.GET else CHANGED)

    def deploy(self, manifest: Manifest, *, notify: bool = True) -> None:
        self.body = encode_manifest(manifest, ContentFormat.CBOR)
        if notify:
            self.updated_state()

    def forget_observers(self) -> None:
        self._observations: set[Any] = set()

    async def add_observation(self, request: Message, serverobservation: Any) -> None:
        observations = self._observations
        observations.add(serverobservation)
        serverobservation.accept(lambda: observations.discard(serverobservation))

    def paths(self, code: Code = Code.GET) -> list[str]:
        return ["/".join(r.opt.uri_path) for r in self.requests if r.code is code]

    def observations(self) -> int:
        """Registrations seen; a notification renders the request of its registration again."""
        return len({(r.remote, r.token) for r in self.requests if r.opt.observe == 0})

    def _slice(self, request: Message, body: bytes, content_format: int | None) -> Message:
        number, _, exponent = request.opt.block2 or (0, False, 6)
        size = 16 << exponent
        message = Message(code=CONTENT, payload=body[number * size : (number + 1) * size])
        if content_format is not None:
            message.opt.content_format = content_format
        if self.etag is not None:
            message.opt.etag = self.etag
        if len(body) > size or number > 0:
            more = len(body) > (number + 1) * size
            message.opt.block2 = BlockOption.BlockwiseTuple(number, more, exponent)
            message.opt.size2 = len(body)
        return message


class _RelayLeg(asyncio.DatagramProtocol):
    def __init__(self, forward: Callable[[bytes], None]) -> None:
        self._forward = forward

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._forward(data)


@dataclass(eq=False)
class Relay(asyncio.DatagramProtocol):
    """Forwards datagrams to ``target``, one socket per client, and may go deaf both ways."""

    target: tuple[str, int]
    deaf: bool = False
    legs: dict[tuple[str, int], asyncio.DatagramTransport] = field(default_factory=dict)
    bytes_up: int = 0
    bytes_down: int = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    @property
    def port(self) -> int:
        return int(self._transport.get_extra_info("sockname")[1])

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self.deaf:
            return
        self.bytes_up += len(data)
        if addr in self.legs:
            self.legs[addr].sendto(data, None)
        else:
            self._opening = asyncio.ensure_future(self._open_leg(addr, data))

    async def _open_leg(self, addr: tuple[str, int], first: bytes) -> None:
        def back(data: bytes) -> None:
            if not self.deaf:
                self.bytes_down += len(data)
                self._transport.sendto(data, addr)

        leg, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _RelayLeg(back), remote_addr=self.target
        )
        self.legs[addr] = leg
        leg.sendto(first, None)

    def close(self) -> None:
        for transport in (self._transport, *self.legs.values()):
            transport.close()


@dataclass(eq=False)
class Cloud:
    """The site and the server it runs on; keys may be changed while it runs."""

    site: CloudSite = field(default_factory=CloudSite)
    keys: dict[str, bytes] = field(default_factory=lambda: {IDENTITY: b"secret"})
    servers: list[Server] = field(default_factory=list)

    async def start(self, port: int = 0) -> int:
        credentials = ServerCredentials(psk_lookup=self.keys.get)
        server = await serve(self.site, host="127.0.0.1", port=port, credentials=credentials)
        self.servers.append(server)
        return server.address[1]

    async def stop(self) -> None:
        await self.servers.pop().close()

    @property
    def port(self) -> int:
        return self.servers[-1].address[1]

    @property
    def remotes(self) -> list[Any]:
        """The DTLS sessions that sent requests, in order of their first one."""
        return list(dict.fromkeys(request.remote for request in self.site.requests))


class Device:
    """A running session and what it told its owner."""

    def __init__(self, port: int, credential: Credential, settings: SessionSettings) -> None:
        self.manifests: asyncio.Queue[Manifest] = asyncio.Queue()
        self.connections: asyncio.Queue[tuple[bool, ProtocolError | None]] = asyncio.Queue()
        self.session = DeviceSession(
            "127.0.0.1",
            port,
            lambda: credential,
            settings=settings,
            on_manifest=self.manifests.put_nowait,
            on_connection=lambda up, error: self.connections.put_nowait((up, error)),
        )
        self.task = asyncio.create_task(self.session.run())

    async def manifest(self) -> Manifest:
        return await within(self.manifests.get())

    async def connection(self) -> tuple[bool, ProtocolError | None]:
        return await within(self.connections.get())

    async def connected(self) -> None:
        await within(self.session.wait_connected())

    async def until(self, manifest: Manifest) -> None:
        """Wait for a manifest, skipping repeats of others."""
        while await self.manifest() != manifest:
            pass

    async def stop(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


@pytest.fixture
async def cloud() -> AsyncIterator[Cloud]:
    cloud = Cloud()
    await cloud.start()
    yield cloud
    while cloud.servers:
        await cloud.stop()


@pytest.fixture
async def relay(cloud: Cloud) -> AsyncIterator[Relay]:
    _, relay = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Relay(("127.0.0.1", cloud.port)), local_addr=("127.0.0.1", 0)
    )
    yield relay
    relay.close()


@pytest.fixture
async def start_device(cloud: Cloud) -> AsyncIterator[Callable[..., Device]]:
    devices: list[Device] = []

    def start(
        port: int | None = None, credential: Credential = CREDENTIAL, **changes: Any
    ) -> Device:
        devices.append(Device(port or cloud.port, credential, replace(SETTINGS, **changes)))
        return devices[-1]

    yield start
    for device in devices:
        await device.stop()
