"""What is tried with bytes from outside, and what must never come of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeAlias

Attempt: TypeAlias = Callable[[bytes], None]
"""Tries one case; whatever it raises is a finding."""

LONGEST_TEXT = 8192
"""Characters of an error. It is logged, stored and sent, whoever chose the bytes it is about."""


class Finding(Exception):  # noqa: N818 - reads as what it is
    """The code under trial did what nobody who calls it was told to expect."""


@dataclass(frozen=True)
class Target:
    """Something that decodes bytes from outside.

    ``name`` is also the module below ``tests.fuzz.targets`` with its oracle. ``instrumented`` are
    the packages and modules whose branches guide the search: ours, and libraries that decode in
    Python. ``document``: after so many bytes a JSON or CBOR document follows, which is then also
    changed value by value; None for other bytes.
    """

    name: str
    about: str
    instrumented: tuple[str, ...]
    document: int | None = None
    most_bytes: int = 4096

    def opened(self) -> AbstractContextManager[Attempt]:
        """Ready to try cases. To be imported only now, so that it can be instrumented before."""
        opened: AbstractContextManager[Attempt] = self._module.opened()
        return opened

    def seeds(self) -> Sequence[bytes]:
        """Cases from the encoders of the real thing."""
        return list(self._module.seeds())

    @property
    def _module(self) -> Any:
        return import_module(f"tests.fuzz.targets.{self.name}")


@contextmanager
def refusing(*documented: type[Exception]) -> Iterator[None]:
    """These errors may come out, and no other; each with a text that can be written down."""
    try:
        yield
    except documented as error:
        check_text(str(error))


def check_text(text: str) -> None:
    """Raise Finding for a text that a log, a database or a datagram would choke on."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Finding(f"an error's text can't be encoded: {error.reason}") from error
    if len(text) > LONGEST_TEXT:
        raise Finding(f"an error's text has {len(text)} characters")


def require(holds: bool, what: str) -> None:
    """Raise Finding unless it holds."""
    if not holds:
        raise Finding(what)


def chosen(data: bytes, choices: int) -> tuple[int, bytes]:
    """What the first byte chooses, and the bytes behind it."""
    return (data[0] if data else 0) % choices, data[1:]


def pieces(data: bytes) -> Iterator[bytes]:
    """What :func:`joined` has joined; of damaged bytes something like it."""
    while data:
        length = int.from_bytes(data[:2], "big")
        yield data[2 : 2 + length]
        data = data[2 + length :]


def joined(*parts: bytes) -> bytes:
    """Several messages as one case, each with its length before it."""
    return b"".join(len(part).to_bytes(2, "big") + part for part in parts)
