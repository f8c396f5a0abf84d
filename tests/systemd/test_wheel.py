"""Wheel and source archive: complete, and the same bytes wherever they are built."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PACKAGES = ("agent", "commands", "demo", "localcloud", "protocol", "provisioning", "states")

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("hatchling") is None, reason="hatchling is not in this environment"
)


def build(target: str, folder: Path, source: Path = PROJECT, umask: int = -1) -> Path:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", folder],
        cwd=source,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1800000000"},
        umask=umask,
        capture_output=True,
        check=True,
    )
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", tmp_path_factory.mktemp("archive"))


@pytest.fixture(scope="module")
def unpacked(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive elsewhere, as somebody unpacks it who lets nobody else read."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    (source,) = folder.iterdir()
    (source / "PKG-INFO").unlink()  # a work tree has none
    for path in source.rglob("*"):
        path.chmod(path.stat().st_mode & ~0o077)
        os.utime(path)
    return source


def test_a_wheel_made_elsewhere_from_the_source_archive_is_the_same(
    wheel: Path, unpacked: Path, tmp_path: Path
) -> None:
    assert build("wheel", tmp_path, unpacked, umask=0o077).read_bytes() == wheel.read_bytes()


def test_so_is_a_source_archive_made_from_it(archive: Path, unpacked: Path, tmp_path: Path) -> None:
    assert build("sdist", tmp_path, unpacked, umask=0o077).read_bytes() == archive.read_bytes()


def test_it_holds_every_package_with_its_data(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    for package in PACKAGES:
        for path in (PROJECT / package).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert str(path.relative_to(PROJECT)) in held


def test_it_brings_the_licence_it_names(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (licence,) = (name for name in archive.namelist() if name.endswith("licenses/LICENSE"))
        assert archive.read(licence) == (PROJECT / "LICENSE").read_bytes()


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
