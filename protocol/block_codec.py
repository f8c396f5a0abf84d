"""The bytes of block requests, and of the answers they usually get.

A download is thousands of messages of two shapes. aiocoap needs about ten times as long for each of
them as the rest of the way takes, so these two shapes are written and read here; whatever else
comes in is left to aiocoap (RFC 7252, 3; RFC 7959, 2).
"""

from __future__ import annotations

from protocol.blocks import MAX_NUMBER, MAX_SIZE_EXPONENT, Block
from protocol.formats import ContentFormat
from protocol.requests import get

TOKEN_LENGTH = 8

_VERSION_1 = 0x40
_NON = 0x10
_GET = 1
_CONTENT = 0x45  # 2.05
_PAYLOAD_MARKER = 0xFF
_ETAG, _CONTENT_FORMAT, _MAX_AGE, _ACCEPT, _BLOCK2, _SIZE2 = 4, 12, 14, 17, 23, 28
_BLOCK2_DELTA = (_BLOCK2 - _ACCEPT) << 4


def request_options(uri: str) -> bytes:
    """The options of a block request but for Block2. Raises CodecError for a URI without a path."""
    encoded: bytes = get(uri, ContentFormat.OCTETS).opt.encode()
    return encoded


def encode_request(
    options: bytes,
    number: int,
    size_exponent: int,
    *,
    token: bytes,
    message_id: int,
    confirmable: bool,
) -> bytes:
    """A GET of one block; ``options`` are those of :func:`request_options`."""
    if not (0 <= number <= MAX_NUMBER and 0 <= size_exponent <= MAX_SIZE_EXPONENT):
        raise ValueError(f"no such block: number {number}, size exponent {size_exponent}")
    first = _VERSION_1 | (0 if confirmable else _NON) | TOKEN_LENGTH
    value = number << 4 | size_exponent
    length = (value.bit_length() + 7) // 8
    return b"".join(
        (
            bytes((first, _GET, message_id >> 8, message_id & 0xFF)),
            token,
            options,
            bytes((_BLOCK2_DELTA | length,)),
            value.to_bytes(length, "big"),
        )
    )


def decode_content(message: bytes) -> Block | None:
    """The block in a 2.05 answer to a request of ours.

    None for another code, an option that is not expected there, and bytes that are no CoAP.
    """
    if message[1] != _CONTENT:
        return None
    at, end, option = 4 + (message[0] & 0xF), len(message), 0
    number, more, total_size, etag, content_format = 0, False, None, None, None
    while at < end:
        first = message[at]
        at += 1
        if first == _PAYLOAD_MARKER:
            return Block(number, more, message[at:], total_size, etag, content_format)
        delta, length = first >> 4, first & 0xF
        if delta > 13 or length > 12:
            return None
        if delta == 13:
            if at == end:
                return None
            delta += message[at]
            at += 1
        option += delta
        value = message[at : at + length]
        at += length
        if option == _BLOCK2:
            block2 = int.from_bytes(value, "big")
            number, more = block2 >> 4, bool(block2 & 8)
        elif option == _SIZE2:
            total_size = int.from_bytes(value, "big")
        elif option == _ETAG:
            etag = value
        elif option == _CONTENT_FORMAT:
            content_format = int.from_bytes(value, "big")
        elif option != _MAX_AGE:
            return None
    return None if at > end else Block(number, more, b"", total_size, etag, content_format)
