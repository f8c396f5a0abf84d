"""What holding a fleet of some size came to, as rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from bench.fleets.crowd import ONE_CERTIFICATE_IN
from bench.report import Goal, Row
from bench.support.quantiles import quantile

LINEAR = Goal("ratio", 0.7)
"""What a fleet costs, beside the run's smallest times the devices: less would not be linear."""
NONE = Goal("ours", 0, ceiling=True)

Mishaps = Mapping[str, int]

_MIB = 1 << 20


@dataclass(frozen=True)
class Cost:
    """What something took: seconds that passed, and processor seconds of the cloud's process."""

    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class Update:
    """Seconds from the order to deploy until all devices had come so far."""

    notified: float
    fetched: float
    reported: float
    cpu_seconds: float


@dataclass(frozen=True)
class Restart:
    """Seconds from SIGTERM until all devices were back, and until there was a cloud again.

    ``mishaps`` are those of the whole run.
    """

    back: float
    down: float
    mishaps: Mishaps


@dataclass(frozen=True)
class Fleet:
    """A run with so many devices that each fetched ``artifact_bytes``.

    ``listed`` is how many seconds the API needs to tell of all. ``pings`` are the round trips of a
    further device's signs of life, in milliseconds, before and during the update. ``mishaps`` are
    those before the restart.
    """

    devices: int
    artifact_bytes: int
    connecting: Cost
    resident_bytes: int
    idle: Cost
    update: Update
    listed: float
    restart: Restart
    idle_pings: Sequence[float]
    busy_pings: Sequence[float]
    mishaps: Mishaps

    @property
    def case(self) -> str:
        """As the table has it."""
        return f"devices={self.devices:,} size={self.artifact_bytes >> 10}KiB"

    @property
    def transferred_mib(self) -> float:
        """What all devices fetched."""
        return self.devices * self.artifact_bytes / _MIB


def rows_of(fleets: Sequence[Fleet]) -> list[Row]:
    """All rows, the smallest fleet first: what the others cost is compared with it."""
    smallest = list(_growing(fleets[0]))
    rows: list[Row] = []
    for fleet in fleets:
        times = fleet.devices / fleets[0].devices
        for row, least in zip(_growing(fleet), smallest, strict=True):
            compared = fleet is not fleets[0]
            linear = least.ours * times if compared else None
            rows.append(replace(row, baseline=linear, goal=row.goal if compared else None))
        rows += _steady(fleet)
    return rows


def _growing(fleet: Fleet) -> Iterator[Row]:
    """What should grow with the devices and no faster."""
    case, devices = fleet.case, fleet.devices
    connecting, update, idle = fleet.connecting, fleet.update, fleet.idle
    mixture = f"one device in {ONE_CERTIFICATE_IN} has a certificate, the others a pre-shared key"
    note = f"{devices / connecting.seconds:.0f}/s; {mixture}"
    yield Row(case, "all connected", "s", connecting.seconds, note=note)
    note = f"{connecting.cpu_seconds / devices * 1000:.1f} ms each"
    yield _compared(case, "cloud CPU time for it", "s", connecting.cpu_seconds, note)
    note = f"{fleet.resident_bytes / devices / 1024:.0f} KiB each"
    yield Row(case, "cloud memory", "MiB", fleet.resident_bytes / _MIB, note=note)
    share = idle.cpu_seconds / idle.seconds * 100
    yield _compared(case, "idle cloud, share of a core", "%", share)
    yield Row(case, "all notified", "s", update.notified)
    note = f"{fleet.transferred_mib / update.fetched:.1f} MiB/s"
    yield Row(case, "all fetched", "s", update.fetched, note=note)
    yield Row(case, "all reported", "s", update.reported)
    per_mib = f"{update.cpu_seconds / fleet.transferred_mib:.2f} s per MiB with all reports"
    note = f"{update.cpu_seconds / devices * 1000:.0f} ms each, {per_mib}"
    yield _compared(case, "cloud CPU time for the update", "s", update.cpu_seconds, note)
    yield Row(case, "listed through the API", "s", fleet.listed)


def _compared(case: str, metric: str, unit: str, ours: float, note: str = "") -> Row:
    return Row(case, metric, unit, ours, goal=LINEAR, note=note)


def _steady(fleet: Fleet) -> Iterator[Row]:
    """What should be the same for any fleet."""
    case, restart, mishaps = fleet.case, fleet.restart, fleet.mishaps
    idle, longest = median(fleet.idle_pings), max(fleet.busy_pings)
    note = f"longest {longest:.0f} ms; median while idle {idle:.1f} ms"
    late = quantile(fleet.busy_pings, 0.99)
    yield Row(case, "99 % of signs of life in the update", "ms", late, note=note)
    note = f"{restart.down:.1f} s of it without a cloud"
    yield Row(case, "all back after a restart", "s", restart.back, note=note)
    before = mishaps["handshake_timeouts"]
    after = restart.mishaps["handshake_timeouts"] - before
    yield Row(case, "handshakes timed out, connecting", "", before, goal=NONE)
    yield Row(case, "handshakes timed out, coming back", "", after, goal=NONE)
    note = f"{mishaps['repeated']} blocks asked for again, {mishaps['refused']} answers 4.29"
    yield Row(case, "links lost unasked", "", mishaps["links_lost"], goal=NONE, note=note)
