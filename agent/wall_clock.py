"""The wall clock as the journal, the logs and JSON write it: RFC 3339 in UTC.

It is for people only: nothing is decided by it.
"""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> str:
    """Now, to the millisecond."""
    return utc_text(datetime.now(UTC))


def utc_text(moment: datetime, precision: str = "milliseconds") -> str:
    """A moment that knows its time zone; ``precision`` as :meth:`datetime.isoformat` takes it."""
    return moment.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")
