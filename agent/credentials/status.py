"""What ``edgeferry status`` says of certificate and clock, from what the agent noted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.credentials.known_time import KnownTime, as_text, from_text


def certificate_status(noted: Mapping[str, Any], known_time: KnownTime) -> dict[str, Any] | None:
    """The certificate in use, None with a PSK or before the first connection."""
    expires = from_text(noted.get("expires"))
    if expires is None:
        return None
    return {**noted, "days_left": (expires - known_time.now()).days}


def clock_status(known_time: KnownTime) -> dict[str, Any]:
    """Whether the clock can be trusted, and by which time certificates are judged if not.

    ``synchronized`` is null where it can't be found out whether a time server set the clock.
    """
    judged_by = as_text(known_time.newest) if known_time.is_behind else None
    return {"synchronized": known_time.synchronized, "judged_by": judged_by}
