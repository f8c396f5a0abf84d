"""What a link does to the datagrams that cross it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

HEADER_BYTES = 28
"""IPv4 and UDP headers, which take their share of a link's rate."""

_SHARES = ("loss", "duplicate", "reorder", "corrupt")


@dataclass(frozen=True)
class Way:
    """One direction of a link. Times are in seconds, shares between 0 and 1.

    ``delay`` is fixed, ``jitter`` adds up to so much more without changing the order. Of all
    datagrams the share ``loss`` vanishes, ``duplicate`` comes twice, ``reorder`` comes
    ``reorder_by`` later than it should and is overtaken, ``corrupt`` comes with one bit flipped.
    ``bits_per_second`` is the rate at the IP layer (28 bytes of headers per datagram count), None
    for no limit; what would wait longer than ``queue`` for its turn is dropped.
    """

    delay: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    reorder_by: float = 0.02
    corrupt: float = 0.0
    bits_per_second: float | None = None
    queue: float = 0.5

    def __post_init__(self) -> None:
        for name in _SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)}: a share is between 0 and 1")
        for name in ("delay", "jitter", "reorder_by", "queue"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)}: seconds can't be negative")
        if self.bits_per_second is not None and self.bits_per_second <= 0:
            raise ValueError("bits_per_second: name a rate above 0, or None for no limit")


@dataclass(frozen=True)
class Conditions:
    """Both directions: ``up`` from the clients to the server, ``down`` back."""

    up: Way = field(default_factory=Way)
    down: Way = field(default_factory=Way)

    @classmethod
    def both_ways(cls, round_trip: float = 0.0, **way: Any) -> Self:
        """The same both ways; each way takes half of ``round_trip`` seconds."""
        each = Way(delay=round_trip / 2, **way)
        return cls(each, each)

    @classmethod
    def from_document(cls, document: Mapping[str, Mapping[str, Any]]) -> Self:
        """What :func:`dataclasses.asdict` made of one. Raises TypeError for unknown names."""
        return cls(**{part.name: Way(**document[part.name]) for part in fields(cls)})
