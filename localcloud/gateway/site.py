"""From a request to the service that answers it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from aiocoap import Code, Message, interfaces
from aiocoap.blockwise import Block1Spool, IncompleteException
from aiocoap.pipe import Pipe

from localcloud.calls import Calls
from localcloud.changes import Changes
from localcloud.errors import CloudError, NotFound
from localcloud.gateway import device_services, services
from localcloud.gateway.answers import ObserveClock, Refusal, cut
from localcloud.gateway.certificate_requests import certificate_request
from localcloud.gateway.exchange import DeviceAuthority, Exchange
from localcloud.gateway.rate_limit import RateLimit
from localcloud.gateway.sessions import Session, Sessions
from localcloud.storage.store import Store
from protocol.block_codec import BlockRequest
from protocol.blocks import Block, block_size
from protocol.errors import CodecError
from protocol.formats import MAX_DOCUMENT_BYTES
from protocol.server import DtlsRemote

_log = logging.getLogger(__name__)

Service = Callable[[Exchange], Awaitable[None]]

_EXACT: dict[tuple[str, ...], Service] = {
    (): services.keep_alive,
    (".u", "desired"): services.desired,
    (".s", "logs"): services.logs,
    ("logs",): services.logs,
    (".c",): device_services.settings,
    (".c", "status"): device_services.settings_status,
    (".rpc",): device_services.calls,
    (".rpc", "status"): device_services.call_status,
    ("hello",): services.hello,
    ("echo",): services.echo,
    ("v1", "csr"): certificate_request,
}


def find_service(path: tuple[str, ...]) -> Service:
    """The service at a path; raises Refusal with 4.04."""
    if path in _EXACT:
        return _EXACT[path]
    if path[:-1] == services.COMPONENTS:
        return services.component
    if path[0] == ".d":
        return services.state
    if path[0] == ".s":
        return services.stream
    raise Refusal(Code.NOT_FOUND, f"no resource at /{'/'.join(path)}")


class Gateway(interfaces.Resource):  # type: ignore[misc] # aiocoap is not annotated
    """The whole site: admission, rate limit, routing, errors."""

    def __init__(
        self,
        store: Store,
        changes: Changes,
        calls: Calls,
        sessions: Sessions,
        *,
        rate_limit: float | None,
        response_delay: float,
        authority: DeviceAuthority | None,
    ) -> None:
        super().__init__()
        self._store = store
        self._changes = changes
        self._calls = calls
        self._sessions = sessions
        self._rate_limit = RateLimit(rate_limit)
        self._response_delay = response_delay
        self._authority = authority
        self._uploads = Block1Spool()
        self._clock = ObserveClock()

    async def render_to_pipe(self, pipe: Pipe) -> None:
        """Answer one request, or notify an observer until it loses interest."""
        if self._response_delay:
            await asyncio.sleep(self._response_delay)
        try:
            session = self._admit(pipe.request)
            exchange = self._exchange(pipe, session)
            await find_service(exchange.path)(exchange)
        except Refusal as refusal:
            pipe.add_response(refusal.message(), is_last=True)
        except NotFound as error:
            pipe.add_response(Refusal(Code.NOT_FOUND, str(error)).message(), is_last=True)
        except (CodecError, CloudError) as error:
            # Golioth: 4.00 is a badly formatted payload, and devices log the text.
            pipe.add_response(Refusal(Code.BAD_REQUEST, str(error)).message(), is_last=True)

    def block(self, remote: DtlsRemote, request: BlockRequest) -> Block | None:
        """A block of an artifact at once; None leaves everything unusual to the services."""
        session = self._sessions.of(remote)
        if session is None or request.path[:-1] != services.COMPONENTS or self._response_delay:
            return None
        package, _, version = request.path[-1].partition("@")
        body = self._store.artifacts.content(session.project_id, package, version)
        if body is None or body.size < block_size(request.size_exponent):
            return None
        found = cut(body, request.number, request.size_exponent)
        if found is None or self._rate_limit.take(session.device_id) is not None:
            return None
        return found

    async def render(self, request: Message) -> Message:
        """Never used: aiocoap wants it, but everything goes through :meth:`render_to_pipe`."""
        raise NotImplementedError

    async def needs_blockwise_assembly(self, request: Message) -> bool:  # noqa: ARG002
        """Blocks are this site's own business."""
        return False

    def _admit(self, request: Message) -> Session:
        session = self._sessions.of(request.remote)
        if session is None:
            raise Refusal(Code.UNAUTHORIZED, "no enabled device for these credentials")
        wait = self._rate_limit.take(session.device_id)
        if wait is not None:
            raise Refusal(Code.TOO_MANY_REQUESTS, "too many requests", max_age=wait)
        return session

    def _exchange(self, pipe: Pipe, session: Session) -> Exchange:
        request = self._assemble(pipe.request)
        path = tuple(segment for segment in request.opt.uri_path if segment)
        return Exchange(
            request=request,
            path=path,
            session=session,
            store=self._store,
            changes=self._changes,
            calls=self._calls,
            clock=self._clock,
            pipe=pipe,
            authority=self._authority,
        )

    def _assemble(self, request: Message) -> Message:
        """The whole request once its last block is here (RFC 7959, 2.5)."""
        block = request.opt.block1
        if block is None:
            return request
        if block.start + len(request.payload) > MAX_DOCUMENT_BYTES:
            raise Refusal(
                Code.REQUEST_ENTITY_TOO_LARGE, f"more than {MAX_DOCUMENT_BYTES} bytes are too many"
            )
        try:
            return self._uploads.feed_and_take(request)
        except (IncompleteException, ValueError) as error:
            raise Refusal(
                Code.REQUEST_ENTITY_INCOMPLETE, "a block before this is missing"
            ) from error
