"""How a device's session behaves."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.pacing import GOLIOTH_LIMIT


@dataclass(frozen=True)
class SessionSettings:
    """How a session behaves; times are in seconds, the defaults fit Golioth.

    A dead server is noticed after ``keepalive_interval`` + ``ping_timeout``, which is below 30 s.
    ``requests_per_second`` is the server's limit, None for a server without one;
    ``bytes_per_second`` caps what the device takes of its link, both ways together. A link that
    held for ``stable_after`` makes the next reconnection start with short waits again.
    """

    requests_per_second: float | None = GOLIOTH_LIMIT
    bytes_per_second: float | None = None
    poll_interval: float = 300.0
    keepalive_interval: float = 8.0
    ping_timeout: float = 18.0
    request_timeout: float = 30.0
    handshake_timeout: float = 20.0
    backoff_initial: float = 1.0
    backoff_maximum: float = 60.0
    stable_after: float = 30.0
    observe_retry_initial: float = 5.0
    in_flight: int = 32
    source_host: str | None = None
