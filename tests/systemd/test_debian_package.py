"""The Debian package: the installer's result in the places of a package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.programs import needs
from tests.support.small_wheel import SYSTEMD, small_wheel

pytestmark = needs("dpkg-deb", "dpkg")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    wheelhouse = tmp_path_factory.mktemp("dist") / "wheelhouse"
    small_wheel(wheelhouse, "1.0")
    command = [str(SYSTEMD / "build-deb.sh"), str(wheelhouse), sys.executable]
    subprocess.run(command, capture_output=True, check=True)
    return next(wheelhouse.parent.glob("edgeferry_1.0_*.deb"))


def ask(*arguments: str | Path) -> str:
    return subprocess.run(
        ["dpkg-deb", *map(str, arguments)], capture_output=True, text=True, check=True
    ).stdout


def test_it_holds_units_programs_and_no_settings(package: Path) -> None:
    names = {line.split(maxsplit=5)[5].split(" -> ")[0] for line in ask("-c", package).splitlines()}
    for name in (
        "./usr/lib/systemd/system/edgeferry-agent.service",
        "./usr/lib/systemd/system/edgeferry-worker.service",
        "./usr/lib/systemd/system/edgeferry.target",
        "./usr/lib/sysusers.d/edgeferry.conf",
        "./usr/lib/tmpfiles.d/edgeferry.conf",
        "./usr/bin/edgeferry",
        "./opt/edgeferry/current",
    ):
        assert name in names
    assert not [name for name in names if name.startswith(("./etc", "./usr/local"))]


def test_it_runs_on_the_python_it_was_made_for(package: Path, tmp_path: Path) -> None:
    minor = sys.version_info.minor
    assert f"python3 (>= 3.{minor}), python3 (<< 3.{minor + 1})" in ask("-f", package, "Depends")
    ask("-x", package, tmp_path)
    environment = (tmp_path / "opt/edgeferry/current").readlink()
    program = (tmp_path / "opt/edgeferry" / environment / "bin/edgeferry").read_text()
    assert program.startswith(f"#!/opt/edgeferry/{environment}/bin/python")
    configuration = (tmp_path / "opt/edgeferry" / environment / "pyvenv.cfg").read_text()
    assert "home = /usr/bin\n" in configuration
    links = (tmp_path / "opt/edgeferry" / environment / "bin").glob("python*")
    targets = {str(link.readlink()) for link in links}
    assert f"/usr/bin/python3.{minor}" in targets
    assert all(t == f"/usr/bin/python3.{minor}" or "/" not in t for t in targets)


def test_settings_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """A power cut or a full disk must not leave half a file that is then never written again."""
    program = tmp_path / "opt/edgeferry/current/bin/edgeferry"
    settings = tmp_path / "etc/edgeferry"
    for folder in (program.parent, settings, tmp_path / "bin"):
        folder.mkdir(parents=True)
    for name in ("systemd-sysusers", "systemd-tmpfiles", "chgrp"):
        (tmp_path / "bin" / name).symlink_to("/bin/true")
    script = (SYSTEMD / "debian" / "postinst").read_text()
    for place in ("/opt/", "/etc/", "/run/"):
        script = script.replace(place, f"{tmp_path}{place}")

    def configure(example: str) -> int:
        program.write_text(f"#!/bin/sh\n{example}\n")
        program.chmod(0o755)
        environment = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}
        command = ["/bin/sh", "-c", script, "postinst", "configure"]
        return subprocess.run(command, env=environment, check=False).returncode

    assert configure("echo '[golioth]'; exit 1") != 0
    assert not (settings / "agent.toml").exists()
    assert configure("echo '[golioth]'; echo '[device]'") == 0
    assert (settings / "agent.toml").read_text() == "[golioth]\n[device]\n"
    assert [path.name for path in settings.iterdir()] == ["agent.toml"]
