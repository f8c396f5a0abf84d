"""Releases on a real disk."""

from __future__ import annotations

import hashlib
from pathlib import Path

from agent.store.files import Files
from agent.store.names import PackageNames
from agent.store.release_store import ReleaseStore
from states.model import Package, Release


def package(name: str, version: str, content: bytes) -> Package:
    digest = hashlib.sha256(content).hexdigest()
    return Package(name, version, digest, len(content), f"/.u/c/{name}@{version}")


def new_store(state_dir: Path, keep_releases: int = 1, files: Files | None = None) -> ReleaseStore:
    store = ReleaseStore(
        state_dir,
        names=PackageNames(),
        reserve_bytes=1 << 20,
        keep_releases=keep_releases,
        files=files,
    )
    store.prepare()
    return store


def admit(store: ReleaseStore, name: str, version: str, content: bytes) -> Package:
    wanted = package(name, version, content)
    if not store.has(wanted):
        store.partial_path(wanted).write_bytes(content)
        store.admit(wanted, store.partial_path(wanted))
    return wanted


def put(store: ReleaseStore, number: int, labels: str = "1") -> Release:
    """A complete release: model ``number`` with labels ``labels``."""
    release = Release(
        (
            admit(store, "ai-model", str(number), b"model %d" % number),
            admit(store, "labels", labels, f"labels {labels}".encode()),
        )
    )
    store.assemble(release)
    return release


def tree(folder: Path) -> dict[str, str]:
    """Every entry below a folder: link targets, or content."""
    return {
        str(path.relative_to(folder)): str(path.readlink())
        if path.is_symlink()
        else path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }
