"""A sample as the stream takes it: in parts, each of which tells what is known of the picture."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass

from agent.samples.store import Sample

FORMAT = 1
PART_BYTES = 12 << 10
"""Of the picture in each part: 16 KiB of base64. A power cut or a lost link costs one part."""
_TOLD = ("taken_at", "why", "release", "version", "name", "known_label")
_BEST = 5
"""Scores told with each part."""


@dataclass(frozen=True)
class Picture:
    """A sample with its JPEG."""

    sample: Sample
    jpeg: bytes

    @property
    def sha256(self) -> str:
        """Of the JPEG."""
        return hashlib.sha256(self.jpeg).hexdigest()

    @property
    def parts(self) -> int:
        """How many there are; at least one."""
        return max(1, -(-len(self.jpeg) // PART_BYTES))

    def part(self, number: int) -> str:
        """The JSON text of a part, counted from 0."""
        data = self.jpeg[number * PART_BYTES : (number + 1) * PART_BYTES]
        known = {name: self.sample.document.get(name) for name in _TOLD}
        document = {
            "format": FORMAT,
            "id": self.sample.id,
            "part": number,
            "parts": self.parts,
            "sha256": self.sha256,
            **known,
            "top": self.sample.document["top"][:_BEST],
            "data": base64.b64encode(data).decode("ascii"),
        }
        return json.dumps(document, ensure_ascii=False, separators=(",", ":"))
