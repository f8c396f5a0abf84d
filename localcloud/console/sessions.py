"""Who is signed in to the console."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from localcloud.errors import Unauthenticated

LIFETIME = 12 * 3600.0
MAX_SESSIONS = 100

ProjectOf = Callable[[str], str]


@dataclass(frozen=True)
class _Session:
    key: str
    ends: float


class Sessions:
    """Random tokens for API keys, in memory only: a restart signs everybody out.

    ``project_of`` tells the project of an API key, or raises Unauthenticated: a session ends with
    the key it was opened with.
    """

    def __init__(self, project_of: ProjectOf) -> None:
        self._project_of = project_of
        self._sessions: dict[str, _Session] = {}

    def open(self, key: str) -> str:
        """A new token for who has this API key, good for 12 hours. Raises Unauthenticated."""
        self._project_of(key)
        while len(self._sessions) >= MAX_SESSIONS:
            self._sessions.pop(next(iter(self._sessions)))
        token = secrets.token_urlsafe(32)
        self._sessions[token] = _Session(key, time.monotonic() + LIFETIME)
        return token

    def project(self, token: str | None) -> str | None:
        """The project a token was opened for, unless it or its key has ended."""
        session = self._sessions.get(token or "")
        if session is None or session.ends < time.monotonic():
            return None
        try:
            return self._project_of(session.key)
        except Unauthenticated:
            return None

    def close(self, token: str | None) -> None:
        """Sign out."""
        self._sessions.pop(token or "", None)
