"""One device's messages to the local cloud: every resource, and what belongs to another project."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from aiocoap import DELETE, GET, NON, POST, Message
from aiocoap.optiontypes import BlockOption
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from localcloud.calls import Calls
from localcloud.gateway.certificate_requests import OwnAuthority
from localcloud.gateway.sessions import Sessions
from localcloud.gateway.site import Gateway
from protocol.block_codec import decode_request
from protocol.device_settings import SettingsStatus, encode_settings_status
from protocol.errors import LinkLost
from protocol.formats import ContentFormat
from protocol.report import OtaReport, encode_report
from protocol.rpc import RpcResult, encode_result
from protocol.transport import CoapStack, build_stack
from protocol.values import LogLevel, LogLine, encode_log, encode_value
from tests.fuzz.memory_link import OpenRemote, check_answers, no_error_logged, quiet, settled
from tests.fuzz.target import Attempt, joined, pieces, require
from tests.fuzz.tenants import Tenants, tenants

CBOR, JSON = ContentFormat.CBOR, ContentFormat.JSON
_MOST_MESSAGES = 8


class _Cloud:
    """The gateway over a store, and the session of one device."""

    def __init__(self, cloud: Tenants) -> None:
        self._tenants = cloud
        self._calls = Calls()
        self._sent: list[bytes] = []
        self.sessions = Sessions(cloud.store, cloud.changes)
        self._authority = OwnAuthority(cloud.folder, cloud.store, 30)

    async def take(self, messages: list[bytes]) -> None:
        """Take in the messages of one session."""
        gateway = Gateway(
            self._tenants.store,
            self._tenants.changes,
            self._calls,
            self.sessions,
            rate_limit=None,
            response_delay=0,
            authority=self._authority,
        )
        stack, remote = build_stack(gateway, 4), OpenRemote(self._tenants.mine.identity)
        self.sessions.established(remote)
        for message in messages:
            self._take_in(gateway, stack, remote, message)
            await settled()
        self._sent = remote.sent
        self.sessions.ended(remote, LinkLost("the case is over"))
        stack.ended(remote, LinkLost("the case is over"))
        await settled(3)
        await stack.context.shutdown()

    def check_answers(self, asked: bytes) -> None:
        """No internal error, and nothing of another project but what was asked with."""
        marker = self._tenants.theirs.marker.encode()
        for answer in check_answers(self._sent):
            require(marker not in answer.payload or marker in asked, "another project's data")

    def _take_in(
        self, gateway: Gateway, stack: CoapStack, remote: OpenRemote, message: bytes
    ) -> None:
        """As :class:`protocol.server.Server` does."""
        request = decode_request(message)
        if request is None or gateway.block(remote, request) is None:
            stack.arrived(remote, message)


@contextmanager
def opened() -> Iterator[Attempt]:
    """Ready to try cases: messages."""
    quietly = quiet("protocol.transport.coap", "localcloud")
    with quietly, tenants() as cloud, asyncio.Runner() as runner:
        gateway = _Cloud(cloud)

        async def attempt(data: bytes) -> None:
            with no_error_logged(), cloud.undone():
                await gateway.take(list(pieces(data))[:_MOST_MESSAGES])
            gateway.check_answers(data)

        yield lambda data: runner.run(attempt(data))


def seeds() -> Iterator[bytes]:
    """A request to every resource, a body in blocks, and a path far too deep."""
    state = encode_value({"edgeferry": {"state": "idle"}}, CBOR)
    for code, path, content_format, payload in (
        (DELETE, "", None, b""),
        (GET, ".u/desired", None, b""),
        (GET, ".u/c/only-elsewhere-knows@1", None, b""),
        (GET, ".u/c/only-warehouse-knows@1", None, b""),
        (POST, ".u/c/only-warehouse-knows", CBOR, encode_report(OtaReport("x", version="1"))),
        (POST, ".s/logs", CBOR, encode_log(LogLine(LogLevel.INFO, "m", "hello"))),
        (POST, "logs", JSON, b'{"level":"info","module":"m","msg":"hello","more":[1]}'),
        (POST, ".s/edgeferry/metrics", JSON, b'{"format":1,"id":"a"}'),
        (POST, ".s/a/b", CBOR, state),
        (POST, ".d", CBOR, state),
        (POST, ".d/a/b", JSON, b"7"),
        (DELETE, ".d/a", None, b""),
        (GET, ".d/a", None, b""),
        (GET, ".c", None, b""),
        (POST, ".c/status", CBOR, encode_settings_status(SettingsStatus(3))),
        (GET, ".rpc", None, b""),
        (POST, ".rpc/status", CBOR, encode_result(RpcResult("call/1", detail={"a": 1}))),
        (GET, "hello", None, b""),
        (POST, "echo", None, b"hello"),
        (POST, "v1/csr", None, _signing_request()),
    ):
        segments = tuple(path.split("/")) if path else ()
        asked = Message(
            code=code, uri_path=segments, payload=payload, content_format=content_format
        )
        yield joined(_encoded(asked, 1))
        if code is GET:
            observed = asked.copy(observe=0, accept=int(CBOR))
            yield joined(_encoded(observed, 1), _encoded(asked.copy(observe=1), 2))
    blocks = [Message(code=POST, uri_path=(".d", "a"), content_format=int(JSON)) for _ in range(2)]
    for number, (block, payload) in enumerate(zip(blocks, (b'"' + b"x" * 15, b'"'), strict=True)):
        block.payload, block.opt.block1 = payload, BlockOption.BlockwiseTuple(number, not number, 0)
    yield joined(*(_encoded(block, 7 + number) for number, block in enumerate(blocks)))
    yield joined(bytes.fromhex("50020007") + b"\xb2.s" + b"\x01a" * 1200 + b"\x11\x32\xff7")


def _encoded(message: Message, number: int) -> bytes:
    encoded: bytes = message.copy(mtype=NON, mid=number, token=b"12345678").encode()
    return encoded


def _signing_request() -> bytes:
    names = (
        (NameOID.ORGANIZATION_NAME, "warehouse"),
        (NameOID.COMMON_NAME, "only-warehouse-knows"),
    )
    subject = x509.Name([x509.NameAttribute(oid, name) for oid, name in names])
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
