"""Companion artifacts: patches that spare devices most of a package they nearly hold."""

from __future__ import annotations

from collections.abc import Iterable

from protocol.delta import companion_name, companion_of, companion_version, make_patch, sha256
from provisioning.errors import AlreadyExists, WrongUsage
from provisioning.management import Management
from provisioning.resources import Artifact


def publish_companion(
    management: Management, package: str, base: bytes, target: bytes, *, number: int = 0
) -> Artifact | None:
    """Publish a patch that makes ``target``, a version of ``package``, out of ``base``.

    Deploy the artifact beside the full package; ``number`` (0 to 99) tells the patches of one
    deployment for different bases apart. None when no patch is smaller than the package, or the
    sizes are beyond what patches are for: then deploy the full package alone. A patch published
    earlier for the same pair is used again. Raises ManagementError.
    """
    try:
        patch = make_patch(base, target)
    except ValueError:
        return None
    if len(patch) >= len(target):
        return None
    name = companion_name(package, number)
    version = companion_version(sha256(base), sha256(target))
    try:
        return management.upload_artifact(name, version, patch)
    except AlreadyExists:
        # Another release of Zstandard may have made other bytes of it: they do the same.
        found = next(management.artifacts(package=name, version=version), None)
        if found is None:
            raise
        return found


MOST_PATCHES = 100
"""For one version of a package, as their packages' names have two digits."""


def companion_number(
    published: Iterable[Artifact], package: str, base: bytes, target: bytes
) -> int:
    """The ``number`` that lets a patch stand beside those published for other bases.

    Raises WrongUsage when there are a hundred of them.
    """
    digest = sha256(target)
    version = companion_version(sha256(base), digest)
    taken = {patch.package: patch.version for patch in _patches(published, package, digest)}
    for number in range(MOST_PATCHES):
        if taken.get(companion_name(package, number), version) == version:
            return number
    raise WrongUsage(f"{package}: {MOST_PATCHES} patches make this version already")


def companions_of(published: Iterable[Artifact], target: Artifact) -> list[Artifact]:
    """The published patches that make ``target``, at most one of each package, by name.

    Of two versions of a package that of the later artifact in the list counts.
    """
    patches = _patches(published, target.package, target.sha256 or "")
    by_package = {patch.package: patch for patch in patches}
    return [by_package[name] for name in sorted(by_package)]


def is_companion(artifact: Artifact) -> bool:
    """Whether it is a patch for another package."""
    return companion_of(artifact.package, artifact.version) is not None


def _patches(published: Iterable[Artifact], package: str, digest: str) -> Iterable[Artifact]:
    for artifact in published:
        made = companion_of(artifact.package, artifact.version)
        if made is not None and made[0] == package and digest and digest.startswith(made[2]):
            yield artifact
