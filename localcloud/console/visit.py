"""What a page may use: the store, the devices' links, and the project whose key signed in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from localcloud.calls import Calls
from localcloud.storage.store import Store


class Presence(Protocol):
    """Knows which devices are connected."""

    def is_online(self, device_id: str) -> bool:
        """Whether the device has a live session."""


@dataclass(frozen=True)
class Visit:
    """One signed-in person's view; ``is_open`` turns false when the session ends."""

    store: Store
    presence: Presence
    calls: Calls
    project_id: str
    max_artifact_bytes: int
    is_open: Callable[[], bool]
