"""Tells the gateway what the management API changed, inside the one process."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum, auto


class Topic(Enum):
    """What can change about a device."""

    MANIFEST = auto()  # a manifest to push; the key is the device id
    STATE = auto()  # LightDB State; the key is the device id
    SETTINGS = auto()  # settings of a device; the key is the device id
    ACCESS = auto()  # credentials gone, disabled or deleted; the key is the device id
    ROOTS = auto()  # CA certificates; the key is the project id


class Changes:
    """Publish and subscribe. Everything runs in one event loop, so no locks."""

    def __init__(self) -> None:
        self._watchers: defaultdict[tuple[Topic, str], set[asyncio.Event]] = defaultdict(set)
        self._listeners: defaultdict[Topic, list[Callable[[str], None]]] = defaultdict(list)

    def publish(self, topic: Topic, key: str) -> None:
        """Wake whoever watches this topic and key."""
        for event in self._watchers.get((topic, key), ()):
            event.set()
        for listener in self._listeners[topic]:
            listener(key)

    def listen(self, topic: Topic, callback: Callable[[str], None]) -> None:
        """Call back with the key of every change of the topic, for as long as this object lives."""
        self._listeners[topic].append(callback)

    @contextmanager
    def watch(self, topic: Topic, key: str) -> Iterator[asyncio.Event]:
        """An event set on each change; clear it before reading the new value."""
        event = asyncio.Event()
        watchers = self._watchers[topic, key]
        watchers.add(event)
        try:
            yield event
        finally:
            watchers.discard(event)
            if not watchers:
                self._watchers.pop((topic, key), None)
