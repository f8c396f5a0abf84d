"""The release store on disk.

Rules:

* Nothing has a final name before it is verified, synced and its folder synced.
* ``current`` is the one switch: model and labels always change together.
* What is damaged or half done is repaired by doing the step again; every method may be repeated.

The layout is a contract with users and their tools::

    blobs/<sha256>        partial/<sha256>.part        releases/<id>/
    current -> releases/<id>        previous -> releases/<id>        models/
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from agent.store.blobs import Blobs
from agent.store.files import Files, free_bytes, storage_errors
from agent.store.names import PackageNames
from agent.store.releases import ReleaseDamaged, Releases, is_release_id
from agent.store.views import ModelsView
from states.model import Package, Release
from states.ports import Postponed
from states.reasons import Transient

logger = logging.getLogger(__name__)


class ReleaseStore:
    """Implements :class:`states.ports.Store` in one state directory.

    ``reserve_bytes`` of the file system are never counted as available; ``keep_releases`` are
    retained besides the active and the previous one. Nothing is written before :meth:`prepare`, so
    a reader may look at the directory of a running agent.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        names: PackageNames,
        reserve_bytes: int,
        keep_releases: int,
        files: Files | None = None,
    ) -> None:
        self.state_dir = state_dir
        self.files = files or Files()
        self._names = names
        self._blobs = Blobs(state_dir, self.files)
        self._releases = Releases(state_dir, self._blobs, self._names, self.files)
        self._view = ModelsView(state_dir, self._names, self.files)
        self._reserve_bytes = reserve_bytes
        self._keep_releases = keep_releases

    def prepare(self) -> None:
        """Make the folders and remove what a power cut left half done. Raises Postponed."""
        folders = (
            self._blobs.folder,
            self._blobs.partial_folder,
            self._releases.folder,
            self._view.folder,
        )
        for folder in folders:
            self.files.make_folder(folder)
        # A process killed after mkdir leaves folders that are not on the disk yet.
        self.files.sync_folder(self.state_dir)
        for folder in (self.state_dir, *folders):
            self.files.remove_leftovers(folder)

    # What is there.

    def missing(self, release: Release) -> tuple[Package, ...]:
        """Packages whose verified bytes are not on disk, smallest first."""
        absent = (package for package in release.packages if not self._blobs.has(package))
        return tuple(sorted(absent, key=lambda package: (package.size, package.name)))

    def has(self, package: Package) -> bool:
        """Whether a package's verified bytes are on disk."""
        return self._blobs.has(package)

    def available_bytes(self) -> int:
        """Bytes that may be written without touching the reserve; 0 when it is touched already."""
        with storage_errors(self.state_dir):
            return max(0, free_bytes(self.state_dir) - self._reserve_bytes)

    def fetched_bytes(self, package: Package) -> int:
        """Bytes of a package already on disk, verified or in a partial download."""
        return package.size if self.has(package) else self._blobs.partial_bytes(package)

    def holds_base(self, prefix: str) -> bool:
        """Whether verified bytes are on disk whose SHA-256 begins so."""
        return self._blobs.any_beginning_with(prefix)

    def active(self) -> str | None:
        """Release id that ``current`` points at, or None."""
        return self._pointed_at("current")

    def previous(self) -> str | None:
        """Release id that ``previous`` points at, or None."""
        return self._pointed_at("previous")

    def holds(self, release_id: str) -> bool:
        """Whether ``releases/<id>/`` is complete on disk (sizes, not hashes)."""
        return self._releases.holds(release_id)

    def releases(self) -> tuple[str, ...]:
        """Ids of all releases on disk, the last assembled first."""
        return tuple(self._releases.ids())

    def read_release(self, release_id: str) -> Release:
        """What a release on disk consists of. Raises ReleaseDamaged."""
        return self._releases.read(release_id)

    def contents(self, release_id: str) -> Release | None:
        """What a release on disk consists of; None when its folder is gone or damaged."""
        try:
            return self.read_release(release_id)
        except ReleaseDamaged:
            return None

    # Getting a release onto the disk.

    def blob_path(self, package: Package) -> Path:
        """Where a package's verified bytes are. Raises Rejected if its SHA-256 is none."""
        return self._blobs.path(package.sha256)

    def partial_path(self, package: Package) -> Path:
        """Where a package is gathered. Raises Rejected if its SHA-256 is none."""
        return self._blobs.partial_path(package.sha256)

    def admit(self, package: Package, part: Path) -> None:
        """Verify a complete download and keep it as a blob.

        Raises WrongContent (a Rejected: size-mismatch, hash-mismatch) after removing the file, and
        Postponed.
        """
        self._blobs.admit(package, part)

    def verify_blobs(self, release: Release) -> tuple[Package, ...]:
        """Hash again what is on disk; damaged blobs are removed and returned, to be fetched again.

        Reads every byte of the release: call it from a thread. Raises Postponed.
        """
        return tuple(p for p in release.packages if self._blobs.remove_damaged(p))

    def assemble(self, release: Release) -> None:
        """Make ``releases/<id>/`` complete and durable; raises Postponed."""
        self._releases.assemble(release)

    def switch(self, release_id: str | None, previous: str | None) -> None:
        """Point ``current`` and ``previous`` at these releases, atomically and durably.

        ``current`` moves first and at once; everything else only follows it. Raises Postponed for
        a release that is not complete on disk; such a ``previous`` is left out instead.
        """
        if release_id is not None and not self.holds(release_id):
            raise Postponed(
                Transient.STORAGE_ERROR,
                f"{self.state_dir}: release {release_id} is not complete, so it can't be activated",
            )
        if previous is not None and not self.holds(previous):
            logger.warning("release %s is not complete: there is none to go back to", previous)
            previous = None
        self._point("current", release_id)
        self._point("previous", previous)
        self._refresh_view(self.releases())

    def collect(self, wanted: Iterable[Release] = (), confirmed: Sequence[str] = ()) -> None:
        """Remove what neither retention nor the ``wanted`` releases, still to come, need.

        Retention keeps the active, the previous and N more releases; first those ``confirmed``
        here once, for what was rejected is nothing to go back to, then the last assembled.
        """
        wanted = tuple(wanted)
        on_disk = self.releases()
        keep = {release.id for release in wanted}
        retained = self._retained(sorted(on_disk, key=lambda i: i not in confirmed), keep)
        self._refresh_view([i for i in on_disk if i in retained])
        for release_id in on_disk:
            if release_id not in retained:
                logger.info("removing release %s: not retained", release_id)
                self._releases.remove(release_id)
        needed = {p.sha256 for release in wanted for p in release.packages}
        needed |= {sha256 for i in retained for sha256 in self._releases.linked_blobs(i)}
        self._blobs.keep_only(needed)
        self._blobs.keep_only_partials(needed)

    def _retained(self, on_disk: list[str], keep: set[str]) -> set[str]:
        needed = {i for i in (self.active(), self.previous(), *keep) if i is not None}
        more = [i for i in on_disk if i not in needed and self.holds(i)]
        return needed | set(more[: self._keep_releases])

    def _pointed_at(self, name: str) -> str | None:
        link = self.state_dir / name
        with storage_errors(link):
            if not link.is_symlink():
                return None
            target = link.readlink()
        return target.name if is_release_id(target.name) else None

    def _point(self, name: str, release_id: str | None) -> None:
        link = self.state_dir / name
        if release_id is None:
            self.files.remove(link)
        else:
            self.files.point(link, f"releases/{release_id}")

    def _refresh_view(self, on_disk: Iterable[str]) -> None:
        active = self.active()
        first = [i for i in (active, self.previous()) if i is not None]
        known: dict[str, Release] = {}
        for release_id in dict.fromkeys([*first, *on_disk]):
            try:
                known[release_id] = self.read_release(release_id)
            except ReleaseDamaged as damaged:
                logger.warning("left out of models/: %s", damaged)
        if active is None or active in known:
            self._view.refresh(known.get(active or ""), known.values())
