"""One request of one device, and the means to answer it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from aiocoap import Code, Message
from aiocoap.pipe import Pipe
from cryptography import x509

from localcloud.calls import Calls
from localcloud.changes import Changes, Topic
from localcloud.gateway.answers import (
    BytesBody,
    ObserveClock,
    Refusal,
    accepted_format,
    content,
)
from localcloud.gateway.sessions import Session
from localcloud.storage.store import Store
from protocol.formats import ContentFormat

WRITE = frozenset({Code.POST, Code.PUT})

T = TypeVar("T")
Encode = Callable[[ContentFormat], bytes]
Decode = Callable[[bytes, int], T]


class DeviceAuthority(Protocol):
    """Who signs devices' certificates."""

    def sign(self, request: x509.CertificateSigningRequest, project_id: str) -> x509.Certificate:
        """A certificate for the key of a request whose subject was checked."""


@dataclass(frozen=True)
class Exchange:
    """What a service gets to see. ``path`` has no empty segments."""

    request: Message
    path: tuple[str, ...]
    session: Session
    store: Store
    changes: Changes
    calls: Calls
    clock: ObserveClock
    pipe: Pipe
    authority: DeviceAuthority | None = None

    @property
    def code(self) -> Code:
        """The method."""
        return self.request.code

    @property
    def observes(self) -> bool:
        """Whether the request asks to be told of changes."""
        return self.code == Code.GET and bool(self.request.opt.observe == 0)

    def allow(self, *codes: Code) -> None:
        """Raise Refusal with 4.05 for any other method."""
        if self.code not in codes:
            path = "/".join(self.path)
            raise Refusal(Code.METHOD_NOT_ALLOWED, f"{self.code} is not possible on /{path}")

    def answer(self, message: Message) -> None:
        """Send the one answer."""
        if self.request.opt.block1 is not None:
            message.opt.block1 = self.request.opt.block1
        self.pipe.add_response(message, is_last=True)

    def notify(self, message: Message) -> None:
        """Send an answer that more may follow."""
        message.opt.observe = self.clock.next()
        self.pipe.add_response(message, is_last=False)

    def document(self, encode: Encode) -> Message:
        """2.05 with a document in the form that the request accepts. Raises Refusal for others."""
        content_format = accepted_format(self.request)
        return content(self.request, BytesBody(encode(content_format)), content_format)

    async def observe(self, topic: Topic, encode: Encode, known: Encode | None = None) -> None:
        """Send a document now and whenever a change makes another one of it, for ever.

        What the device knows already, as ``known`` encodes it, is not sent.
        """
        content_format = accepted_format(self.request)
        sent = None if known is None else known(content_format)
        with self.changes.watch(topic, self.session.device_id) as changed:
            while True:
                current = encode(content_format)
                if current != sent:
                    self.notify(content(self.request, BytesBody(current), content_format))
                    sent = current
                await changed.wait()
                changed.clear()

    def decoded(self, decode: Decode[T], default: ContentFormat) -> T:
        """The request's body; ``default`` is its form where it does not say. CodecError from it."""
        given = self.request.opt.content_format
        return decode(self.request.payload, int(default if given is None else given))
