"""Logging an outage once: its first failure of each kind, and the recovery."""

from __future__ import annotations

import logging

from protocol.errors import LinkError, ResponseError


class Trouble:
    """One thing that may go wrong again and again, such as the connection.

    A flash disk and a person reading the log both want a line per outage, not per retry.
    """

    def __init__(self, logger: logging.Logger, subject: str) -> None:
        self._logger = logger
        self._subject = subject
        self._kinds: set[object] = set()

    def failed(self, error: Exception) -> None:
        """Note a failure; only the first of its kind is a warning.

        Its record has ``about_link`` set when the link or the server's answer is what failed.
        """
        kind = (type(error), getattr(error, "cause_code", None))
        level = logging.DEBUG if kind in self._kinds else logging.WARNING
        self._kinds.add(kind)
        extra = {"about_link": isinstance(error, LinkError | ResponseError)}
        self._logger.log(level, "%s: %s", self._subject, error, extra=extra)

    def recovered(self) -> None:
        """Note that it works; logged only after a failure."""
        if self._kinds:
            self._logger.info("%s: works again", self._subject)
        self._kinds.clear()
