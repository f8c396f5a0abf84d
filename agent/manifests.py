"""From the wire's manifest to the law's deployment."""

from __future__ import annotations

from protocol.manifest import Manifest
from states.model import Deployment, Package, Release


def deployment_of(manifest: Manifest, handled: frozenset[str]) -> Deployment | None:
    """What a manifest deploys of the packages this agent handles; None when nothing.

    Other packages belong to other updaters on the device and are ignored, so that a change of
    theirs does not touch the model.
    """
    packages = tuple(
        Package(part.package, part.version, part.sha256, part.size, part.uri)
        for part in manifest.components
        if part.package in handled
    )
    return Deployment(manifest.sequence, Release(packages)) if packages else None
