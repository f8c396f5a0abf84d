"""Companion artifacts: patches that spare devices most of a package they nearly hold."""

from __future__ import annotations

from protocol.delta import companion_name, companion_version, make_patch, sha256
from provisioning.errors import AlreadyExists
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
