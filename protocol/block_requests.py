"""Block requests of one link, past aiocoap: many at a time, answered in any order.

Nothing is retransmitted and nothing times out here: whoever asks knows the link's round trips
better. Each request has a token of its own, so that an answer tells which one it belongs to.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import lru_cache

from aiocoap import Code, Message
from aiocoap.error import Error

from protocol.block_codec import (
    HEADER_LENGTH,
    TOKEN_LENGTH,
    VERSION_1,
    decode_content,
    encode_request,
    request_options,
)
from protocol.blocks import Block, block_of
from protocol.errors import LinkError, ProtocolError, ResponseError
from protocol.requests import raise_for_error

Settle = Callable[[Block | ProtocolError], None]

_CON, _NON, _ACK, _RST = range(4)
_EMPTY = 0
_COUNTER_LENGTH = 4

_options = lru_cache(maxsize=16)(request_options)


class BlockRequests:
    """What was asked over one link. ``send`` puts a message on it."""

    def __init__(self, send: Callable[[bytes], None], next_message_id: Callable[[], int]) -> None:
        self._send = send
        self._next_message_id = next_message_id
        # aiocoap's tokens on the same link are random as well: they never meet.
        self._prefix = secrets.token_bytes(TOKEN_LENGTH - _COUNTER_LENGTH)
        self._count = 0
        self._waiting: dict[bytes, tuple[int, Settle]] = {}
        self._tokens: dict[int, bytes] = {}

    def ask(
        self, uri: str, number: int, size_exponent: int, settle: Settle, *, confirmable: bool
    ) -> bytes:
        """Send one request; ``settle`` is called once with the answer or error, maybe at once.

        Returns the token. Raises CodecError for a URI without a path.
        """
        options = _options(uri)
        self._count += 1
        token = self._prefix + self._count.to_bytes(_COUNTER_LENGTH, "big")
        message_id = self._next_message_id()
        message = encode_request(
            options,
            number,
            size_exponent,
            token=token,
            message_id=message_id,
            confirmable=confirmable,
        )
        self._waiting[token] = message_id, settle
        self._tokens[message_id] = token
        self._send(message)
        return token

    def forget(self, token: bytes) -> None:
        """Never settle this request; nothing happens if it is settled."""
        self._take_out(token)

    def take_in(self, message: bytes) -> bool:
        """Settle the request that a message answers; False if it is for somebody else."""
        if len(message) < HEADER_LENGTH or message[0] >> 6 != 1:
            return False
        if message[1] == _EMPTY:
            return self._take_in_empty(message)
        end = HEADER_LENGTH + (message[0] & 0xF)
        settle = self._take_out(message[HEADER_LENGTH:end])
        if settle is None:
            return False
        if message[0] >> 4 & 3 == _CON:
            self._send(bytes((VERSION_1 | _ACK << 4, _EMPTY)) + message[2:4])
        settle(decode_content(message) or _unusual(message))
        return True

    def end(self, error: LinkError) -> None:
        """Settle everything with ``error``: the link is gone."""
        waiting, self._waiting = self._waiting, {}
        self._tokens.clear()
        for _, settle in waiting.values():
            settle(error)

    def _take_in_empty(self, message: bytes) -> bool:
        token = self._tokens.get(int.from_bytes(message[2:4], "big"))
        if token is None:
            return False
        kind = message[0] >> 4 & 3
        if kind == _RST and (settle := self._take_out(token)) is not None:
            settle(LinkError("the server rejected the message with a reset"))
        # An acknowledgement only promises the answer.
        return kind in (_ACK, _RST)

    def _take_out(self, token: bytes) -> Settle | None:
        found = self._waiting.pop(token, None)
        if found is None:
            return None
        message_id, settle = found
        if self._tokens.get(message_id) == token:
            del self._tokens[message_id]
        return settle


def _unusual(message: bytes) -> Block | ProtocolError:
    """What an answer of another shape means; aiocoap reads it."""
    try:
        response = Message.decode(message)
        raise_for_error(response)
    except ResponseError as error:
        return error
    except (Error, ValueError) as error:
        return LinkError(f"the server's answer can't be read ({error})")
    if response.code is Code.CONTENT:
        return block_of(response)
    return LinkError(f"the server answered {response.code} instead of content")
