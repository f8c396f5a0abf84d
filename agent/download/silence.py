"""How long nothing has come over the link, and how long that may be. Pure: times go in, in seconds.

What a request had to wait for its turn does not count: the budget is known, and no sign of trouble.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """How long nothing may come, in seconds.

    After ``link`` the session is asked for a new link, after ``download`` the run ends with
    LinkLost.
    """

    link: float = 10.0
    download: float = 30.0


class Silence:
    """The silence of one run; every answer ends it."""

    def __init__(self, patience: Patience, now: float) -> None:
        self._patience = patience
        self._heard_at = self._link_used_at = now

    def ended(self, now: float) -> None:
        """Something came."""
        self._heard_at = self._link_used_at = now

    def waited(self, seconds: float) -> None:
        """So long nothing was asked."""
        self._heard_at += seconds
        self._link_used_at += seconds

    def link_is_new(self, now: float) -> None:
        """There is another link, which has had no time to answer yet."""
        self._link_used_at = now

    def lasts_since(self, moment: float) -> bool:
        """Whether nothing came after that moment."""
        return self._heard_at < moment

    def left(self, now: float) -> float:
        """How much longer the run may last without anything; 0 or less when it is over."""
        return self._heard_at + self._patience.download - now

    def link_is_dead(self, now: float) -> bool:
        """Whether the link should be replaced."""
        return now - self._link_used_at >= self._patience.link
