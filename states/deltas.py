"""Whether a package is worth fetching through a patch. Pure: the disk is asked through a port."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from states.model import Companion, Package


class Disk(Protocol):
    """What :class:`states.ports.Store` knows of packages that are needed or may serve as a base."""

    def holds_base(self, prefix: str) -> bool:
        """Whether verified bytes are on disk whose SHA-256 begins so."""

    def fetched_bytes(self, package: Package) -> int:
        """Bytes of a package that are on disk already."""

    def available_bytes(self) -> int:
        """Bytes that may be written."""


def best_companion(
    package: Package, companions: Iterable[Companion], disk: Disk
) -> Companion | None:
    """The patch that brings a missing package with the fewest bytes over the air, if any does.

    None without a base on disk; when less is left to be fetched of the package than of the patch;
    and without room for both, for the package is written anew, beside what an interrupted download
    has left of it.
    """
    usable = [c for c in companions if c.package == package.name and disk.holds_base(c.base)]
    best = min(usable, key=lambda c: bytes_to_fetch(c.patch, disk), default=None)
    if best is None:
        return None
    patch_bytes = bytes_to_fetch(best.patch, disk)
    worth_it = patch_bytes < bytes_to_fetch(package, disk)
    return best if worth_it and patch_bytes + package.size <= disk.available_bytes() else None


def patches_for(
    missing: Iterable[Package], companions: Iterable[Companion], disk: Disk
) -> tuple[Package, ...]:
    """The patches that would be fetched on the way to the missing packages."""
    companions = tuple(companions)
    chosen = (best_companion(package, companions, disk) for package in missing)
    return tuple(companion.patch for companion in chosen if companion is not None)


def bytes_to_fetch(package: Package, disk: Disk) -> int:
    """Bytes of a package that are not on disk yet."""
    return package.size - disk.fetched_bytes(package)
