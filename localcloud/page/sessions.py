"""Who is signed in to the fleet page."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass

LIFETIME = 12 * 3600.0
MAX_SESSIONS = 100


@dataclass(frozen=True)
class _Session:
    project_id: str
    ends: float


class Sessions:
    """Random tokens for projects, in memory only: a restart signs everybody out."""

    def __init__(self) -> None:
        self._sessions: dict[str, _Session] = {}

    def open(self, project_id: str) -> str:
        """A new token for the project, good for 12 hours."""
        while len(self._sessions) >= MAX_SESSIONS:
            self._sessions.pop(next(iter(self._sessions)))
        token = secrets.token_urlsafe(32)
        self._sessions[token] = _Session(project_id, time.monotonic() + LIFETIME)
        return token

    def project(self, token: str | None) -> str | None:
        """The project a token was opened for, unless it has ended."""
        session = self._sessions.get(token or "")
        if session is None or session.ends < time.monotonic():
            return None
        return session.project_id

    def close(self, token: str | None) -> None:
        """Sign out."""
        self._sessions.pop(token or "", None)
