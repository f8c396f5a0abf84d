"""The bytes of block requests, and of the answers they usually get.

A download is thousands of messages of two shapes. aiocoap needs about ten times as long for each of
them as the rest of the way takes, so these two shapes are written and read here; whatever else
comes in is left to aiocoap (RFC 7252, 3; RFC 7959, 2).
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol.blocks import MAX_SIZE_EXPONENT, Block, check_block
from protocol.formats import ContentFormat
from protocol.requests import get

TOKEN_LENGTH = 8

HEADER_LENGTH = 4
VERSION_1 = 0x40
_NON, _ACK = 0x10, 0x20
_KINDS = 0xE0  # the version, and whether it is a confirmable or another request
_GET = 1
_CONTENT = 0x45  # 2.05
_PAYLOAD_MARKER = 0xFF
_MARKER = bytes((_PAYLOAD_MARKER,))
_EXTENDED = 13  # a delta or length of so much or more has a further byte (RFC 7252, 3.1)
_ETAG, _URI_PATH, _CONTENT_FORMAT, _MAX_AGE, _ACCEPT, _BLOCK2, _SIZE2 = 4, 11, 12, 14, 17, 23, 28
_BLOCK2_DELTA = (_BLOCK2 - _ACCEPT) << 4
_LONGEST_BLOCK2 = 3


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
    check_block(number, size_exponent)
    first = VERSION_1 | (0 if confirmable else _NON) | TOKEN_LENGTH
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
    if message[1] != _CONTENT or (parts := _options_and_payload(message)) is None:
        return None
    options, payload = parts
    number, more, total_size, etag, content_format = 0, False, None, None, None
    for option, value in options:
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
    return Block(number, more, payload, total_size, etag, content_format)


@dataclass(frozen=True, slots=True)
class BlockRequest:
    """A GET of one block as a server sees it; ``path`` without its slashes."""

    path: tuple[str, ...]
    number: int
    size_exponent: int
    token: bytes
    message_id: int
    confirmable: bool


def decode_request(message: bytes) -> BlockRequest | None:
    """The block request in a message.

    None for any other message, an option beside path, Accept and Block2, and bytes that are no
    CoAP. Accept is not looked at: an artifact has one form.
    """
    if len(message) < HEADER_LENGTH or message[0] & _KINDS != VERSION_1 or message[1] != _GET:
        return None
    token_end = HEADER_LENGTH + (message[0] & 0xF)
    parts = _options_and_payload(message)
    if parts is None or parts[1] or token_end > HEADER_LENGTH + TOKEN_LENGTH:
        return None
    path, block2 = [], None
    for option, value in parts[0]:
        if option == _URI_PATH:
            path.append(value)
        elif option == _BLOCK2 and block2 is None and len(value) <= _LONGEST_BLOCK2:
            block2 = int.from_bytes(value, "big")
        elif option != _ACCEPT:
            return None
    if block2 is None or block2 & 7 > MAX_SIZE_EXPONENT:
        return None
    try:
        segments = tuple(segment.decode() for segment in path)
    except UnicodeDecodeError:
        return None
    return BlockRequest(
        path=segments,
        number=block2 >> 4,
        size_exponent=block2 & 7,
        token=message[HEADER_LENGTH:token_end],
        message_id=int.from_bytes(message[2:4], "big"),
        confirmable=not message[0] & _NON,
    )


def encode_content(request: BlockRequest, block: Block, message_id: int) -> bytes:
    """The 2.05 answer with a block, on the acknowledgement of a confirmable request.

    An answer to another request is non-confirmable too and has ``message_id``.
    """
    first = VERSION_1 | (_ACK if request.confirmable else _NON) | len(request.token)
    block2 = block.number << 4 | block.more << 3 | request.size_exponent
    options = (
        (_ETAG, block.etag),
        (_CONTENT_FORMAT, _unsigned(block.content_format)),
        (_BLOCK2, _unsigned(block2)),
        (_SIZE2, _unsigned(block.total_size)),
    )
    echoed = request.message_id if request.confirmable else message_id
    parts = [bytes((first, _CONTENT)), echoed.to_bytes(2, "big"), request.token]
    last = 0
    for option, value in options:
        if value is not None:
            delta = option - last
            near = delta < _EXTENDED
            parts.append(bytes(((delta if near else _EXTENDED) << 4 | len(value),)))
            parts += (value,) if near else (bytes((delta - _EXTENDED,)), value)
            last = option
    if block.payload:
        parts += (_MARKER, block.payload)
    return b"".join(parts)


def _unsigned(value: int | None) -> bytes | None:
    """An option's unsigned integer: no leading zeros, nothing for 0 (RFC 7252, 3.2)."""
    return None if value is None else value.to_bytes((value.bit_length() + 7) // 8, "big")


def _options_and_payload(message: bytes) -> tuple[list[tuple[int, bytes]], bytes] | None:
    """The options of a message by number, and its payload; None for what is no CoAP.

    Neither for options so long or so far apart that no block message has them.
    """
    at, end, option = HEADER_LENGTH + (message[0] & 0xF), len(message), 0
    options: list[tuple[int, bytes]] = []
    while at < end:
        first = message[at]
        at += 1
        if first == _PAYLOAD_MARKER:
            return options, message[at:]
        delta, length = first >> 4, first & 0xF
        if max(delta, length) > _EXTENDED:
            return None
        if at + (delta == _EXTENDED) + (length == _EXTENDED) > end:
            return None
        if delta == _EXTENDED:
            delta += message[at]
            at += 1
        if length == _EXTENDED:
            length += message[at]
            at += 1
        option += delta
        options.append((option, message[at : at + length]))
        at += length
    return None if at > end else (options, b"")
