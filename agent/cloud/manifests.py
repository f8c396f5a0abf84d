"""From the wire's manifest to the law's deployment."""

from __future__ import annotations

from collections.abc import Iterator

from protocol.delta import LARGEST, companion_of
from protocol.manifest import Component, Manifest
from states.model import Companion, Deployment, Package, Release


def deployment_of(
    manifest: Manifest, handled: frozenset[str], signature_package: str | None = None
) -> Deployment | None:
    """What a manifest deploys of the packages this agent handles; None when nothing.

    ``signature_package`` carries the release's signature; None on devices that ask for none.

    Other packages belong to other updaters on the device and are ignored, so that a change of
    theirs does not touch the model; so are patches that make no package of this deployment.
    """
    packages = tuple(_package(part) for part in manifest.components if part.package in handled)
    if not packages:
        return None
    release = Release(packages)
    signatures = (_package(c) for c in manifest.components if c.package == signature_package)
    companions = tuple(_companions(manifest, release))
    return Deployment(manifest.sequence, release, companions, next(signatures, None))


def _companions(manifest: Manifest, release: Release) -> Iterator[Companion]:
    for part in manifest.components:
        known = companion_of(part.package, part.version)
        if known is None:
            continue
        name, base, target = known
        made = release.package(name)
        if made is not None and made.sha256.startswith(target) and made.size <= LARGEST:
            yield Companion(name, base, _package(part))


def _package(part: Component) -> Package:
    return Package(part.package, part.version, part.sha256, part.size, part.uri)
