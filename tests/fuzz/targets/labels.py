"""``labels.txt``: read, and written again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from agent.worker.model.labels import parse_labels
from states.ports import Rejected
from tests.fuzz.target import Attempt, chosen, refusing, require


@contextmanager
def opened() -> Iterator[Attempt]:
    """Ready to try cases: a byte that allows duplicates or not, then the file."""
    yield _attempt


def seeds() -> Iterator[bytes]:
    """As people write them."""
    yield b"\x00red\ngreen\nblue\n"
    yield b"\x01\xef\xbb\xbfcrane\r\ncrane\r\n\r\n"
    yield "\x00Apfel, grün\n  Birne\t\nçedilla".encode()
    yield b"\x00red\n\ngreen\n"
    yield b"\x00red\x00\ngr\xffeen\x1b[0m"


def _attempt(data: bytes) -> None:
    number, content = chosen(data, 2)
    with refusing(Rejected):
        labels = parse_labels(content, allow_duplicates=bool(number))
        require(all(label and label.isprintable() for label in labels), "a label nobody can read")
        again = parse_labels("\n".join(labels).encode(), allow_duplicates=bool(number))
        require(again == labels, "other labels once written")
