"""The units as systemd itself judges them, and the promises that hang on single settings."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from agent.samples.store import FOLDER as SAMPLES
from agent.worker.settings import DEFAULT_STATE_DIR, SYSTEM_SOCKET
from tests.support.programs import needs

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNITS = ("edgeferry-agent.service", "edgeferry-worker.service", "edgeferry.target")

needs_systemd_analyze = needs("systemd-analyze", "systemd")


def unit(name: str) -> dict[str, str]:
    """Every setting of a unit; one that is given twice has both values."""
    settings: dict[str, str] = {}
    for line in (SYSTEMD / name).read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            settings[key] = "\n".join(filter(None, [settings.get(key), value]))
    return settings


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *arguments], capture_output=True, text=True, check=False
    )


@needs_systemd_analyze
@pytest.mark.parametrize(
    ("name", "limit"), [("edgeferry-agent.service", 15), ("edgeferry-worker.service", 20)]
)
def test_exposure_is_within_its_limit(name: str, limit: int) -> None:
    done = analyze("security", "--offline=true", f"--threshold={limit}", str(SYSTEMD / name))
    assert done.returncode == 0, done.stdout + done.stderr


@needs_systemd_analyze
def test_systemd_finds_no_fault_in_the_units(tmp_path: Path) -> None:
    for name in UNITS:
        text = (SYSTEMD / name).read_text()
        installed = text.replace("/opt/edgeferry/current/bin/edgeferry", shutil.which("true") or "")
        (tmp_path / name).write_text(installed)
    done = analyze("verify", *(str(tmp_path / name) for name in UNITS))
    ours = [line for line in done.stderr.splitlines() if "edgeferry" in line]
    assert (done.returncode, ours) == (0, [])


@pytest.mark.parametrize("name", UNITS[:2])
def test_neither_unit_takes_the_other_down(name: str) -> None:
    other = ({*UNITS[:2]} - {name}).pop()
    for key in ("Requires", "Requisite", "BindsTo", "PartOf", "Upholds", "Conflicts", "After"):
        assert other not in unit(name).get(key, ""), key


@pytest.mark.parametrize("name", UNITS[:2])
def test_a_wrong_configuration_is_not_started_again_and_all_else_is(name: str) -> None:
    service = unit(name)
    assert service["Restart"] == "always"
    assert service["RestartPreventExitStatus"] == "2"


@pytest.mark.parametrize("name", UNITS[:2])
def test_restarts_by_themselves_never_use_up_the_start_limit(name: str) -> None:
    parsed = unit(name)
    assert parsed["StartLimitIntervalSec"] == "10min"
    pause = float(parsed["RestartSec"].removesuffix("s"))
    assert 600 / pause < int(parsed["StartLimitBurst"])


def test_the_folders_are_those_the_programs_use() -> None:
    agent, worker = (unit(name) for name in UNITS[:2])
    assert Path("/var/lib") / agent["StateDirectory"] == DEFAULT_STATE_DIR
    assert Path("/run") / worker["RuntimeDirectory"] == SYSTEM_SOCKET.parent
    assert Path("/var/lib") / worker["StateDirectory"] == DEFAULT_STATE_DIR / SAMPLES
    assert worker["StateDirectoryMode"] == "0770", "the agent's group deletes samples"
    assert agent["Group"] == worker["Group"] != ""
    assert agent["User"] != worker["User"]


def test_the_worker_reaches_cameras_and_no_network() -> None:
    worker = unit("edgeferry-worker.service")
    assert worker["PrivateNetwork"] == "yes"
    assert worker["DeviceAllow"].split() == ["char-video4linux", "rw"]
