"""What must hold of a state directory at any moment, whoever was killed."""

from __future__ import annotations

import hashlib
from pathlib import Path

from agent.store.names import PackageNames
from agent.store.release_store import ReleaseStore


def only_verified_bytes_are_reachable(state_dir: Path) -> None:
    """Whatever has a final name is what its name says, and model and labels belong together."""
    for blob in (state_dir / "blobs").glob("[!.]*"):
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    names = PackageNames()
    store = ReleaseStore(state_dir, names=names, reserve_bytes=0, keep_releases=0)
    active = store.active()
    if active is not None:
        release, current = store.read_release(active), state_dir / "current"
        assert release.id == active
        for name, file in (("ai-model", "ai-model.tflite"), ("labels", "labels.txt")):
            package = release.package(name)
            assert package is not None
            blob = (current / file).resolve(strict=True)
            assert blob == (state_dir / "blobs" / package.sha256).resolve()


def journal_was_never_put_aside(state_dir: Path) -> None:
    """SQLite never found it damaged."""
    assert not list(state_dir.glob("state.db.damaged*"))
