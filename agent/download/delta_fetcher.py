"""Fetches packages through patches where that takes fewer bytes, in full where it does not.

A patch is a shortcut and no more: nothing that is wrong with one costs the update anything but the
patch's bytes. What has failed is not tried again for this deployment; the package comes in full.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Protocol

from agent.download.checkpoint import Checkpoints
from agent.download.fetch_job import Progress
from agent.service.background import run_to_the_end
from agent.store.files import TEMPORARY
from agent.store.release_store import ReleaseStore
from protocol.delta import DeltaError, PatchHeader, read_header, restore
from states.deltas import best_companion
from states.model import Companion, Package
from states.ports import Postponed, Rejected
from states.reasons import Transient

logger = logging.getLogger(__name__)

_MODE = 0o640
_SERVER_ERRORS = 2
"""Updates are tried again after a server's error; a patch only so often."""


class FullFetcher(Protocol):
    """Fetches packages as they are: the downloader."""

    async def fetch(self, packages: tuple[Package, ...], progress: Progress) -> None:
        """Fetch all packages into the store. Raises Postponed or Rejected."""


class DeltaFetcher:
    """Implements :class:`states.ports.Fetcher` in front of a downloader."""

    def __init__(self, full: FullFetcher, store: ReleaseStore, checkpoints: Checkpoints) -> None:
        self._full = full
        self._store = store
        self._checkpoints = checkpoints
        self._failed: set[str] = set()
        self._server_errors: Counter[str] = Counter()

    async def fetch(
        self,
        packages: tuple[Package, ...],
        progress: Progress,
        companions: tuple[Companion, ...],
    ) -> None:
        """Fetch all packages into the store. Raises Postponed or Rejected.

        ``progress(bytes_done, bytes_total)`` counts bytes of the packages; what has come of a
        patch counts as the same share of its package.
        """
        self._failed &= {companion.patch.sha256 for companion in companions}
        for package in packages:
            while (companion := self._companion(package, companions)) is not None:
                share = _Share(progress, packages, package, self._store)
                await self._fetch_through(companion, package, share)
        await self._full.fetch(packages, progress)

    def _companion(self, package: Package, companions: Iterable[Companion]) -> Companion | None:
        """The patch to try next for a package, None when it is on disk or comes in full."""
        untried = [c for c in companions if c.patch.sha256 not in self._failed]
        return best_companion(package, untried, self._store)

    async def _fetch_through(
        self, companion: Companion, package: Package, progress: Progress
    ) -> None:
        """Bring a package onto the disk, or the patch onto the list of failed ones."""
        try:
            await self._full.fetch((companion.patch,), progress)
            await run_to_the_end(self._make, package, companion.patch)
        except (DeltaError, Rejected) as fault:
            self._give_up(companion, package, fault)
        except Postponed as difficulty:
            if not self._is_about(companion.patch, difficulty):
                raise
            self._give_up(companion, package, difficulty)
        else:
            logger.info("%s %s was made with a patch", package.name, package.version)
            self._drop_partial(package)

    def _is_about(self, patch: Package, difficulty: Postponed) -> bool:
        """Whether waiting would be for the patch alone: the package itself may be there."""
        if difficulty.reason is Transient.SERVER_ERROR:
            self._server_errors[patch.sha256] += 1
            return self._server_errors[patch.sha256] >= _SERVER_ERRORS
        return difficulty.reason is Transient.NOT_FOUND

    def _give_up(self, companion: Companion, package: Package, why: Exception) -> None:
        self._failed.add(companion.patch.sha256)
        self._drop_partial(companion.patch)
        patch = f"{companion.patch.name} {companion.patch.version}"
        full = f"{package.name} {package.version}"
        logger.warning("patch %s can't be used, so %s is fetched in full: %s", patch, full, why)

    def _drop_partial(self, package: Package) -> None:
        """Forget what an interrupted download has left: first the note, then the file."""
        self._checkpoints.forget(package.sha256)
        path = self._store.partial_path(package)
        if path.exists():
            self._store.files.remove(path)

    # In a thread.

    def _make(self, package: Package, patch: Package) -> None:
        """Make a package with a patch. Raises DeltaError, Rejected (wrong result), Postponed."""
        path = self._store.blob_path(patch)
        try:
            with path.open("rb") as file:
                header = read_header(file)
                self._write(package, header, self._base(package, header), file)
        except OSError as error:
            # All writing goes through Files: what failed is reading the patch or its base.
            raise DeltaError(f"{error.filename or path}: {error.strerror}") from error
        except MemoryError as error:
            raise DeltaError("there is not enough memory for base and package together") from error

    def _base(self, package: Package, header: PatchHeader) -> Path:
        if (header.target_sha256, header.target_size) != (package.sha256, package.size):
            raise DeltaError(
                f"it makes {header.target_size} bytes that hash to {header.target_sha256},"
                f" the deployment says {package.size} and {package.sha256}"
            )
        base = Package(package.name, "", header.base_sha256, header.base_size)
        if not self._store.has(base):
            raise DeltaError(f"its base {base.sha256} of {base.size} bytes is not on disk")
        return self._store.blob_path(base)

    def _write(self, package: Package, header: PatchHeader, base: Path, patch: BinaryIO) -> None:
        files, part = self._store.files, self._store.partial_path(package)
        temporary = part.with_name(TEMPORARY + part.name)
        files.unlink(temporary)
        file = files.create(temporary, _MODE)
        try:
            try:
                offset = 0
                for piece in restore(header, base.read_bytes(), patch):
                    files.write_at(file, offset, piece)
                    offset += len(piece)
            finally:
                files.close(file)
            self._store.admit(package, temporary)
        finally:
            files.unlink(temporary)


class _Share:
    """Progress of a patch as progress of the package it makes."""

    def __init__(
        self,
        progress: Progress,
        packages: tuple[Package, ...],
        package: Package,
        store: ReleaseStore,
    ) -> None:
        self._progress = progress
        self._package = package
        self._held = sum(p.size for p in packages if store.has(p))
        self._total = sum(p.size for p in packages)

    def __call__(self, done: int, total: int) -> None:
        made = self._package.size * done // max(total, 1)
        self._progress(self._held + made, self._total)
