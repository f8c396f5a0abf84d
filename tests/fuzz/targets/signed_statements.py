"""Signature packages, and the statements and keys in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from protocol.errors import CodecError
from protocol.signing import decode_document
from protocol.statements import KeyList, ReleaseStatement, SignedPackage, public_key
from states.model import Package
from tests.fuzz.target import Attempt, chosen, refusing, require
from tests.support.signing import key_list, signature_of, text_of

PACKAGES = (Package("ai-model", "2", "a" * 64, 419_192), Package("labels", "2", "b" * 64, 20))


@contextmanager
def opened() -> Iterator[Attempt]:
    """Ready to try cases: a byte for the kind, then the document."""
    yield _attempt


def seeds() -> Iterator[bytes]:
    """Documents that devices take, and one with a wrong signature."""
    yield b"\x00" + signature_of(PACKAGES, 3, 1)
    lists = (key_list(1, [1], [2, 3], 1), key_list(2, [4], [2], 1, 4))
    document = signature_of(PACKAGES, 3, 2, 3, key_lists=lists)
    yield b"\x00" + document
    yield b"\x00" + document.replace(b'"sig":"', b'"sig":"AAAA', 1)
    signed = (SignedPackage("ai-model", "2", "a" * 64, 419_192),)
    yield b"\x01" + ReleaseStatement(7, signed).encode()
    yield b"\x02" + KeyList(7, (text_of(1),), (text_of(2), text_of(3))).encode()
    yield b"\x03" + text_of(1).encode()
    yield (
        b"\x03-----BEGIN PUBLIC KEY-----\n"
        b"MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
        b"-----END PUBLIC KEY-----\n"
    )


def _attempt(data: bytes) -> None:
    number, content = chosen(data, 4)
    with refusing(CodecError):
        _KINDS[number](content)


def _document(content: bytes) -> None:
    document = decode_document(content)
    signed = [(document.release.signed, document.release.broken)]
    signed += [(listed.signed, listed.broken) for listed in document.key_lists]
    require(not any(right & wrong for right, wrong in signed), "a key that signed and did not")


def _release(content: bytes) -> None:
    statement = ReleaseStatement.decode(content)
    require(statement.encode() == content, "another release once encoded")


def _keys(content: bytes) -> None:
    require(KeyList.decode(content).encode() == content, "another list of keys once encoded")


def _key(content: bytes) -> None:
    text = public_key(content.decode(errors="surrogateescape"))
    require(public_key(text) == text, "another key once written")


_KINDS: tuple[Callable[[bytes], None], ...] = (_document, _release, _keys, _key)
