"""Keeps an open page true: parts of it are drawn anew when what they show has changed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from nicegui import ui

from localcloud.console.sign_in import SIGN_IN
from localcloud.console.visit import Visit
from localcloud.errors import CloudError

INTERVAL_SECONDS = 1.0
# Reading for a page may take this share of the cloud's time at most.
_SHARE = 0.1

T = TypeVar("T")
IsSeen = Callable[[], bool]


def _always() -> bool:
    return True


class Live:
    """The live parts of one open page.

    They are looked at once a second, and only when something was written to the store meanwhile.
    """

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._parts: list[_Part[Any]] = []
        self._revision = visit.store.revision
        self._not_before = 0.0
        ui.timer(INTERVAL_SECONDS, self._tick, immediate=False)

    def follow(
        self, read: Callable[[], T], show: Callable[[T], None], is_seen: IsSeen = _always
    ) -> Callable[[], None]:
        """Show what ``read`` returns, now and whenever it differs from what was shown.

        Nothing is read while ``is_seen`` says so. Returns what looks again at once, for a filter
        that has changed.
        """
        part = _Part(read, show, is_seen)
        self._parts.append(part)
        part.refresh()
        return part.refresh

    def look(self) -> None:
        """Look at everything again at once, for what has come into sight."""
        for part in self._parts:
            part.refresh()

    def section(
        self,
        read: Callable[[], T],
        draw: Callable[[T], None],
        classes: str = "",
        is_seen: IsSeen = _always,
    ) -> Callable[[], None]:
        """As :meth:`follow`; what ``draw`` makes replaces what it made before."""
        container = ui.element("div").classes(classes)

        def show(data: T) -> None:
            container.clear()
            with container:
                draw(data)

        return self.follow(read, show, is_seen)

    def _tick(self) -> None:
        if not self._visit.is_open():
            ui.navigate.to(SIGN_IN)
            return
        started = time.monotonic()
        if self._visit.store.revision == self._revision or started < self._not_before:
            return
        self._revision = self._visit.store.revision
        self.look()
        self._not_before = time.monotonic() + (time.monotonic() - started) / _SHARE


class _Part(Generic[T]):
    def __init__(self, read: Callable[[], T], show: Callable[[T], None], is_seen: IsSeen) -> None:
        self._read, self._show, self._is_seen = read, show, is_seen
        self._shown: T | CloudError | None = None

    def refresh(self) -> None:
        if not self._is_seen():
            return
        try:
            data = self._read()
        except CloudError as error:
            # What the page is about was deleted meanwhile.
            if str(self._shown) != str(error):
                self._shown = error
                ui.notify(str(error), type="warning")
            return
        if data != self._shown:
            self._shown = data
            self._show(data)
