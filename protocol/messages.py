"""CoAP's message and token layers: aiocoap's, with the limits lifted that Golioth's use runs into.

aiocoap 0.4.17 allows one unacknowledged CON per remote, picks short tokens, keeps using a
connection after its retransmissions ran out, ignores empty NONs, and remembers each request for
247 s by its message ID alone, so that the 65,537th request within that time gets a stale response.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter, OrderedDict
from dataclasses import dataclass

from aiocoap import Message
from aiocoap.messagemanager import MessageManager
from aiocoap.numbers.codes import EMPTY, FETCH, GET
from aiocoap.numbers.types import ACK, CON, NON, RST
from aiocoap.pipe import Pipe
from aiocoap.tokenmanager import TokenManager

from protocol.block_codec import TOKEN_LENGTH
from protocol.errors import LinkLost
from protocol.remote import DtlsRemote


class EightByteTokens(TokenManager):  # type: ignore[misc]
    """Golioth: devices use tokens of 8 bytes; random ones can't be guessed either."""

    _given = b""

    def request(self, request: Pipe) -> None:
        """Send a request, with its own token if it has one: the blocks of a body share theirs."""
        self._given = request.request.token
        super().request(request)

    def next_token(self) -> bytes:
        """The token of the request in hand, or a fresh one."""
        given, self._given = self._given, b""
        return given or secrets.token_bytes(TOKEN_LENGTH)


@dataclass
class _Answered:
    """A request already taken in, and what was answered, for its retransmissions."""

    request: tuple[object, ...]
    forget_at: float
    response: Message | None = None


class WindowedMessageManager(MessageManager):  # type: ignore[misc]
    """aiocoap's message manager with ``in_flight`` unacknowledged CONs per remote (NSTART).

    A key in ``_backlogs`` means here: no further CON may be sent to this remote now.
    """

    def __init__(self, token_manager: TokenManager, in_flight: int) -> None:
        super().__init__(token_manager)
        self._window = in_flight
        self._in_flight: Counter[DtlsRemote] = Counter()
        self._busy_ids: set[int] = set()
        self._answered: dict[DtlsRemote, OrderedDict[int, _Answered]] = {}
        self._pings: dict[tuple[DtlsRemote, int], asyncio.Future[None]] = {}

    def ping(self, remote: DtlsRemote) -> asyncio.Future[None]:
        """Send an empty CON; the future is done when its reset (or acknowledgement) comes."""
        message = Message(code=EMPTY, _mtype=CON, _mid=self._next_message_id(), payload=b"")
        message.remote = remote
        answered: asyncio.Future[None] = self.loop.create_future()
        self._pings[remote, message.mid] = answered
        self._send_initially(message, lambda: None)
        return answered

    def next_message_id(self) -> int:
        """A message ID for somebody who sends past this manager over the same link."""
        return self._next_message_id()

    def abandon(self, message: Message) -> None:
        """Send a request no more that nobody waits for.

        Late, it would overtake what was sent after it: of two reports the older would count.
        """
        waiting = self._backlogs.get(message.remote, [])
        waiting[:] = [entry for entry in waiting if entry[0] is not message]
        if (message.remote, message.mid) in self._active_exchanges:
            self._remove_exchange(message)

    def dispatch_message(self, message: Message) -> None:
        """Take in a message; an empty NON, Zephyr devices' keep-alive, is answered with a reset."""
        if message.code is EMPTY and message.mtype is NON:
            self._process_ping(message)
            return
        if message.mtype in (ACK, RST):
            answered = self._pings.pop((message.remote, message.mid), None)
            if answered is not None and not answered.done():
                answered.set_result(None)
        super().dispatch_message(message)

    def dispatch_error(self, error: Exception, remote: DtlsRemote) -> None:
        """End everything that is under way with ``remote``."""
        super().dispatch_error(error, remote)
        self._in_flight.pop(remote, None)
        self._answered.pop(remote, None)
        self._busy_ids = {message_id for _, message_id in self._active_exchanges}
        for key in [key for key in self._pings if key[0] is remote]:
            answered = self._pings.pop(key)
            if not answered.done():
                answered.set_exception(error)

    # Several CONs in flight.

    def _has_room(self, remote: DtlsRemote) -> bool:
        return self._in_flight[remote] < self._window

    def _add_exchange(self, message: Message, messageerror_monitor: object) -> None:
        super()._add_exchange(message, messageerror_monitor)
        self._in_flight[message.remote] += 1
        self._busy_ids.add(message.mid)
        if self._has_room(message.remote) and not self._backlogs[message.remote]:
            del self._backlogs[message.remote]

    def _remove_exchange(self, message: Message) -> None:
        if (message.remote, message.mid) in self._active_exchanges:
            self._in_flight[message.remote] -= 1
            self._busy_ids.discard(message.mid)
        super()._remove_exchange(message)

    def _continue_backlog(self, remote: DtlsRemote) -> None:
        waiting = self._backlogs.pop(remote, [])
        while waiting and self._has_room(remote):
            self._send_initially(*waiting.pop(0))
        if waiting:
            self._backlogs[remote] = waiting

    def _next_message_id(self) -> int:
        message_id: int = super()._next_message_id()
        while message_id in self._busy_ids:
            message_id = super()._next_message_id()
        return message_id

    # The end of retransmissions is the end of the connection.

    def _retransmit(self, message: Message, timeout: float, retransmission_counter: int) -> None:
        if retransmission_counter < message.transport_tuning.MAX_RETRANSMIT:
            message.remote.traffic.retransmissions += 1
            super()._retransmit(message, timeout, retransmission_counter)
            return
        message.remote.fail(
            LinkLost(f"no acknowledgement after {retransmission_counter} retransmissions")
        )

    # Duplicates.

    def _deduplicate_message(self, message: Message) -> bool:
        """Whether this request was taken in before; its answer is then sent again.

        Safe methods are simply served again (RFC 7252, 4.5 allows it), which keeps a download from
        filling the memory. A reused message ID is told from a retransmission by the content.
        """
        if message.code in (GET, FETCH):
            return False
        now = self.loop.time()
        answered = self._answered.setdefault(message.remote, OrderedDict())
        while answered and next(iter(answered.values())).forget_at <= now:
            answered.popitem(last=False)
        request = (message.code, message.token, message.opt.encode(), message.payload)
        known = answered.get(message.mid)
        if known is not None and known.request == request:
            if message.mtype is CON and known.response is not None:
                self._send_initially(known.response)
            return True
        answered.pop(message.mid, None)
        lifetime = message.transport_tuning.EXCHANGE_LIFETIME
        answered[message.mid] = _Answered(request, now + lifetime)
        return False

    def _store_response_for_duplicates(self, message: Message) -> None:
        if message.mtype not in (ACK, RST):
            return  # its message ID is ours, not that of a request
        known = self._answered.get(message.remote, {}).get(message.mid)
        if known is not None:
            known.response = message
