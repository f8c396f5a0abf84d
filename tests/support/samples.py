"""Samples as a worker keeps them, and put together again from what a cloud got."""

from __future__ import annotations

import base64
import hashlib
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from agent.samples.store import SampleStore

AT = "20261123T210000Z"


def jpeg(size: int, seed: int = 0) -> bytes:
    """Bytes that differ from part to part."""
    return b"".join(hashlib.sha256(f"{seed} {n}".encode()).digest() for n in range(size // 32 + 1))[
        :size
    ]


def add_sample(store: SampleStore, picture: bytes, **changes: Any) -> str:
    """Keep a picture."""
    return store.add(picture, described(**changes), AT)


def described(label: str = "red", **changes: Any) -> dict[str, Any]:
    """What a worker says of a picture."""
    return {
        "taken_at": "2026-11-23T21:00:00.000Z",
        "why": "audit",
        "release": "abcd",
        "version": "2",
        "source": "camera:0",
        "frame": 7,
        "name": None,
        "known_label": None,
        "top": [{"label": label, "confidence": 0.5}],
        "width": 640,
        "height": 480,
        **changes,
    }


def reassembled(parts: Iterable[dict[str, Any]]) -> dict[str, bytes]:
    """The complete pictures by sample id; each is proved by its hash."""
    found: dict[tuple[str, str, int], dict[int, bytes]] = defaultdict(dict)
    for part in parts:
        key = part["id"], part["sha256"], part["parts"]
        found[key][part["part"]] = base64.b64decode(part["data"])
    pictures = {}
    for (sample_id, sha256, count), pieces in found.items():
        if len(pieces) == count:
            picture = b"".join(pieces[number] for number in range(count))
            assert hashlib.sha256(picture).hexdigest() == sha256
            assert sample_id not in pictures
            pictures[sample_id] = picture
    return pictures
