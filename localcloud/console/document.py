"""A device's own document at ``.d/edgeferry``, read with care: it may hold anything."""

from __future__ import annotations

from dataclasses import dataclass

from localcloud.storage.store import Store
from protocol.formats import PlainValue

STATE_PATH = "edgeferry"
_LONGEST = 300

Fields = dict[str, PlainValue]


@dataclass(frozen=True)
class Said:
    """What a device says of itself. ``progress`` is a share of 1 while it downloads.

    ``error`` is reason and detail of its last difficulty. ``worker`` is its worker's figures.
    """

    state: str | None
    since: str | None
    release: str | None
    runs: dict[str, str]
    target: dict[str, str]
    progress: float | None
    reason: str
    error: str
    worker: Fields


def read_document(store: Store, device_id: str) -> Said:
    """The document of a device, empty where there is none."""
    document = mapping(store.state.read(device_id, [STATE_PATH]))
    active, target = mapping(document.get("active")), mapping(document.get("target"))
    difficulty = mapping(document.get("last_error"))
    reason, detail = words(difficulty.get("reason")), words(difficulty.get("detail"))
    return Said(
        state=words(document.get("state")) or None,
        since=words(document.get("since")) or None,
        release=words(active.get("id")) or None,
        runs=_versions(active),
        target=_versions(target),
        progress=_progress(mapping(document.get("progress"))) if target else None,
        reason=reason,
        error=": ".join(part for part in (reason, detail) if part),
        worker=mapping(document.get("worker")),
    )


def mapping(value: PlainValue) -> Fields:
    """An object, or an empty one."""
    return value if isinstance(value, dict) else {}


def words(value: PlainValue) -> str:
    """A text of bounded length, or an empty one."""
    return value[:_LONGEST] if isinstance(value, str) else ""


def number(value: PlainValue) -> float | None:
    """A number, or None."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _versions(release: Fields) -> dict[str, str]:
    versions = {name: words(version) for name, version in mapping(release.get("versions")).items()}
    return {name: version for name, version in versions.items() if version}


def _progress(document: Fields) -> float | None:
    done, total = number(document.get("bytes_done")), number(document.get("bytes_total"))
    # What is complete is left from an earlier download: this one says so by its next state.
    if done is None or total is None or not 0 <= done < total:
        return None
    return done / total
