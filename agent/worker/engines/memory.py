"""Whether the memory for another engine is there.

An engine is expected to take as much as the active one, and more if its model is larger. What is
there is the least of three: what the configuration grants, what the cgroup allows, what the machine
has available. Of the last two a reserve is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent.worker.engines.engine import Engine
from agent.worker.engines.process import resident_bytes
from agent.worker.engines.settings import ReleaseFiles

RESERVE_BYTES = 32 << 20
"""For the rest of the device: page cache, the agent's own work, a growing camera buffer."""
# A model's bytes are held, and its weights once more as the runtime packs them.
BYTES_PER_MODEL_BYTE = 2
CHECK_SECONDS = 2.0


class Machine:
    """What the kernel tells of memory; the paths are those of any Linux with cgroup v2."""

    def __init__(self, proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> None:
        self._proc = proc
        self._cgroups = cgroups

    def available(self) -> int | None:
        """Bytes that can be had without swapping; None when a sandbox hides it."""
        kibibytes = _table(self._proc / "meminfo", ":").get("MemAvailable")
        return None if kibibytes is None else kibibytes << 10

    def cgroup_limit(self) -> int | None:
        """The tightest limit on this process's cgroup, or None."""
        return min((limit for limit, _ in self._limits()), default=None)

    def cgroup_room(self) -> int | None:
        """Bytes this process's cgroup may still take; files the kernel can forget don't count."""
        return min(
            (limit - _unforgettable(folder) for limit, folder in self._limits()), default=None
        )

    def _limits(self) -> Iterator[tuple[int, Path]]:
        own = next((line[3:] for line in self._membership() if line.startswith("0::")), "/").strip(
            "/"
        )
        folder = self._cgroups / own
        for level in (folder, *folder.parents):
            for name in ("memory.max", "memory.high"):
                text = _text(level / name)
                if text is not None and text != "max":
                    yield int(text), level
            if level == self._cgroups:
                return

    def _membership(self) -> list[str]:
        return (_text(self._proc / "self" / "cgroup") or "").splitlines()


class Memory:
    """The budget of the worker and its engines."""

    def __init__(self, configured: int, machine: Machine | None = None) -> None:
        """``configured`` in bytes; 0: only what the machine and the cgroup say counts."""
        self._configured = configured
        self._machine = machine or Machine()

    @property
    def budget(self) -> int | None:
        """Bytes for the worker and its engines, or None when only the machine limits them."""
        return self._configured or self._machine.cgroup_limit()

    def figures(self, engines: Mapping[str, Engine]) -> dict[str, Any]:
        """As the control socket shows it, in bytes."""
        sizes = {release: engine.resident_bytes() for release, engine in engines.items()}
        return {
            "budget_bytes": self.budget,
            "worker_bytes": resident_bytes("self"),
            "engines": sizes,
        }

    def shortage(
        self, files: ReleaseFiles, active: tuple[ReleaseFiles, Engine], loaded: Iterable[Engine]
    ) -> str | None:
        """Why there is no room for a release beside the loaded engines, for people, or None.

        Raises OSError when its model can't be read.
        """
        needed = _expected_bytes(files, *active)
        room = min(self._rooms(loaded), default=needed)
        if needed <= room:
            return None
        return f"another engine takes about {needed >> 20} MiB, and {max(0, room) >> 20} are left"

    def _rooms(self, loaded: Iterable[Engine]) -> Iterator[int]:
        if self._configured:
            taken = resident_bytes("self") + sum(engine.resident_bytes() for engine in loaded)
            yield self._configured - taken
        for room in (self._machine.available(), self._machine.cgroup_room()):
            if room is not None:
                yield room - RESERVE_BYTES


async def watch_sizes(engines: Callable[[], Mapping[str, Engine]]) -> None:
    """Have engines that have grown too large fail, for ever."""
    while True:
        await asyncio.sleep(CHECK_SECONDS)
        with suppress(OSError):  # without a free descriptor; the next look is soon
            for engine in engines().values():
                engine.check_size()


def _expected_bytes(files: ReleaseFiles, active: ReleaseFiles, engine: Engine) -> int:
    larger = files.model.stat().st_size - active.model.stat().st_size
    return engine.resident_bytes() + BYTES_PER_MODEL_BYTE * max(0, larger)


def _unforgettable(folder: Path) -> int:
    statistics = _table(folder / "memory.stat", None)
    current = int(_text(folder / "memory.current") or 0)
    return current - statistics.get("inactive_file", 0) - statistics.get("active_file", 0)


def _table(path: Path, separator: str | None) -> dict[str, int]:
    rows = (line.split(separator, 1) for line in (_text(path) or "").splitlines())
    return {name: int(value.split()[0]) for name, value in rows}


def _text(path: Path) -> str | None:
    """A file of the kernel's; None when this kernel or this level has none."""
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
