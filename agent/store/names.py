"""File names made of package names and versions, which are text from the network.

A name is percent-encoded wherever it could mean something to a file system, so it never leaves its
folder, never looks like a temporary name, and two texts never share a name::

    >>> safe_name("ai-model"), safe_name("../etc/passwd"), safe_name("1.0 beta")
    ('ai-model', '%2E.%2Fetc%2Fpasswd', '1.0%20beta')
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from urllib.parse import quote

from states.model import Release
from states.ports import Rejected
from states.reasons import Rejection

RELEASE_FILE = "release.json"
VERSION_FILE = "version.txt"
MODEL_SETTINGS_FILE = "model.json"
GOLDEN_SET_FILE = "golden-set.zip"

_LONGEST = 120
_EMPTY = "%"


def safe_name(text: str) -> str:
    """A file name for any text, at most 120 characters; different for different texts."""
    name = quote(text, safe="+@", errors="surrogatepass")
    if name.startswith("."):
        name = "%2E" + name[1:]
    if len(name) > _LONGEST:
        # "%-" is no percent-encoding, so no short text has this name.
        digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]
        name = f"{name[: _LONGEST - 34]}%-{digest}"
    return name or _EMPTY


@dataclass(frozen=True)
class PackageNames:
    """Which file of a release holds which package.

    The model is ``<package>.tflite``, the labels are ``<package>.txt``; what the model says of
    itself is ``model.json``, its golden set ``golden-set.zip``. Any other package bears its own
    name.
    """

    model_package: str = "ai-model"
    labels_package: str = "labels"
    model_settings_package: str = "model-settings"
    golden_set_package: str = "golden-set"

    @property
    def handled(self) -> frozenset[str]:
        """Every package that may be part of a release."""
        return frozenset(self._known())

    @property
    def model_file(self) -> str:
        """The model's file within a release."""
        return safe_name(self.model_package) + ".tflite"

    @property
    def labels_file(self) -> str:
        """The labels' file within a release."""
        name = safe_name(self.labels_package) + ".txt"
        # "%." is no percent-encoding, so no package has this name.
        return "version%.txt" if name == VERSION_FILE else name

    def file_name(self, package: str) -> str:
        """The file of a package within a release."""
        known = self._known()
        if package in known:
            return known[package]
        name = safe_name(package)
        if name in {RELEASE_FILE, VERSION_FILE, *known.values()}:
            stem, _, suffix = name.rpartition(".")
            return f"{stem}%2E{suffix}"
        return name

    def _known(self) -> dict[str, str]:
        return {
            self.golden_set_package: GOLDEN_SET_FILE,
            self.model_settings_package: MODEL_SETTINGS_FILE,
            self.labels_package: self.labels_file,
            self.model_package: self.model_file,
        }

    def blobs(self, release: Release) -> dict[str, str]:
        """File name to SHA-256 for all packages.

        Raises Rejected when a package is listed twice.
        """
        files = {self.file_name(p.name): p.sha256 for p in release.packages}
        if len(files) < len(release.packages):
            raise Rejected(
                Rejection.INCOMPLETE,
                "the deployment lists a package twice; deploy each package in one version",
            )
        return files
