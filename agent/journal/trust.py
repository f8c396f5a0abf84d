"""Whose word counts on this device, as the journal keeps it: a fact of one JSON object."""

from __future__ import annotations

import json

from states.trust import Trust

TRUST_FACT = "trust"

_KEYS = ("pinned", "root_keys", "release_keys")


def as_fact(trust: Trust) -> str:
    """The text that stands for it; equal for equal ones."""
    document = {
        **{name: sorted(getattr(trust, name)) for name in _KEYS},
        "list_number": trust.list_number,
        "numbers": dict(trust.numbers),
        "signature": trust.signature,
        "release": trust.release,
    }
    return json.dumps(document, sort_keys=True)


def as_trust(fact: str | None) -> Trust:
    """What :func:`as_fact` wrote; without a fact the trust of a device that asks nobody."""
    if fact is None:
        return Trust()
    document = json.loads(fact)
    return Trust(**{**document, **{name: frozenset(document[name]) for name in _KEYS}})
