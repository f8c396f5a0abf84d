"""The wheel in clean environments, on one Python after the other. Opt-in: make pythons."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
CONSTRAINTS = PROJECT / "constraints.txt"
_CLASSIFIER = "Programming Language :: Python :: "
_FOUND = "found"


def supported() -> list[str]:
    """The versions that the package says it is for."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    return [
        classifier.removeprefix(_CLASSIFIER)
        for classifier in project["classifiers"]
        if classifier.startswith(_CLASSIFIER)
    ]


def named() -> dict[str, str]:
    """The Pythons that EDGEFERRY_PYTHONS names, by version."""
    told = os.environ.get("EDGEFERRY_PYTHONS", _FOUND)
    return {_version(program): program for program in told.split() if told != _FOUND}


def _version(program: str | None) -> str:
    """Its version, empty when it does not run: pyenv's stand-ins are on the path, chosen or not."""
    if program is None:
        return ""
    asked = (program, "-c", "import sys; print('%d.%d' % sys.version_info[:2])")
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()


def found(version: str) -> str | None:
    """A Python of that version: a named one, else what is on the path, else one of pyenv's."""
    if version in named():
        return named()[version]
    on_path = shutil.which(f"python{version}")
    if _version(on_path) == version:
        return on_path
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    built = sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"))
    return str(built[-1]) if built else None


@dataclass(frozen=True)
class Environment:
    """A virtual environment with the wheel in it, and a folder to work in."""

    folder: Path
    wheel: Path

    def run(self, *command: str | Path, status: int = 0) -> subprocess.CompletedProcess[str]:
        """Run one of its programs, which has to end with that exit status."""
        program = self.folder / "bin" / command[0]
        done = subprocess.run(
            [program, *command[1:]],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder)},
        )
        assert done.returncode == status, f"{command}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done

    def install(self, extras: str = "") -> None:
        """Install the wheel with those extras, from wheels alone: devices have no compiler."""
        options = ("--quiet", "--disable-pip-version-check", "--only-binary", ":all:")
        self.run("pip", "install", *options, "-c", CONSTRAINTS, f"{self.wheel}{extras}")


@pytest.fixture(scope="session", params=sorted({*supported(), *named()}))
def environment(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Environment]:
    """One for each supported version, and for each that was named."""
    if "EDGEFERRY_PYTHONS" not in os.environ:
        pytest.skip("an installation on each Python takes minutes; run it with `make pythons`")
    program = found(request.param)
    if program is None:
        pytest.skip(f"there is no Python {request.param} here: name one, make pythons PYTHONS=…")
    wheels = list((PROJECT / "dist").glob("edgeferry-*.whl"))
    if len(wheels) != 1:
        pytest.skip("there is no wheel in dist: make wheel")
    folder = tmp_path_factory.mktemp(f"python{request.param}")
    subprocess.run([program, "-m", "venv", folder], check=True)
    made = Environment(folder, wheels[0])
    made.install()
    yield made
    shutil.rmtree(folder)
