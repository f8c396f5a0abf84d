"""The Debian package on the machine that `install.sh --purge` left: installed, upgraded, purged."""

from __future__ import annotations

import json

import pytest

from tests.vm.conftest import COMMAND, Device, note

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800), pytest.mark.xdist_group("vm")]

APT = "apt-get -q -y -o Dpkg::Use-Pty=0"
OURS = "/opt/edgeferry /etc/edgeferry /var/lib/edgeferry /usr/bin/edgeferry /run/edgeferry"
UNITS = "/usr/lib/systemd/system/edgeferry* /etc/systemd/system/*/edgeferry*"


@pytest.fixture(scope="module", autouse=True)
def package(device: Device) -> None:
    if device.machine.run("test", "-f", "/root/edgeferry.deb", check=False).status != 0:
        pytest.skip("there is no package: make deb")


def test_apt_installs_it_and_the_services_run(device: Device) -> None:
    device.machine.shell(f"{APT} install /root/edgeferry.deb", seconds=1200)
    device.await_unit("agent", ActiveState="failed", ExecMainStatus="2")
    device.await_unit("worker", ActiveState="active")
    owner = device.machine.shell("stat -c '%U:%G %a' /var/lib/edgeferry /etc/edgeferry/agent.toml")
    assert owner.output.split("\n")[:2] == ["edgeferry-agent:edgeferry 750", "root:edgeferry 640"]


def test_it_serves_and_doctor_finds_nothing_wrong(device: Device) -> None:
    device.configure()
    device.machine.shell("systemctl restart edgeferry-agent edgeferry-worker")
    device.deploy("4")
    device.await_served("4")
    done = device.machine.run(COMMAND, "doctor", "--json", check=False)
    found = json.loads(done.output)
    note("doctor on the package", f"{found['worst']}, exit status {done.status}")
    assert done.status == 0
    assert [f["group"] for f in found["findings"] if f["level"] != "ok"] in ([], ["clock"])


def test_installing_it_again_restarts_both_and_it_serves_on(device: Device) -> None:
    before = device.pid("agent"), device.pid("worker")
    device.machine.shell(f"{APT} --reinstall install /root/edgeferry.deb", seconds=1200)
    device.await_served("4")
    after = device.pid("agent"), device.pid("worker")
    assert not {*before} & {*after}


def test_removing_it_leaves_settings_and_state(device: Device) -> None:
    device.machine.shell(f"{APT} remove edgeferry", seconds=600)
    left = device.machine.shell(f"ls -d {OURS} {UNITS} 2>/dev/null || :").output.split()
    assert left == ["/etc/edgeferry", "/var/lib/edgeferry"]


def test_a_purge_leaves_nothing(device: Device) -> None:
    device.machine.shell(f"{APT} purge edgeferry", seconds=600)
    left = f"ls -d {OURS} {UNITS} /etc/credstore/edgeferry* 2>/dev/null || :"
    assert device.machine.shell(left).output == ""
    assert device.machine.run("getent", "group", "edgeferry", check=False).status != 0
    failed = device.machine.run("systemctl", "--failed", "--no-legend", "--plain").output
    assert "edgeferry" not in failed
