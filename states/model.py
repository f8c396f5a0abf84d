"""What the law speaks about: packages, releases, deployments.

A *release* is the set of (package, version, SHA-256) of a deployment. It is known by its
content alone: the same set under another sequence number is the same release.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field


@dataclass(frozen=True, order=True)
class Package:
    """One artifact of a release, as the manifest names it.

    ``size`` is in bytes, ``sha256`` 64 lower-case hexadecimal digits. ``uri`` is where the bytes
    are fetched; it is no part of the identity.
    """

    name: str
    version: str
    sha256: str
    size: int
    uri: str = field(default="", compare=False)


@dataclass(frozen=True)
class Release:
    """A set of packages that are only ever activated together."""

    packages: tuple[Package, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "packages", tuple(sorted(self.packages)))

    @property
    def id(self) -> str:
        """16 hexadecimal digits derived from (package, version, SHA-256) of every package."""
        lines = (f"{p.name}\0{p.version}\0{p.sha256}\n" for p in self.packages)
        return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]

    @property
    def size(self) -> int:
        """Bytes of all packages together."""
        return sum(package.size for package in self.packages)

    def package(self, name: str) -> Package | None:
        """The package of that name, or None."""
        return next((p for p in self.packages if p.name == name), None)


@dataclass(frozen=True)
class Companion:
    """A patch that makes the package of that name out of a base the device may hold.

    ``base`` is how the base's SHA-256 begins, ``patch`` the artifact as the manifest names it.
    """

    package: str
    base: str
    patch: Package


@dataclass(frozen=True)
class Deployment:
    """A release as one manifest offered it. ``sequence`` orders manifests, not content.

    ``companions`` are a shorter way to the same release, ``signature`` is on whose word it is
    deployed; neither is part of its identity. Only devices that ask for signatures look at one.
    """

    sequence: int
    release: Release
    companions: tuple[Companion, ...] = ()
    signature: Package | None = None

    @property
    def signature_id(self) -> str:
        """Tells the signatures under one release apart: a SHA-256, or a word for none."""
        return self.signature.sha256 if self.signature else "none"
