"""The short way for block messages says the same as aiocoap, and survives any bytes."""

from __future__ import annotations

import pytest
from aiocoap import CONTENT, GET, POST, Code, Message
from aiocoap.numbers.types import CON, NON, Type
from aiocoap.optiontypes import BlockOption
from hypothesis import given
from hypothesis import strategies as st

from protocol.block_codec import (
    BlockRequest,
    decode_content,
    decode_request,
    encode_content,
    encode_request,
    request_options,
)
from protocol.block_requests import BlockRequests
from protocol.blocks import Block, block_of
from protocol.errors import CodecError, LinkError, ProtocolError
from protocol.formats import ContentFormat
from protocol.requests import path_segments

TOKEN = bytes(range(8))
SEGMENTS = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=60),
    min_size=1,
)


@given(
    SEGMENTS,
    st.integers(0, 2**20 - 1),
    st.integers(0, 6),
    st.integers(0, 0xFFFF),
    st.booleans(),
)
def test_aiocoap_and_our_server_read_a_request_as_it_was_meant(
    path: list[str], number: int, size_exponent: int, message_id: int, confirmable: bool
) -> None:
    encoded = encode_request(
        request_options("/".join(path)),
        number,
        size_exponent,
        token=TOKEN,
        message_id=message_id,
        confirmable=confirmable,
    )
    message = Message.decode(encoded)
    assert (message.code, message.mid, message.token) == (GET, message_id, TOKEN)
    assert message.mtype == (CON if confirmable else NON)
    assert message.opt.uri_path == tuple(path)
    assert message.opt.accept == ContentFormat.OCTETS
    assert message.opt.block2 == (number, False, size_exponent)
    assert decode_request(encoded) == BlockRequest(
        tuple(path), number, size_exponent, TOKEN, message_id, confirmable
    )


@pytest.mark.parametrize(("number", "exponent"), [(-1, 6), (2**20, 6), (0, 7)])
def test_a_block_that_cannot_exist_is_the_callers_mistake(number: int, exponent: int) -> None:
    with pytest.raises(ValueError, match="no such block"):
        encode_request(b"", number, exponent, token=TOKEN, message_id=0, confirmable=False)


def test_a_uri_without_a_path_is_named() -> None:
    with pytest.raises(CodecError, match="has no path"):
        request_options("/")


@given(
    st.none() | st.tuples(st.integers(0, 2**20 - 1), st.booleans(), st.integers(0, 6)),
    st.none() | st.integers(0, 2**32 - 1),
    st.none() | st.binary(min_size=1, max_size=8),
    st.none() | st.sampled_from([0, 42, 60]),
    st.none() | st.integers(0, 2**32 - 1),
    st.binary(max_size=1100),
    st.binary(max_size=8),
)
def test_an_answer_is_read_as_aiocoap_reads_it(
    block2: tuple[int, bool, int] | None,
    size2: int | None,
    etag: bytes | None,
    content_format: int | None,
    max_age: int | None,
    payload: bytes,
    token: bytes,
) -> None:
    message = Message(code=CONTENT, payload=payload, _mid=7, _mtype=Type.ACK, _token=token)
    message.opt.block2, message.opt.size2, message.opt.etag = block2, size2, etag
    message.opt.content_format, message.opt.max_age = content_format, max_age
    encoded = message.encode()
    assert decode_content(encoded) == block_of(Message.decode(encoded))


@given(st.binary(min_size=4, max_size=60))
def test_any_bytes_are_a_block_or_left_to_aiocoap(message: bytes) -> None:
    found = decode_content(message)
    assert found is None or isinstance(found, Block)


@given(
    st.sampled_from([GET, POST]),
    st.sampled_from([CON, NON, Type.ACK]),
    st.none() | st.integers(0, 2),
    st.none() | st.binary(min_size=1, max_size=8),
    st.none() | st.tuples(st.integers(0, 2**20 - 1), st.booleans(), st.integers(0, 7)),
    st.binary(max_size=3),
)
def test_only_plain_requests_for_a_block_take_the_short_way(
    code: Code,
    kind: Type,
    observe: int | None,
    etag: bytes | None,
    block2: tuple[int, bool, int] | None,
    payload: bytes,
) -> None:
    message = Message(code=code, payload=payload, _mid=7, _mtype=kind, _token=TOKEN)
    message.opt.uri_path, message.opt.block2 = ("a", "b"), block2
    message.opt.observe, message.opt.etag = observe, etag
    plain = code is GET and kind is not Type.ACK and not payload and observe is None
    expected = None
    if plain and etag is None and block2 is not None and block2[2] < 7:
        number, _, exponent = block2
        expected = BlockRequest(("a", "b"), number, exponent, TOKEN, 7, kind is CON)
    assert decode_request(message.encode()) == expected


@given(st.binary(max_size=60))
def test_any_bytes_are_a_request_or_left_to_aiocoap(message: bytes) -> None:
    found = decode_request(message)
    if found is not None:
        assert Message.decode(message).opt.block2.block_number == found.number


@given(
    st.binary(max_size=8),
    st.booleans(),
    st.integers(0, 2**20 - 1),
    st.booleans(),
    st.none() | st.integers(0, 2**32 - 1),
    st.none() | st.binary(min_size=1, max_size=8),
    st.none() | st.sampled_from([0, 42, 60]),
    st.binary(max_size=1024),
)
def test_aiocoap_writes_an_answer_with_the_same_bytes(
    token: bytes,
    confirmable: bool,
    number: int,
    more: bool,
    size2: int | None,
    etag: bytes | None,
    content_format: int | None,
    payload: bytes,
) -> None:
    request = BlockRequest(("a",), number, 6, token, 300, confirmable)
    block = Block(number, more, payload, size2, etag, content_format)
    kind, message_id = (Type.ACK, 300) if confirmable else (NON, 20)
    same = Message(code=CONTENT, payload=payload, _mid=message_id, _mtype=kind, _token=token)
    same.opt.block2, same.opt.size2 = BlockOption.BlockwiseTuple(number, more, 6), size2
    same.opt.etag, same.opt.content_format = etag, content_format
    assert encode_content(request, block, 20) == same.encode()


class Wire:
    """A link that keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.outcomes: list[Block | ProtocolError] = []
        self._next_id = 100
        self.requests = BlockRequests(self.sent.append, self.message_id)

    def message_id(self) -> int:
        self._next_id += 1
        return self._next_id

    def ask(self, *, confirmable: bool = False) -> bytes:
        return self.requests.ask("/a", 0, 6, self.outcomes.append, confirmable=confirmable)


@given(st.binary(max_size=40))
def test_an_answer_of_any_bytes_settles_its_request_and_no_other(rest: bytes) -> None:
    wire = Wire()
    token, other = wire.ask(), wire.ask()
    assert wire.requests.take_in(bytes((0x58, 0x45, 0, 1)) + token + rest)
    assert len(wire.outcomes) == 1
    assert not wire.requests.take_in(bytes((0x58, 0x45, 0, 2)) + token)
    assert wire.requests.take_in(bytes((0x58, 0x45, 0, 3)) + other)
    assert len(wire.outcomes) == 2


@given(st.binary(max_size=40))
def test_messages_for_others_are_left_alone(message: bytes) -> None:
    wire = Wire()
    wire.ask()
    assert not wire.requests.take_in(message)
    assert wire.outcomes == []


def test_a_confirmable_answer_is_acknowledged_and_an_acknowledgement_awaits_the_answer() -> None:
    wire = Wire()
    token = wire.ask(confirmable=True)
    assert wire.requests.take_in(bytes((0x60, 0, 0, 101)))
    assert wire.outcomes == []
    assert wire.requests.take_in(bytes((0x48, 0x45, 0xAB, 0xCD)) + token + b"\xffx")
    assert wire.sent[-1] == bytes((0x60, 0, 0xAB, 0xCD))
    assert wire.outcomes == [Block(0, False, b"x")]


def test_a_reset_rejects_the_request_it_names() -> None:
    wire = Wire()
    wire.ask()
    wire.ask()
    assert wire.requests.take_in(bytes((0x70, 0, 0, 101)))
    (outcome,) = wire.outcomes
    assert isinstance(outcome, LinkError)
    assert not wire.requests.take_in(bytes((0x70, 0, 0, 101)))


def test_half_a_surrogate_pair_as_json_may_hold_it_is_no_path() -> None:
    with pytest.raises(CodecError, match="surrogates not allowed"):
        path_segments("/.u/c/\ud800@1")
