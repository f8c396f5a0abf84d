"""Which devices of the fleet a person wants to see, in which order, and how they are written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from localcloud.console.fleet import TONES, DeviceRow

ANY = ""
NO_COHORT = "in no cohort"
TROUBLE = "in trouble"
_TROUBLES = frozenset(status for status, tone in TONES.items() if tone == "bad")

_ORDERS: dict[str, Callable[[DeviceRow], Any]] = {
    "name": lambda row: row.name,
    "status": lambda row: list(TONES).index(row.status),
    "runs": lambda row: version_texts(row.runs),
    "seen": lambda row: row.seen or "",
}


@dataclass
class FleetFilter:
    """What the filters are set to; "" lets everything through."""

    term: str = ANY
    cohort: str = ANY
    status: str = ANY
    version: str = ANY
    link: str = ANY
    order: str = ANY
    descending: bool = False

    def apply(self, rows: Iterable[DeviceRow]) -> list[DeviceRow]:
        """What passes, in the wanted order; without one, troubles come first."""
        passing = [row for row in rows if self._accepts(row)]
        if self.order in _ORDERS:
            passing.sort(key=_ORDERS[self.order], reverse=self.descending)
        return passing

    def _accepts(self, row: DeviceRow) -> bool:
        return (
            self.term.lower() in f"{row.name} {row.why}".lower()
            and self.cohort in (ANY, row.cohort or NO_COHORT)
            and (self.status in (ANY, row.status) or self._wants_trouble(row))
            and (self.version == ANY or self.version in version_texts(row.runs))
            and self.link in (ANY, link_word(row))
        )

    def _wants_trouble(self, row: DeviceRow) -> bool:
        return self.status == TROUBLE and row.status in _TROUBLES


@dataclass(frozen=True)
class Choices:
    """What the filters offer."""

    cohorts: Sequence[str]
    statuses: Sequence[str]
    versions: Sequence[str]


def choices(rows: Sequence[DeviceRow]) -> Choices:
    """What there is to choose from among these devices."""
    statuses = {row.status for row in rows}
    versions = {text for row in rows for text in version_texts(row.runs)}
    return Choices(
        sorted({row.cohort or NO_COHORT for row in rows}),
        [TROUBLE, *(status for status in TONES if status in statuses)],
        sorted(versions),
    )


def tally(rows: Sequence[DeviceRow]) -> dict[str, int]:
    """How many devices there are, are online, updating and in trouble."""
    tones = Counter(TONES[row.status] for row in rows)
    return {
        "devices": len(rows),
        "online": sum(row.online for row in rows),
        "updating": sum(row.status == "updating" for row in rows),
        TROUBLE: tones["bad"],
    }


def table_row(row: DeviceRow) -> dict[str, Any]:
    """A device as the table's cells read it."""
    worker = row.said.worker
    fps, state = worker.get("fps"), worker.get("state")
    serving = f"{fps:.1f} pictures/s" if isinstance(fps, int | float) else ""
    awaited = {name: version for name, version in row.wanted.items() if row.runs.get(name)}
    differs = row.status != "current" and awaited != dict(row.runs)
    return {
        "id": row.id,
        "name": row.name,
        "cohort": row.cohort or NO_COHORT,
        "online": row.online,
        "seen": row.seen,
        "status": row.status,
        "tone": TONES[row.status],
        "why": row.why,
        "progress": row.said.progress,
        "versions": version_texts(row.runs),
        "awaits": ", ".join(version_texts(row.wanted)) if differs else "",
        "worker": serving or (state if isinstance(state, str) else ""),
    }


def version_texts(versions: Mapping[str, str]) -> list[str]:
    """Versions as they are written everywhere, by package."""
    return [f"{package} {version}" for package, version in sorted(versions.items())]


def link_word(row: DeviceRow) -> str:
    """Whether the device has a live session, in a word."""
    return "online" if row.online else "offline"
