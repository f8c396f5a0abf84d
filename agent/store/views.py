"""``models/``: the layout of the original updater, for existing inference scripts.

``ai-model.tflite``, ``labels.txt`` and ``version.txt`` lead through ``../current``, so they change
together with it and at no other time. Versioned names such as ``ai-model_2.tflite`` lead to the
releases that are still on disk.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from agent.store.files import Files, storage_errors
from agent.store.names import VERSION_FILE, PackageNames, safe_name
from states.model import Release

MODEL_LINK = "ai-model.tflite"
LABELS_LINK = "labels.txt"
_OURS = ("../current/", "../releases/")


class ModelsView:
    """Keeps the links of ``models/`` true; files that are not ours stay as they are."""

    def __init__(self, state_dir: Path, names: PackageNames, files: Files) -> None:
        self.folder = state_dir / "models"
        self._names = names
        self._files = files

    def refresh(self, current: Release | None, retained: Iterable[Release]) -> None:
        """Make the links fit ``current`` and ``retained`` (the most important first)."""
        wanted = self._versioned(retained) | self._fixed(current)
        for name, target in wanted.items():
            self._files.point(self.folder / name, target)
        with storage_errors(self.folder):
            stale = [
                path
                for path in self.folder.iterdir()
                if path.is_symlink()
                and path.name not in wanted
                and str(path.readlink()).startswith(_OURS)
            ]
        for path in stale:
            self._files.remove(path)

    def _fixed(self, current: Release | None) -> dict[str, str]:
        if current is None:
            return {}
        links = {VERSION_FILE: f"../current/{VERSION_FILE}"}
        if current.package(self._names.model_package):
            links[MODEL_LINK] = f"../current/{self._names.model_file}"
        if current.package(self._names.labels_package):
            links[LABELS_LINK] = f"../current/{self._names.labels_file}"
        return links

    def _versioned(self, retained: Iterable[Release]) -> dict[str, str]:
        links: dict[str, str] = {}
        for release in retained:
            for link, package_name, file in (
                (MODEL_LINK, self._names.model_package, self._names.model_file),
                (LABELS_LINK, self._names.labels_package, self._names.labels_file),
            ):
                package = release.package(package_name)
                if package is not None:
                    stem, suffix = link.rsplit(".", 1)
                    name = f"{stem}_{safe_name(package.version)}.{suffix}"
                    links.setdefault(name, f"../releases/{release.id}/{file}")
        return links
