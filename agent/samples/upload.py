"""Sends samples to the cloud, a part at a time, when nothing else needs the link.

The newest goes first: it shows what the present model is unsure of, and the oldest are those that
the quota takes next. One that was begun is finished before another. A sample that is deleted
meanwhile, by the quota or by a person, is not sent any further.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Set
from dataclasses import dataclass, replace
from typing import Protocol

from agent.cloud.attempts import Attempts, Fate
from agent.journal.uploads import JournalUploads, Sent, Spent
from agent.samples.settings import SampleSettings
from agent.samples.store import Sample, SampleStore
from agent.samples.upload_part import Picture
from states.ports import Postponed

SAMPLES_PATH = "edgeferry/samples"
LOOK_SECONDS = 10.0
"""How often is looked whether there is something to send, and whether it may be."""
LONGEST_PAUSE_SECONDS = 60.0
RESTING = frozenset({"idle", "held", "awaiting-retry"})
"""States of an update in which it needs no link."""


@dataclass(frozen=True)
class UploadRules:
    """Whether samples are sent, and how many bytes of them a day; 0 for any number."""

    on: bool
    bytes_per_day: int

    @classmethod
    def of(cls, settings: SampleSettings) -> UploadRules:
        """What the configuration says."""
        return cls(settings.upload, settings.upload_bytes_per_day)

    def obstacle(self, update_state: str, closed: str | None, spent: Spent) -> str | None:
        """Why nothing is sent at present, for people, or None. ``closed``: what the gates say."""
        if not self.on:
            return "samples.upload is off"
        if update_state not in RESTING:
            return "an update is under way"
        if closed is not None:
            return closed
        if self.bytes_per_day and spent.bytes >= self.bytes_per_day:
            return "the bytes of samples.upload_bytes_per_day are sent for today"
        return None


class Stream(Protocol):
    """The session, as far as it is needed here."""

    async def wait_connected(self) -> None:
        """Return as soon as a link is up."""

    async def stream(self, path: str, document: bytes) -> None:
        """Send a document; raises ProtocolError."""


@dataclass(frozen=True)
class _UnderWay:
    picture: Picture
    sent: Sent


class SampleUploader:
    """Uploads for ever.

    ``obstacle`` tells why nothing may be sent under these rules and after so many bytes, or None;
    ``today`` gives the day of the budget.
    """

    def __init__(
        self,
        rules: UploadRules,
        store: SampleStore,
        uploads: JournalUploads,
        stream: Stream,
        *,
        obstacle: Callable[[UploadRules, Spent], str | None],
        today: Callable[[], str],
    ) -> None:
        self._rules = rules
        self._store = store
        self._uploads = uploads
        self._stream = stream
        self._obstacle = obstacle
        self._today = today
        self._spent = uploads.spent(today())
        self._attempts = Attempts("samples", LONGEST_PAUSE_SECONDS)
        self._under_way: _UnderWay | None = None
        self._refused: set[str] = set()

    def go_by(self, rules: UploadRules) -> None:
        """Other rules from the next part on."""
        self._rules = rules

    async def run(self) -> None:
        """Send what there is whenever it may be."""
        while True:
            try:
                moved = await self.step()
            except Postponed as trouble:
                self._under_way = None
                await self._attempts.wait_out(trouble)
                moved = False
            if not moved:
                await asyncio.sleep(LOOK_SECONDS)

    async def step(self) -> bool:
        """Send one part; False when there is none or none may be sent now."""
        await self._stream.wait_connected()
        if self._spent.day != self._today():
            self._spent = Spent(self._today())
        if self._obstacle(self._rules, self._spent) is not None:
            return False
        if self._under_way is None or not self._store.holds(self._under_way.picture.sample):
            self._under_way = await self._begin()
        if self._under_way is None:
            return False
        await self._send_part(self._under_way)
        return True

    async def _begin(self) -> _UnderWay | None:
        """The sample to go on with, as far as it is sent."""
        begun = {sent.sample_id: sent for sent in self._uploads.under_way()}
        kept, picture = await asyncio.to_thread(self._choose, begun.keys())
        for gone in begun.keys() - kept:
            self._uploads.forget(gone)
        if picture is None:
            return None
        return _UnderWay(picture, _sent_of(picture, begun.get(picture.sample.id)))

    def _choose(self, begun: Set[str]) -> tuple[Set[str], Picture | None]:
        """What is kept, and the one that is next; there may be thousands, so one alone is read."""
        kept = frozenset(self._store.ids())
        order = sorted(kept, key=lambda this: (this in begun, this), reverse=True)
        for sample_id in order:
            sample = None if sample_id in self._refused else self._store.find(sample_id)
            if sample and (jpeg := self._store.read(sample)):
                return kept, Picture(sample, jpeg)
        return kept, None

    async def _send_part(self, under_way: _UnderWay) -> None:
        picture, sent = under_way.picture, under_way.sent
        if sent.acknowledged < sent.parts:
            body = picture.part(sent.acknowledged).encode()
            self._spent = replace(self._spent, bytes=self._spent.bytes + len(body))
            fate = await self._attempts.make(self._stream.stream(SAMPLES_PATH, body))
            if fate is Fate.LATER:
                return
            if fate is Fate.REFUSED:
                self._refused.add(picture.sample.id)
                self._under_way = None
                return
            sent = replace(sent, acknowledged=sent.acknowledged + 1)
            self._uploads.acknowledge(sent, self._spent)
            self._under_way = _UnderWay(picture, sent)
        if sent.acknowledged == sent.parts:
            self._finish(picture.sample)

    def _finish(self, sample: Sample) -> None:
        """All of it has arrived. In this order, a power cut in between is only gone over again."""
        self._store.acknowledge(sample)
        self._uploads.forget(sample.id)
        self._under_way = None


def _sent_of(picture: Picture, before: Sent | None) -> Sent:
    fresh = Sent(picture.sample.id, picture.sha256, picture.parts)
    # The number of a deleted sample is given away again: with a clock that stands still, its id.
    return before if before and before.sha256 == fresh.sha256 else fresh
