"""Record headers (RFC 6347, 4.1), as far as they are readable without keys."""

from __future__ import annotations

HEADER_LENGTH = 13
MTU = 1200  # UDP payload; every IPv6 path and nearly every tunnel carries it

_HANDSHAKE = 22
_CLIENT_HELLO = 1
_EPOCH = slice(3, 5)
_LENGTH = slice(11, 13)
_RANDOM = slice(HEADER_LENGTH + 12 + 2, HEADER_LENGTH + 12 + 2 + 32)


def split_datagrams(stream: bytes) -> list[bytes]:
    """Cut what OpenSSL wrote to a memory BIO, which forgets borders, into datagrams."""
    datagrams: list[bytes] = []
    start = end = 0
    while end + HEADER_LENGTH <= len(stream):
        header = stream[end : end + HEADER_LENGTH]
        record_end = end + HEADER_LENGTH + int.from_bytes(header[_LENGTH], "big")
        if end > start and record_end - start > MTU:
            datagrams.append(stream[start:end])
            start = end
        end = record_end
    if end > start:
        datagrams.append(stream[start:end])
    return datagrams


def is_one_record(datagram: bytes) -> bool:
    """Whether a datagram holds a single record."""
    return len(datagram) == HEADER_LENGTH + int.from_bytes(datagram[_LENGTH], "big")


def client_hello_random(datagram: bytes) -> bytes | None:
    """The random of a ClientHello, which tells one handshake from another; else None."""
    if len(datagram) < _RANDOM.stop or datagram[0] != _HANDSHAKE or any(datagram[_EPOCH]):
        return None
    return datagram[_RANDOM] if datagram[HEADER_LENGTH] == _CLIENT_HELLO else None
