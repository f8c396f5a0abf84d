"""The installer on a folder, without root. What needs a running systemd is in tests/vm."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.small_wheel import SYSTEMD, small_wheel

INSTALL = SYSTEMD / "install.sh"


# Making an environment takes seconds, most of them for its pip: these are copies of one.
COPYING_PYTHON = """\
#!/bin/sh
if [ "$1 $2" = "-m venv" ]; then
    cp -a "{template}" "$3" && exec sed -i "s|{template}|$3|g" "$3/pyvenv.cfg"
fi
exec "{python}" "$@"
"""


def run_installer(
    *arguments: str, python: str = sys.executable
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(INSTALL), "--python", python, *arguments],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def contents(root: Path) -> dict[str, tuple[int, str]]:
    """Every path below a folder with its mode, and where a link leads or how long a file is."""
    found = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        what = str(path.readlink()) if path.is_symlink() else f"{status.st_size} {status.st_mtime}"
        if not path.is_dir() or path.is_symlink():
            found[str(path.relative_to(root))] = (status.st_mode, what)
    return found


class Device:
    """A folder that is installed into."""

    def __init__(self, folder: Path, python: Path) -> None:
        self.folder = folder
        self.python = python
        self.root = folder / "root"
        self.opt = self.root / "opt/edgeferry"
        self.state = self.root / "var/lib/edgeferry"
        self.settings = self.root / "etc/edgeferry/agent.toml"

    def install(self, wheel: Path) -> subprocess.CompletedProcess[str]:
        return self.call("--wheelhouse", str(wheel.parent), "--wheel", str(wheel))

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run_installer("--root", str(self.root), *arguments, python=str(self.python))

    def answer(self) -> str:
        """What the installed program says of itself."""
        python = self.opt / "current/bin/python"
        done = subprocess.run(
            [str(python), "-I", "-m", "commands.main"], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Like this Python, but quick at making environments."""
    folder = tmp_path_factory.mktemp("python")
    template, program = folder / "environment", folder / "python3"
    subprocess.run([sys.executable, "-m", "venv", str(template)], check=True)
    program.write_text(COPYING_PYTHON.format(template=template, python=sys.executable))
    program.chmod(0o755)
    return program


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory, python: Path) -> Device:
    """A device on which the first version was just installed."""
    device = Device(tmp_path_factory.mktemp("fresh"), python)
    done = device.install(small_wheel(device.folder / "wheels", "1.0"))
    assert done.returncode == 0, done.stderr
    return device


@pytest.fixture
def device(fresh: Device, tmp_path: Path) -> Device:
    """A copy of it, to be changed."""
    shutil.copytree(fresh.folder, tmp_path / "device", symlinks=True)
    return Device(tmp_path / "device", fresh.python)


def test_the_shell_is_clean() -> None:
    shellcheck = shutil.which("shellcheck", path=str(Path(sys.executable).parent))
    if shellcheck is None:
        pytest.skip("shellcheck is not in this environment")
    scripts = [str(INSTALL), str(SYSTEMD / "build-deb.sh"), *map(str, SYSTEMD.glob("debian/*"))]
    done = subprocess.run([shellcheck, *scripts], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_everything_is_in_its_place(fresh: Device) -> None:
    assert fresh.answer() == "edgeferry 1.0"
    for unit in ("edgeferry.target", "edgeferry-agent.service", "edgeferry-worker.service"):
        installed = fresh.root / "etc/systemd/system" / unit
        assert installed.read_bytes() == (SYSTEMD / unit).read_bytes()
    assert (fresh.root / "etc/sysusers.d/edgeferry.conf").exists()
    assert (fresh.root / "etc/tmpfiles.d/edgeferry.conf").exists()
    command = fresh.root / "usr/local/bin/edgeferry"
    assert str(command.readlink()) == "/opt/edgeferry/current/bin/edgeferry"


def test_the_environment_says_where_it_is_going_to_be(fresh: Device) -> None:
    program = (fresh.opt / "current/bin/edgeferry").read_text()
    version = (fresh.opt / "current").readlink()
    assert program.startswith(f"#!/opt/edgeferry/{version}/bin/python")
    assert str(fresh.root) not in (fresh.opt / "current/pyvenv.cfg").read_text()


def test_the_example_is_readable_by_the_services_alone(fresh: Device) -> None:
    assert fresh.settings.read_text() == "# an example of 1.0\n"
    assert fresh.settings.stat().st_mode & 0o777 == 0o640
    assert fresh.settings.parent.stat().st_mode & 0o777 == 0o750


def test_installing_the_same_again_changes_nothing(device: Device) -> None:
    before = contents(device.opt)
    done = device.install(small_wheel(device.folder / "wheels", "1.0"))
    assert done.returncode == 0, done.stderr
    assert "here already" in done.stdout
    assert contents(device.opt) == before


def test_an_upgrade_keeps_settings_and_state_and_there_is_a_way_back(device: Device) -> None:
    device.settings.write_text("mine\n")
    device.state.mkdir(parents=True)
    (device.state / "state.db").write_bytes(b"journal")
    device.install(small_wheel(device.folder / "wheels", "1.0", marker="rebuilt"))
    assert device.answer() == "edgeferry 1.0 rebuilt"
    assert device.settings.read_text() == "mine\n"
    assert device.call("--rollback").returncode == 0
    assert device.answer() == "edgeferry 1.0"
    assert device.call("--rollback").returncode == 0
    assert device.answer() == "edgeferry 1.0 rebuilt"
    assert (device.state / "state.db").read_bytes() == b"journal"


def test_a_version_that_does_not_start_never_becomes_current(device: Device) -> None:
    done = device.install(small_wheel(device.folder / "wheels", "2.0", status=1))
    assert done.returncode == 1
    assert "not touched" in done.stderr
    assert device.answer() == "edgeferry 1.0"


def test_what_an_interrupted_installation_left_is_built_anew(device: Device) -> None:
    current = device.opt / (device.opt / "current").readlink()
    (current / ".complete").unlink()
    (current / "bin/edgeferry").unlink()
    device.install(small_wheel(device.folder / "wheels", "1.0"))
    assert (current / "bin/edgeferry").exists()


def test_removing_leaves_settings_and_state(device: Device) -> None:
    device.state.mkdir(parents=True)
    assert device.call("--uninstall").returncode == 0
    left = contents(device.root)
    assert list(left) == ["etc/edgeferry/agent.toml"]
    assert device.state.is_dir()
    assert device.call("--uninstall").returncode == 0


def test_a_purge_asks_first_and_takes_everything(device: Device) -> None:
    device.state.mkdir(parents=True)
    (device.state / "state.db").write_bytes(b"journal")
    asked = device.call("--purge")
    assert asked.returncode == 2
    assert "--yes" in asked.stderr
    assert device.settings.exists()
    assert device.call("--purge", "--yes").returncode == 0
    assert contents(device.root) == {}
    assert not device.state.exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--frobnicate",), "unknown option"),
        (("--wheel",), "needs a value"),
        (("--root", "relative/folder"), "absolute"),
        (("--root", "/nowhere"), "--wheelhouse DIR or --wheel FILE"),
        (("--root", "/nowhere", "--wheel", "/nowhere/edgeferry-1.whl"), "no wheel"),
        (("--root", "/nowhere", "--wheelhouse", "/nowhere/wheels"), "no folder"),
    ],
)
def test_wrong_usage_says_what_is_right(arguments: tuple[str, ...], says: str) -> None:
    done = run_installer(*arguments)
    assert (done.returncode, says in done.stderr) == (2, True), done.stderr


def test_help_teaches() -> None:
    done = run_installer("--help")
    assert done.returncode == 0
    for option in ("--wheelhouse", "--rollback", "--uninstall", "--purge", "--root"):
        assert option in done.stdout
