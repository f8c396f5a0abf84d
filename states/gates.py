"""When an update may go on: time windows and a hold. Pure; the agent knows time and file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import time
from enum import StrEnum

_WINDOW = re.compile(r"(\d{2}):(\d{2})-(\d{2}):(\d{2})")


class Step(StrEnum):
    """What may have to wait."""

    DOWNLOAD = "download"
    ACTIVATION = "activation"


class Hold(StrEnum):
    """What a person has put on hold; downloads imply activation."""

    NOTHING = "nothing"
    ACTIVATION = "activation"
    EVERYTHING = "everything"

    def stops(self, step: Step) -> bool:
        """Whether it keeps this step from beginning."""
        return self is Hold.EVERYTHING or (self is Hold.ACTIVATION and step is Step.ACTIVATION)


def stricter(one: Hold, other: Hold) -> Hold:
    """What is on hold when both are."""
    return max(one, other, key=list(Hold).index)


@dataclass(frozen=True)
class TimeWindow:
    """A time of day, every day, in the device's own time zone; it may pass midnight."""

    opens: time
    closes: time

    @classmethod
    def parse(cls, text: str) -> TimeWindow:
        """Read ``HH:MM-HH:MM``.

        Raises:
            ValueError: it is not of that form, or empty.
        """
        match = _WINDOW.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is no time window; write it like 22:00-06:00")
        first, second, third, fourth = map(int, match.groups())
        window = cls(time(first, second), time(third, fourth))
        if window.opens == window.closes:
            raise ValueError(f"{text!r} opens and closes at the same time; leave it out instead")
        return window

    def contains(self, now: time) -> bool:
        """Whether it is open; the moment it closes is outside."""
        if self.opens < self.closes:
            return self.opens <= now < self.closes
        return now >= self.opens or now < self.closes

    def __str__(self) -> str:
        return f"{self.opens:%H:%M}-{self.closes:%H:%M}"


@dataclass(frozen=True)
class Gates:
    """The windows of each step; none means any time."""

    download: Sequence[TimeWindow] = ()
    activation: Sequence[TimeWindow] = ()

    def closed(self, step: Step, now: time, hold: Hold, desired: Hold = Hold.NOTHING) -> str | None:
        """Why a step must wait, for people, or None when it may begin.

        ``hold`` was put on at the device, ``desired`` from afar.
        """
        if hold.stops(step):
            return f"{step} is on hold; `edgeferry release-hold` lets it go on"
        if desired.stops(step):
            return f"{step} is on hold from afar; .d/edgeferry/desired in the cloud lets it go on"
        windows = self.download if step is Step.DOWNLOAD else self.activation
        if windows and not any(window.contains(now) for window in windows):
            return f"{step} waits for its time: {', '.join(map(str, windows))}"
        return None
