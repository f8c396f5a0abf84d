"""The live picture: encoded once for all who watch, and not at all while nobody does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import cv2

from agent.worker.jpeg import encode_jpeg
from agent.worker.preview.annotate import annotated
from agent.worker.preview.spectator import Sight, Spectator

log = logging.getLogger(__name__)

BOUNDARY = "edgeferry-frame"
MOST_WATCHERS = 16
# A picture is sent again while the camera gives no new one, so that banners still come and go.
REPEAT_SECONDS = 1.0


class TooManyWatchers(Exception):  # noqa: N818 - reads as what happened
    """Nobody more can watch for now."""


class LiveStream:
    """Encodes pictures for watchers. Lives on the preview's own event loop."""

    def __init__(self, spectator: Spectator, frames_per_second: float) -> None:
        self.encoded = 0
        """Pictures, ever."""
        self._spectator = spectator
        self._period = 1 / frames_per_second
        self._watchers = 0
        self._encoding: asyncio.Task[None] | None = None
        self._newest = b""
        self._news = asyncio.Event()
        self._closed = False
        self._failing = False

    @property
    def watchers(self) -> int:
        """How many watch now."""
        return self._watchers

    async def next_picture(self, patience: float | None = None) -> bytes | None:
        """The next JPEG file; None when none came within ``patience`` seconds, or at the end.

        Call it while :meth:`watching`. Who comes late gets fewer pictures, the newest each time.
        """
        news = self._news
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await news.wait()
        return self._newest if news.is_set() and not self._closed else None

    def close(self) -> None:
        """End everybody's stream."""
        self._closed = True
        self._tell()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Be one of those who watch. Raises TooManyWatchers."""
        if self._watchers >= MOST_WATCHERS:
            raise TooManyWatchers
        self._watchers += 1
        if self._encoding is None or self._encoding.done():
            self._encoding = asyncio.create_task(self._encode(), name="encode")
        try:
            yield
        finally:
            self._watchers -= 1

    async def _encode(self) -> None:
        """Encode until nobody watches any more."""
        loop = asyncio.get_running_loop()
        last, repeat_at = -1, 0.0
        while self._watchers and not self._closed:
            due = loop.time() + self._period
            sight = await self._spectator.look()
            if sight and (sight.frame.number != last or loop.time() >= repeat_at):
                last, repeat_at = sight.frame.number, loop.time() + REPEAT_SECONDS
                await self._show(sight)
            elif sight:
                self._spectator.release(sight)
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def _show(self, sight: Sight) -> None:
        """Encode a picture for all; one that can't be is left out, for the next one may be."""
        try:
            self._newest = await asyncio.to_thread(self._jpeg, sight)
        except (ValueError, MemoryError, cv2.error):
            if not self._failing:
                log.exception("picture %d can't be shown in the preview", sight.frame.number)
            self._failing = True
            return
        if self._failing:
            log.info("pictures are shown in the preview again")
        self._failing = False
        self.encoded += 1
        self._tell()

    def _jpeg(self, sight: Sight) -> bytes:
        with self._spectator.picture(sight) as picture:
            return encode_jpeg(annotated(picture, sight.caption))

    def _tell(self) -> None:
        """Wake whoever waits, once."""
        news, self._news = self._news, asyncio.Event()
        news.set()
