"""Block-wise sending (RFC 7959, Block1): a POST whose body does not fit one message."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable

from aiocoap import Message
from aiocoap.optiontypes import BlockOption

from protocol.block_codec import TOKEN_LENGTH
from protocol.blocks import MAX_SIZE_EXPONENT, block_size
from protocol.requests import post

MAX_PAYLOAD_BYTES = 1024
"""Golioth: larger payloads risk IP fragmentation."""

Send = Callable[[Message], Awaitable[Message]]


async def post_body(send: Send, uri: str, payload: bytes, content_format: int) -> Message:
    """POST a body, in blocks of 1024 bytes or what the server prefers if it does not fit one.

    ``send`` sends a request and returns its 2.xx response; what it raises passes through. Nothing
    is kept of a transfer that failed: begin again. Golioth: all blocks of a body bear the same
    token, by which the server (go-coap) puts them together, and come one after another.
    """
    if len(payload) <= MAX_PAYLOAD_BYTES:
        return await send(post(uri, payload, content_format))
    token = secrets.token_bytes(TOKEN_LENGTH)
    exponent, start = MAX_SIZE_EXPONENT, 0
    while True:
        size = block_size(exponent)
        more = start + size < len(payload)
        message = post(uri, payload[start : start + size], content_format)
        message.token = token
        message.opt.block1 = BlockOption.BlockwiseTuple(start // size, more, exponent)
        answer = await send(message)
        if not more:
            return answer
        start += size
        if answer.opt.block1 is not None:
            exponent = min(exponent, answer.opt.block1.size_exponent)
