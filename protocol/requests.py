"""Requests as devices send them, and what an error code in the answer means."""

from __future__ import annotations

from aiocoap import GET, POST, Code, Message
from aiocoap.optiontypes import BlockOption

from protocol.errors import CodecError, ResponseError, TooManyRequests

# RFC 7252, table 4: the longest Uri-Path segment.
_MAX_SEGMENT_BYTES = 255
_MAX_DIAGNOSTIC = 200


def path_segments(uri: str) -> tuple[str, ...]:
    """Uri-Path options of a server-relative URI; empty segments are dropped (Golioth: its SDK too).

    The text is taken literally: nothing is percent-decoded. Raises CodecError for a URI without a
    path and for a segment that does not fit its option or is no text that can be sent.
    """
    segments = tuple(segment for segment in uri.split("/") if segment)
    if not segments:
        raise CodecError(f"URI {uri!r}: has no path")
    for segment in segments:
        try:
            length = len(segment.encode())
        except UnicodeEncodeError as error:
            # JSON may hold half a surrogate pair.
            raise CodecError(f"URI {uri!r:.80}: {error.reason}") from error
        if length > _MAX_SEGMENT_BYTES:
            raise CodecError(
                f"URI {uri!r:.80}: a path segment is longer than {_MAX_SEGMENT_BYTES} bytes"
            )
    return segments


def get(uri: str, accept: int, block: tuple[int, int] | None = None) -> Message:
    """A GET; ``block`` is (number, size exponent) of the block wanted (Block2, RFC 7959)."""
    message = Message(code=GET, uri_path=path_segments(uri), accept=accept)
    if block is not None:
        number, size_exponent = block
        message.opt.block2 = BlockOption.BlockwiseTuple(number, False, size_exponent)
    return message


def post(uri: str, payload: bytes, content_format: int) -> Message:
    """A POST of one datagram."""
    return Message(
        code=POST, uri_path=path_segments(uri), content_format=content_format, payload=payload
    )


def raise_for_error(response: Message) -> None:
    """Raise ResponseError (TooManyRequests for 4.29) unless the code is a 2.xx."""
    code: Code = response.code
    if code.is_successful():
        return
    text = response.payload.decode(errors="replace")[:_MAX_DIAGNOSTIC]
    # It ends up in logs and on terminals.
    diagnostic = "".join(c if c.isprintable() else "?" for c in text)
    if code == Code.TOO_MANY_REQUESTS:
        max_age = response.opt.max_age
        raise TooManyRequests(code, diagnostic, None if max_age is None else float(max_age))
    raise ResponseError(code, diagnostic)
