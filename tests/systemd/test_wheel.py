"""The wheel: complete, and the same bytes however often it is built."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PACKAGES = ("agent", "commands", "demo", "localcloud", "protocol", "provisioning", "states")

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("hatchling") is None, reason="hatchling is not in this environment"
)


def build(folder: Path) -> Path:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder],
        cwd=PROJECT,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1800000000"},
        capture_output=True,
        check=True,
    )
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"))


def test_it_is_the_same_every_time(wheel: Path, tmp_path: Path) -> None:
    assert build(tmp_path).read_bytes() == wheel.read_bytes()


def test_it_holds_every_package_with_its_data(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    for package in PACKAGES:
        for path in (PROJECT / package).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert str(path.relative_to(PROJECT)) in held


def test_it_brings_units_and_installer(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        share = {
            entry.filename.partition("/data/")[2]: entry
            for entry in archive.infolist()
            if "/data/" in entry.filename
        }
    assert "share/edgeferry/constraints.txt" in share
    for path in (PROJECT / "systemd").rglob("*"):
        if path.is_file():
            assert f"share/edgeferry/{path.relative_to(PROJECT)}" in share
    assert share["share/edgeferry/systemd/install.sh"].external_attr >> 16 & 0o111
