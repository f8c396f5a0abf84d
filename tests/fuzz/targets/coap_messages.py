"""Decrypted CoAP messages at both ends: aiocoap's reader with our layers, and our own beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from aiocoap import CON, GET, NON, POST, Code, Message, resource
from aiocoap.error import Error
from aiocoap.optiontypes import BlockOption
from aiocoap.pipe import Pipe

from protocol.block_codec import (
    BlockRequest,
    decode_request,
    encode_content,
    encode_request,
    request_options,
)
from protocol.block_requests import BlockRequests
from protocol.blocks import Block
from protocol.errors import LinkLost, ProtocolError
from protocol.requests import get, post
from protocol.transport import CoapStack, build_stack
from tests.fuzz.memory_link import OpenRemote, check_answers, no_error_logged, quiet, settled
from tests.fuzz.target import Attempt, check_text, chosen, require

URI = "/.u/c/ai-model@1.0.0"
_TO_SERVER, _TO_CLIENT = range(2)
_ANSWERS_BLOCK, _ANSWERS_REQUEST, _OWN_ID = 2, 4, 8


class _Resource(resource.Resource):  # type: ignore[misc]
    """Looks at the options of a request, as a site does."""

    async def render_get(self, request: Message) -> Message:
        return Message(payload="/".join(request.opt.uri_path).encode())

    async def render_post(self, request: Message) -> Message:
        return Message(code=Code.CHANGED, payload=request.payload)


@contextmanager
def opened() -> Iterator[Attempt]:
    """Ready to try cases: a byte for the side and what is answered, then the message.

    To the client its token and message ID are put in where the first byte says so: they are random.
    """
    with quiet("protocol.transport.coap"), asyncio.Runner() as runner:
        site = resource.Site()
        site.add_resource([], _Resource())
        site.add_resource([".d"], _Resource())

        async def attempt(data: bytes) -> None:
            flags, message = chosen(data, 256)
            with no_error_logged():
                if flags % 2 == _TO_SERVER:
                    await _to_server(build_stack(site, 4), message)
                else:
                    await _to_client(build_stack(None, 4), flags, message)
            _read_by_both(message)

        yield lambda data: runner.run(attempt(data))


def seeds() -> Iterator[bytes]:
    """Requests and answers as both ends make them."""
    for request in (get(URI, 42, (3, 6)), get(".d", 60), post("/.d", b"{}" * 40, 50)):
        for kind in (CON, NON):
            sent = request.copy(mtype=kind, mid=7, token=b"12345678")
            yield bytes([_TO_SERVER]) + sent.encode()
    for code, token in ((0, b""), (GET, b"1"), (POST, b"12")):
        yield bytes([_TO_SERVER]) + bytes([0x40 | len(token), code, 0, 7]) + token
    asked = BlockRequest((".u", "c"), 3, 6, b"12345678", 7, confirmable=True)
    block = encode_content(asked, Block(3, True, bytes(1024), 4000, b"etag", 42), 9)
    yield bytes([_TO_CLIENT | _ANSWERS_BLOCK]) + block
    yield bytes([_TO_CLIENT | _ANSWERS_BLOCK | _OWN_ID]) + bytes.fromhex("70000007")
    for code, payload in ((Code.CONTENT, b"{}"), (Code.TOO_MANY_REQUESTS, b"slow down")):
        answer = Message(code=code, payload=payload, observe=7, content_format=50, max_age=3)
        answer.opt.block2 = BlockOption.BlockwiseTuple(0, True, 6)
        encoded = answer.copy(mtype=CON, mid=7, token=b"12345678").encode()
        for flag in (_ANSWERS_BLOCK, _ANSWERS_REQUEST):
            yield bytes([_TO_CLIENT | flag]) + encoded


async def _to_server(stack: CoapStack, message: bytes) -> None:
    remote = OpenRemote("camera-1@warehouse")
    stack.arrived(remote, message)
    await settled()
    check_answers(remote.sent)
    remote.sent.clear()
    stack.arrived(remote, bytes.fromhex("4101ffff7ab22e64"))
    await settled()
    answers = [answer for answer in check_answers(remote.sent) if answer.token == b"z"]
    require(bool(answers), "the next request goes unanswered")
    await _end(stack, remote)


async def _to_client(stack: CoapStack, flags: int, message: bytes) -> None:
    remote = OpenRemote("cloud")
    outcomes: list[Block | ProtocolError] = []
    blocks = BlockRequests(remote.send, stack.messages.next_message_id)
    token = blocks.ask(URI, 3, 6, outcomes.append, confirmable=True)
    request = get("/.d", 50)
    request.remote = remote
    pipe = Pipe(request, stack.context.log)
    pipe.on_event(lambda event: not event.is_last)
    stack.tokens.request(pipe)
    await settled(2)
    if flags & _ANSWERS_BLOCK:
        message = _answering(message, token, remote.sent[0][2:4], flags)
    elif flags & _ANSWERS_REQUEST:
        asked = Message.decode(remote.sent[-1])
        message = _answering(message, asked.token, remote.sent[-1][2:4], flags)
    if not blocks.take_in(message):
        stack.arrived(remote, message)
    await settled()
    blocks.end(LinkLost("the case is over"))
    require(len(outcomes) == 1, f"a block request was settled {len(outcomes)} times")
    for outcome in outcomes:
        if not isinstance(outcome, Block):
            check_text(str(outcome))
    await _end(stack, remote)


async def _end(stack: CoapStack, remote: OpenRemote) -> None:
    stack.ended(remote, LinkLost("the case is over"))
    await settled(2)
    await stack.context.shutdown()


def _answering(message: bytes, token: bytes, message_id: bytes, flags: int) -> bytes:
    first, rest = message[:1] or b"\0", message[4 + (message[0] & 0xF if message else 0) :]
    if flags & _OWN_ID:
        # An acknowledgement or reset has no token.
        return first + message[1:2] + message_id + message[4:]
    kind = bytes([first[0] & 0xF0 | len(token)])
    return kind + (message[1:2] or b"\0") + message_id + token + rest


def _read_by_both(message: bytes) -> None:
    """What our own reader takes for a block request, aiocoap reads the same way."""
    request = decode_request(message)
    if request is None:
        return
    try:
        read = Message.decode(message)
    except (Error, ValueError) as error:
        raise AssertionError("a block request that is no CoAP") from error
    option = read.opt.block2
    theirs = read.opt.uri_path, option.block_number, option.size_exponent, read.token, read.mid
    ours = request.path, request.number, request.size_exponent, request.token, request.message_id
    require(ours == theirs, f"{ours} is {theirs} to aiocoap")
    if any(request.path) and "" not in request.path:
        encoded = encode_request(
            request_options("/".join(part.replace("/", "") for part in request.path)),
            request.number,
            request.size_exponent,
            token=b"12345678",
            message_id=request.message_id,
            confirmable=request.confirmable,
        )
        again = decode_request(encoded)
        require(
            again is not None and again.number == request.number,
            "a request is another once encoded",
        )
