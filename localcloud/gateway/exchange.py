"""One request of one device, and the means to answer it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from aiocoap import Code, Message
from aiocoap.pipe import Pipe
from cryptography import x509

from localcloud.calls import Calls
from localcloud.changes import Changes, Topic
from localcloud.gateway.answers import ObserveClock, Refusal
from localcloud.gateway.sessions import Session
from localcloud.storage.store import Store

WRITE = frozenset({Code.POST, Code.PUT})


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

    async def observe(self, topic: Topic, render: Callable[[], Message]) -> None:
        """Send what ``render`` makes now and after each change, until the device loses interest."""
        with self.changes.watch(topic, self.session.device_id) as changed:
            while True:
                self.notify(render())
                await changed.wait()
                changed.clear()
