"""Putting versions of packages into the project: all of a release or none of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from provisioning.companions import companion_number, publish_companion
from provisioning.management import Management
from provisioning.resources import Artifact


@dataclass(frozen=True)
class PackageVersion:
    """What is to be published."""

    package: str
    version: str
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class Published:
    """What is in the project now; ``uploaded`` is False where it was there before."""

    artifact: Artifact
    uploaded: bool


def publish_versions(
    management: Management, wanted: Sequence[PackageVersion], on_done: Callable[[], None]
) -> list[Published]:
    """Publish all of them; ``on_done`` is called after each.

    Every version is looked up before the first upload, so that a version that is taken leaves
    nothing half published.

    Raises:
        ArtifactDiffers: a version is there with other content.
        ManagementError: the management API didn't do it; the same call again goes on.
    """
    there = [management.published(each.package, each.version, each.content) for each in wanted]
    found = []
    for each, artifact in zip(wanted, there, strict=True):
        made = artifact or management.publish(each.package, each.version, each.content)
        found.append(Published(made, uploaded=artifact is None))
        on_done()
    return found


def publish_patches(
    management: Management, package: str, bases: Sequence[bytes], target: bytes
) -> Iterator[Published | None]:
    """Publish a patch from each of ``bases`` to ``target``, as they are asked for.

    None for a base from which a patch would spare devices nothing. Raises ManagementError.
    """
    for base in bases:
        known = list(management.artifacts())
        number = companion_number(known, package, base, target)
        made = publish_companion(management, package, base, target, number=number)
        uploaded = made is not None and all(made.id != artifact.id for artifact in known)
        yield Published(made, uploaded) if made else None
