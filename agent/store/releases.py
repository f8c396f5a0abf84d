"""The folders ``releases/<id>/``: links into ``blobs/``, ``release.json``, ``version.txt``.

A release's name is derived from its content, so a folder can be repaired in place: whatever its
entries are, there is only one thing they can become.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ValidationError

from agent.store.blobs import Blobs
from agent.store.files import TEMPORARY, Files, postponed, storage_errors
from agent.store.names import RELEASE_FILE, VERSION_FILE, PackageNames, safe_name
from states.model import Package, Release
from states.ports import Postponed
from states.reasons import Transient, is_shortage

_ID = re.compile(r"[0-9a-f]{16}")
_FORMAT = 1


class ReleaseDamaged(Exception):  # noqa: N818 - reads as what happened
    """A release folder that is not there or does not say what it should."""

    def __init__(self, folder: Path, problem: str) -> None:
        super().__init__(f"{folder}: {problem}; the next deployment of it repairs the folder")
        self.folder = folder


class _PackageEntry(BaseModel):
    name: str
    version: str
    sha256: str
    size: int
    uri: str
    file: str


class _ReleaseEntry(BaseModel):
    """The content of ``release.json``. ``serial`` counts the releases this device has assembled."""

    format: int
    id: str
    serial: int
    packages: list[_PackageEntry]

    def release(self) -> Release:
        return Release(
            tuple(Package(p.name, p.version, p.sha256, p.size, p.uri) for p in self.packages)
        )


def is_release_id(text: str) -> bool:
    """Whether the text has the form of a release's id."""
    return _ID.fullmatch(text) is not None


class Releases:
    """All release folders of one state directory."""

    def __init__(self, state_dir: Path, blobs: Blobs, names: PackageNames, files: Files) -> None:
        self.folder = state_dir / "releases"
        self._blobs = blobs
        self._names = names
        self._files = files

    def path(self, release_id: str) -> Path:
        """The folder of a release, whether it exists or not."""
        if not is_release_id(release_id):
            raise ReleaseDamaged(self.folder, f"{release_id[:80]!r} is no release id")
        return self.folder / release_id

    def read(self, release_id: str) -> Release:
        """The release as its folder describes it.

        Raises ReleaseDamaged, and Postponed on a machine that can open no file at present.
        """
        return self._entry(self.path(release_id)).release()

    def holds(self, release_id: str) -> bool:
        """Whether the folder is complete and every link leads to a blob of the right size.

        Raises Postponed where that can't be told at present: it is no reason to leave a release.
        """
        try:
            release = self.read(release_id)
        except ReleaseDamaged:
            return False
        folder = self.path(release_id)
        links = self._names.blobs(release)
        return (
            all(_leads_to(folder / name, _blob_link(sha256)) for name, sha256 in links.items())
            and all(self._blobs.has(package) for package in release.packages)
            and _text(folder / VERSION_FILE) == self._version(release)
        )

    def ids(self) -> list[str]:
        """Ids of the releases on disk, complete or not: the last assembled first."""
        if not self.folder.is_dir():
            return []
        with storage_errors(self.folder):
            found = [path for path in self.folder.iterdir() if is_release_id(path.name)]
        return [p.name for p in sorted(found, key=lambda p: (self._serial(p), p.name))][::-1]

    def assemble(self, release: Release) -> None:
        """Make the folder complete and durable. Raises Postponed, Rejected for a bad listing."""
        links = self._names.blobs(release)
        absent = [p.name for p in release.packages if not self._blobs.has(p)]
        if absent:
            raise Postponed(
                Transient.STORAGE_ERROR,
                f"{self._blobs.folder}: {', '.join(absent)} of release {release.id} went missing",
            )
        self._blobs.sync()
        folder = self.path(release.id)
        if self.holds(release.id):
            # Killed between rename and sync, the folder may not be on the disk yet.
            self._files.sync_folder(self.folder)
        elif folder.is_dir():
            self._fill(folder, release, links)
        else:
            temporary = self.folder / (TEMPORARY + release.id)
            self._files.remove_tree(temporary)
            self._files.make_folder(temporary)
            self._fill(temporary, release, links)
            self._files.move(temporary, folder)

    def remove(self, release_id: str) -> None:
        """Remove a release at one blow: at no time is half of it there under its name."""
        temporary = self.folder / (TEMPORARY + release_id)
        self._files.remove_tree(temporary)
        self._files.move(self.path(release_id), temporary)
        self._files.remove_tree(temporary)

    def linked_blobs(self, release_id: str) -> Iterator[str]:
        """SHA-256 of every blob a folder links to, readable ``release.json`` or not."""
        folder = self.path(release_id)
        with storage_errors(folder):
            entries = list(folder.iterdir()) if folder.is_dir() else []
        for entry in entries:
            if entry.is_symlink():
                yield entry.readlink().name

    def _fill(self, folder: Path, release: Release, links: dict[str, str]) -> None:
        with storage_errors(folder):
            entries = list(folder.iterdir())
        for entry in entries:
            # Most is replaced in place and stays reachable; a rename can't replace a folder.
            expected = entry.name in {*links, RELEASE_FILE, VERSION_FILE}
            if not expected or (entry.is_dir() and not entry.is_symlink()):
                self._files.remove_tree(entry)
        for name, sha256 in links.items():
            self._files.point(folder / name, _blob_link(sha256))
        description = self._describe(release, self._next_serial())
        self._files.write_replacing(folder / VERSION_FILE, self._version(release).encode())
        self._files.write_replacing(folder / RELEASE_FILE, description)

    def _describe(self, release: Release, serial: int) -> bytes:
        packages = [
            _PackageEntry(
                name=p.name,
                version=p.version,
                sha256=p.sha256,
                size=p.size,
                uri=p.uri,
                file=self._names.file_name(p.name),
            )
            for p in release.packages
        ]
        entry = _ReleaseEntry(format=_FORMAT, id=release.id, serial=serial, packages=packages)
        return (json.dumps(entry.model_dump(), indent=1) + "\n").encode()

    def _version(self, release: Release) -> str:
        """One line: the model's version, or without a model that of the first package."""
        package = release.package(self._names.model_package)
        if package is None and release.packages:
            package = release.packages[0]
        return f"{safe_name(package.version) if package else ''}\n"

    def _entry(self, folder: Path) -> _ReleaseEntry:
        try:
            text = (folder / RELEASE_FILE).read_bytes()
            entry = _ReleaseEntry.model_validate_json(text)
        except OSError as error:
            if is_shortage(error):
                raise postponed(error, folder / RELEASE_FILE) from error
            raise ReleaseDamaged(folder, f"{RELEASE_FILE}: {error.strerror}") from error
        except ValidationError as error:
            raise ReleaseDamaged(folder, f"{RELEASE_FILE} is not readable") from error
        if entry.format != _FORMAT:
            raise ReleaseDamaged(folder, f"{RELEASE_FILE} has the unknown format {entry.format}")
        if not entry.id == entry.release().id == folder.name.removeprefix(TEMPORARY):
            raise ReleaseDamaged(folder, f"{RELEASE_FILE} describes another release")
        return entry

    def _serial(self, folder: Path) -> int:
        try:
            return self._entry(folder).serial
        except ReleaseDamaged:
            return -1

    def _next_serial(self) -> int:
        return max((self._serial(self.folder / name) for name in self.ids()), default=0) + 1


def _blob_link(sha256: str) -> str:
    return f"../../blobs/{sha256}"


def _leads_to(link: Path, target: str) -> bool:
    return link.is_symlink() and str(link.readlink()) == target


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return None
    except OSError as error:
        if is_shortage(error):
            raise postponed(error, path) from error
        return None
