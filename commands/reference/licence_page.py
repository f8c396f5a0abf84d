"""``docs/reference/licences.md``: under what everything is licensed that Edgeferry needs to run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from commands.reference.markdown import MADE, literal, table

EXTRAS = ("cloud", "operator", "keyring", "tflite-runtime")
"""What people install beside the device's part; the other extras are for who works on the code."""

_LONG_NAMES = {
    "Apache 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "3-Clause BSD License": "BSD-3-Clause",
    "BSD License": "BSD",
    "GNU General Public License (GPL)": "GPL",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
_OSI = "License :: "
_INTRODUCTION = """\
Edgeferry is under the Apache License 2.0. This is what it needs to run, as installed with Python
3.11 on x86-64 from `constraints.txt`, which has the versions, and what each package's metadata
says. All of it may be used with, and shipped beside, a program under Apache-2.0. A test fails when
a package comes in whose licence is not known to be so.

* MPL-2.0 asks that changes *to that package's own files* stay under it. Edgeferry changes none.
* docutils, which NiceGUI brings, is in the public domain and under BSD licences but for an Emacs
  mode under the GPL, which the wheel does not hold.
* Wheels bring libraries along, with their licences in the folder `*.dist-info`: OpenCV's has FFmpeg
  (LGPL 2.1, as shared libraries) and OpenSSL, NumPy's and SciPy's have OpenBLAS (BSD) and GCC's
  runtime (GPL with the exception for such use). Whoever ships devices ships them too.

What tests, benchmarks and this site need in addition is in the extras `dev` and `docs` of
`pyproject.toml`, and is not on devices.
"""


def licence_page() -> str:
    """The Markdown page of what is installed here."""
    device = _needed({""})
    parts = ["# Licences", "", MADE, "", _INTRODUCTION]
    parts += ["## On every device", "", *_rows(device), ""]
    more = _needed({"", *EXTRAS}) - device
    parts += [f"## With the extras {', '.join(map(literal, EXTRAS))}", "", *_rows(more)]
    return "\n".join(parts) + "\n"


def needed_licences() -> dict[str, str]:
    """Licence by package of all that is needed to run, extras included."""
    return {name: _licence(name) for name in _needed({"", *EXTRAS})}


def _needed(extras: set[str]) -> set[str]:
    """The names of all packages below ours, as installed here."""
    found: dict[str, set[str]] = {}
    waiting = [("edgeferry", extras)]
    while waiting:
        name, wanted = waiting.pop()
        new = wanted - found.get(name, set())
        found.setdefault(name, set()).update(new)
        for requirement in map(Requirement, metadata.requires(name) or ()) if new else ():
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in new):
                waiting.append((canonicalize_name(requirement.name), {"", *requirement.extras}))
    return set(found) - {"edgeferry"}


def _rows(names: Iterable[str]) -> Iterator[str]:
    rows = (
        (f"[{name}](https://pypi.org/project/{name}/)", _licence(name)) for name in sorted(names)
    )
    return table(("package", "licence"), rows)


def _licence(name: str) -> str:
    """What its metadata says, in SPDX's words where they are known."""
    about = metadata.metadata(name)
    if "License-Expression" in about:
        return about["License-Expression"]
    classifiers = [each for each in about.get_all("Classifier", []) if each.startswith(_OSI)]
    said = [each.rpartition(" :: ")[2] for each in classifiers]
    if not said and "License" in about:
        said = about["License"].splitlines()[:1]
    return " and ".join(_LONG_NAMES.get(each, each) for each in said) or "not said"
