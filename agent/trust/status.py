"""Whose word counts here, for people and scripts."""

from __future__ import annotations

from typing import Any

from states.trust import Trust


def trust_status(trust: Trust) -> dict[str, Any] | None:
    """The ``trust`` part of ``edgeferry status --json``; None where no signature is asked for."""
    if not trust.demanded:
        return None
    return {
        "release_keys": sorted(trust.release_keys),
        "root_keys": sorted(trust.root_keys),
        "key_list": trust.list_number or None,
        "number": trust.floor or None,
    }
