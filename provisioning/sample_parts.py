"""Pictures that devices kept for training, put together again from the stream's parts.

The reading side of docs/telemetry.md: parts come in any order, more than once, and perhaps never.
A picture counts once all its parts are there and its SHA-256 is right.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Self

from pydantic import Base64Bytes, Field, ValidationError, model_validator

from provisioning.documents import Part, StreamedDocument, first_fault
from provisioning.management import Management
from provisioning.resources import StreamEntry

SAMPLES_PATH = "edgeferry/samples"
_JPEG = b"\xff\xd8\xff"
_MOST_PARTS = 4096
_MOST_NAMED = 8
_MOST_WAYS = 64

log = logging.getLogger(__name__)


class Answer(Part):
    """One class that the model saw."""

    label: str
    confidence: float = Field(ge=0, le=1)


class SamplePart(StreamedDocument):
    """One part of a picture, with all that is known of it; ``part`` counts from 0."""

    id: str = Field(pattern=r"^[A-Za-z0-9_-]{1,100}$")
    part: Annotated[int, Field(ge=0)]
    parts: Annotated[int, Field(ge=1, le=_MOST_PARTS)]
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    taken_at: str = ""
    why: str = ""
    release: str = ""
    version: str = ""
    name: str = ""
    known_label: str | None = None
    top: Annotated[tuple[Answer, ...], Field(min_length=1)]
    data: Base64Bytes = Field(repr=False)

    @model_validator(mode="after")
    def _within(self) -> Self:
        if self.part >= self.parts:
            raise ValueError(f"part: {self.part} of {self.parts}")
        return self


Key = tuple[str, str, str]
"""Device, sample and hash: a device that was wiped may use an id again."""


@dataclass(frozen=True)
class PulledSample:
    """A whole picture; ``known`` is one of its parts, for what is known of it."""

    device: str
    known: SamplePart
    jpeg: bytes = field(repr=False)

    @property
    def key(self) -> Key:
        """What it is called for good."""
        return self.device, self.known.id, self.known.sha256


@dataclass(frozen=True)
class Unfinished:
    """A picture that is not there: ``why`` is for people, ``since`` when its first part came."""

    device: str
    id: str
    why: str
    damaged: bool
    since: datetime


class Assembler:
    """Puts parts together; holds in memory only what is not complete yet."""

    def __init__(self, there: Iterable[Key] = ()) -> None:
        """The parts of pictures that are ``there`` already are passed over."""
        self._begun: dict[Key, _Begun] = {}
        self._done = set(there)
        self.unreadable = 0

    def take(self, entry: StreamEntry) -> PulledSample | None:
        """One entry of the stream; the picture that it completes, if it does."""
        try:
            part = SamplePart.model_validate(entry.document)
        except ValidationError as error:
            if not self.unreadable:
                log.warning("a sample of device %s: %s", entry.device_id, first_fault(error))
            self.unreadable += 1
            return None
        key = (entry.device_id, part.id, part.sha256)
        if key in self._done:
            return None
        begun = self._begun.setdefault(key, _Begun(part, entry.time))
        jpeg = begun.add(part, entry.time)
        if jpeg is None:
            return None
        del self._begun[key]
        self._done.add(key)
        return PulledSample(entry.device_id, part, jpeg)

    def left_of(self, device: str) -> list[Unfinished]:
        """What is not complete of a device, by id."""
        left = [begun.unfinished(key) for key, begun in self._begun.items() if key[0] == device]
        return sorted(left, key=lambda each: each.id)


@dataclass
class _Begun:
    last: SamplePart
    since: datetime
    data: dict[int, list[bytes]] = field(default_factory=dict)

    def add(self, part: SamplePart, at: datetime) -> bytes | None:
        """The picture, if it is whole. Of repetitions that differ the hash says which is right."""
        self.last, self.since = part, min(self.since, at)
        known = self.data.setdefault(part.part, [])
        if part.data not in known:
            known.append(part.data)
        if self.missing:
            return None
        ways = itertools.product(*(self.data[number] for number in range(part.parts)))
        for whole in map(b"".join, itertools.islice(ways, _MOST_WAYS)):
            if whole.startswith(_JPEG) and hashlib.sha256(whole).hexdigest() == part.sha256:
                return whole
        return None

    @property
    def missing(self) -> list[str]:
        return [str(number) for number in range(self.last.parts) if number not in self.data]

    def unfinished(self, key: Key) -> Unfinished:
        missing, parts = self.missing, self.last.parts
        why = f"{parts - len(missing)} of {parts} parts, missing {_some(missing)}"
        if not missing:
            why = "the parts make no picture of that SHA-256"
        return Unfinished(key[0], key[1], why, damaged=not missing, since=self.since)


def parts_of(management: Management, device_id: str, start: datetime) -> Iterator[StreamEntry]:
    """A device's parts that arrived from ``start`` on, newest first, fetched as they are read."""
    return management.stream(SAMPLES_PATH, start=start, device_id=device_id)


def _some(names: list[str]) -> str:
    more = ", …" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
