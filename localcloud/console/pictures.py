"""Pictures that devices sent: samples in parts, and snapshots (docs/telemetry.md)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from localcloud.console.visit import Visit
from localcloud.errors import NotFound
from localcloud.storage.database import Paging
from localcloud.storage.stream import StreamFilter

SAMPLES, SNAPSHOTS = "samples", "snapshot"
_JPEG = b"\xff\xd8\xff"
# How far back is looked, in entries that may be 22 KB each; a picture is a few of them.
_PAGES, _PER_PAGE = 15, 20


class _Guess(BaseModel):
    label: str = ""
    confidence: float | None = None


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: str
    data: str
    part: Annotated[int, Field(ge=0)]
    parts: Annotated[int, Field(ge=1, le=1024)]
    sha256: str
    taken_at: str = ""
    why: str | None = None
    version: str | None = None
    top: list[_Guess] = []


class _Snapshot(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: str
    jpeg: str
    at: str = ""
    label: str | None = None
    confidence: float | None = None


@dataclass(frozen=True)
class Picture:
    """What is known of a picture. ``missing`` counts the parts that have not arrived."""

    kind: str
    id: str
    at: str
    label: str
    confidence: float | None
    why: str
    version: str
    missing: int = 0


def samples(visit: Visit, device_id: str) -> list[Picture]:
    """The newest samples of a device, newest first."""
    return [_sample(parts) for parts in _by_sample(visit, device_id).values()]


def newest_snapshot(visit: Visit, device_id: str) -> Picture | None:
    """The last snapshot a device sent."""
    return next((_picture(found) for found in _snapshots(visit, device_id)), None)


def jpeg(visit: Visit, device_id: str, kind: str, picture_id: str) -> bytes:
    """The bytes of a picture; NotFound unless it is whole, unharmed and a JPEG."""
    if kind == SAMPLES:
        content = _joined(_parts_of(visit, device_id, picture_id))
    else:
        found = (one for one in _snapshots(visit, device_id) if one.id == picture_id)
        content = next((_decoded(one.jpeg) for one in found), b"")
    if not content.startswith(_JPEG):
        raise NotFound(f"picture not found: {picture_id}")
    return content


def _by_sample(visit: Visit, device_id: str) -> dict[str, dict[int, _Part]]:
    found: dict[str, dict[int, _Part]] = {}
    for part in _parts(visit, device_id):
        found.setdefault(part.id, {}).setdefault(part.part, part)
    return found


def _parts_of(visit: Visit, device_id: str, picture_id: str) -> dict[int, _Part]:
    """The parts of one sample, looked for no further back than they are."""
    found: dict[int, _Part] = {}
    for part in _parts(visit, device_id):
        if part.id == picture_id:
            found.setdefault(part.part, part)
            if len(found) == part.parts:
                break
    return found


def _parts(visit: Visit, device_id: str) -> Iterator[_Part]:
    for document in _documents(visit, device_id, SAMPLES):
        try:
            yield _Part.model_validate(document)
        except ValidationError:
            continue


def _sample(parts: dict[int, _Part]) -> Picture:
    any_part = next(iter(parts.values()))
    best = any_part.top[0] if any_part.top else _Guess()
    return Picture(
        kind=SAMPLES,
        id=any_part.id,
        at=any_part.taken_at,
        label=best.label,
        confidence=best.confidence,
        why=any_part.why or "",
        version=any_part.version or "",
        missing=any_part.parts - len(parts),
    )


def _joined(parts: dict[int, _Part]) -> bytes:
    content = b"".join(_decoded(parts[number].data) for number in sorted(parts))
    whole = {part.sha256 for part in parts.values()} == {hashlib.sha256(content).hexdigest()}
    return content if whole else b""


def _snapshots(visit: Visit, device_id: str) -> Iterator[_Snapshot]:
    for document in _documents(visit, device_id, SNAPSHOTS):
        try:
            yield _Snapshot.model_validate(document)
        except ValidationError:
            continue


def _picture(snapshot: _Snapshot) -> Picture:
    return Picture(
        kind=SNAPSHOTS,
        id=snapshot.id,
        at=snapshot.at,
        label=snapshot.label or "",
        confidence=snapshot.confidence,
        why="",
        version="",
    )


def _documents(visit: Visit, device_id: str, kind: str) -> Iterator[Any]:
    wanted = StreamFilter([device_id], path=f"edgeferry/{kind}")
    for page in range(_PAGES):
        entries, _ = visit.store.stream.page(visit.project_id, wanted, Paging(page, _PER_PAGE))
        for entry in entries:
            yield entry.data["edgeferry"][kind]
        if not entries:
            return


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
