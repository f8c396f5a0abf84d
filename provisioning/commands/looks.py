"""Looking again and again at what the cloud knows, over its outages."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Looks(Generic[T]):
    """``look`` asks the cloud; an outage leaves what was known before, and is said once."""

    def __init__(self, look: Callable[[], T]) -> None:
        self._look = look
        self._away = False

    def first(self) -> T:
        """What there is to see. Raises ProvisioningError."""
        return self._look()

    def again(self, before: T) -> T:
        """What there is to see now, or ``before`` while the cloud is away."""
        from provisioning.errors import RateLimited, ServerFailed, Unreachable

        try:
            found = self._look()
        except (Unreachable, ServerFailed, RateLimited) as error:
            if not self._away:
                _log.warning("nothing new is known for now, still waiting: %s", error)
            self._away = True
            return before
        if self._away:
            _log.warning("the cloud answers again")
        self._away = False
        return found
