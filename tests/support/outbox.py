"""Emptying an outbox without a cloud."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from agent.journal.outbox import Kind, Outbox, Queued


def drained(outbox: Outbox, kinds: Collection[Kind] = tuple(Kind)) -> Iterator[Queued]:
    """Every message in the order of its delivery, each acknowledged before the next."""
    while queued := outbox.next(kinds):
        yield queued
        outbox.delivered([queued])
