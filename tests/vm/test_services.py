"""Installed from wheels on a Debian with systemd: one device's life, told from top to bottom."""

from __future__ import annotations

import json
import time

import pytest

from demo.stage import await_that
from tests.vm.conftest import COMMAND, INSTALL, PATIENCE, Device, note

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800), pytest.mark.xdist_group("vm")]


# A download at this rate takes 40 minutes, longer than the slowest installation: 13 minutes on an
# emulated processor.
PADDING, BYTES_PER_SECOND, SOME = 2_000_000, 1000, 30_000


def frames(device: Device) -> int:
    return int(device.status()["worker"]["frames"])


def test_it_installs_without_a_network(device: Device) -> None:
    started = time.monotonic()
    done = device.machine.shell(INSTALL, seconds=1800)
    note("installed in", f"{time.monotonic() - started:.0f} s")
    assert "is installed" in done.output
    owner = device.machine.shell("stat -c '%U:%G %a' /var/lib/edgeferry /etc/edgeferry/agent.toml")
    assert owner.output.split("\n")[:2] == ["edgeferry-agent:edgeferry 750", "root:edgeferry 640"]


def test_without_credentials_the_agent_says_so_once_and_the_worker_waits(device: Device) -> None:
    device.await_unit("agent", ActiveState="failed", ExecMainStatus="2", NRestarts="0")
    assert "no credential" in device.log()
    device.await_unit("worker", ActiveState="active")


def test_with_credentials_it_serves_what_is_deployed(device: Device) -> None:
    device.configure()
    device.machine.shell("systemctl restart edgeferry-agent edgeferry-worker")
    device.deploy("1")
    device.await_served("1")
    device.await_unit("agent", StatusText="serving ai-model 1 and labels 1")

    def shown() -> bool:
        return "frames/s from dir:" in device.show("worker", "StatusText")["StatusText"]

    await_that("the worker says so as well", shown, PATIENCE)


def test_a_trial_gives_up_all_it_should_in_the_unit_s_sandbox(device: Device) -> None:
    sandbox = device.newest_update()["trial"]["sandbox"]
    note("a trial's sandbox", sandbox)
    # Not a namespace: the unit's own sandbox takes namespaces away.
    assert sandbox["network"] == "seccomp"
    assert sandbox["filesystem"].startswith("Landlock")
    assert not [holds for holds in sandbox.values() if holds.startswith("none")]


def test_samples_are_kept_where_the_agent_s_group_gets_at_them(device: Device) -> None:
    folder = "/var/lib/edgeferry/samples"

    def kept() -> list[str]:
        # One of them is going to be removed.
        found = device.machine.shell(f"ls {folder}/*.jpg").output.split()
        return found if len(found) > 1 else []

    newest = await_that("two samples", kept, PATIENCE)[-1]
    device.machine.shell(f"runuser -u edgeferry-agent -- sh -c 'cat {newest} > /dev/null'")
    device.machine.shell(f"runuser -u edgeferry-agent -- rm {newest}")
    assert json.loads(device.machine.run(COMMAND, "samples", "--json").output)


def test_doctor_finds_a_healthy_device_and_a_credential_that_was_replaced(device: Device) -> None:
    device.machine.shell("echo 2 >/etc/credstore/edgeferry.ca")
    done = device.machine.run(COMMAND, "doctor", "--json", check=False)
    device.machine.shell("rm /etc/credstore/edgeferry.ca")
    found = json.loads(done.output)["findings"]
    for finding in found:
        note(f"doctor, {finding['level']}", f"{finding['group']}: {finding['text']}")
    worse = {finding["group"] for finding in found if finding["level"] != "ok"}
    # Nothing sets this machine's clock.
    assert worse == {"clock", "services"}


def test_systemd_judges_the_sandbox_as_promised(device: Device) -> None:
    for unit, threshold in (("agent", "15"), ("worker", "20")):
        command = ("systemd-analyze", "--no-pager", "security", f"--threshold={threshold}")
        done = device.machine.run(*command, f"edgeferry-{unit}.service", check=False)
        note("exposure", done.output.splitlines()[-1])
        assert done.status == 0, done.output


def test_the_processes_are_who_and_where_they_should_be(device: Device) -> None:
    script = "ps -o user:20= -p {0}; readlink /proc/{0}/ns/net /proc/self/ns/net"
    for unit, own_network in (("agent", False), ("worker", True)):
        user, network, everyones = device.machine.shell(
            script.format(device.pid(unit))
        ).output.split()
        assert user == f"edgeferry-{unit}"
        assert (network != everyones) is own_network


def test_the_journal_has_priorities_and_no_second_time(device: Device) -> None:
    done = device.machine.shell(
        "journalctl -u edgeferry-agent -o json --output-fields=MESSAGE,PRIORITY"
    )
    entries = [json.loads(line) for line in done.output.splitlines()]
    ours = [entry for entry in entries if str(entry["MESSAGE"]).startswith("states.conductor: ")]
    assert ours
    assert all(entry["PRIORITY"] in {"4", "6"} for entry in ours)


def test_a_killed_agent_comes_back_while_the_worker_serves(device: Device) -> None:
    worker, before = device.pid("worker"), frames(device)
    device.machine.shell("systemctl kill --signal=SIGKILL --kill-whom=main edgeferry-agent")
    device.await_unit("agent", ActiveState="active", NRestarts="1")
    assert device.pid("worker") == worker
    assert frames(device) > before
    device.await_status("the link is up", lambda status: status["connected"])


def test_a_killed_worker_serves_again_while_the_agent_goes_on(device: Device) -> None:
    agent = device.pid("agent")
    device.machine.shell("systemctl kill --signal=SIGKILL --kill-whom=main edgeferry-worker")
    device.await_unit("worker", ActiveState="active", NRestarts="1")
    device.await_served("1")
    assert device.pid("agent") == agent


def test_a_worker_that_hangs_is_restarted_by_the_watchdog(device: Device) -> None:
    device.machine.shell(
        "mkdir -p /run/systemd/system/edgeferry-worker.service.d;"
        "printf '[Service]\\nWatchdogSec=20s\\n' >"
        " /run/systemd/system/edgeferry-worker.service.d/quick.conf;"
        "systemctl daemon-reload; systemctl restart edgeferry-worker"
    )
    device.await_served("1")
    device.machine.shell("systemctl kill --signal=SIGSTOP --kill-whom=main edgeferry-worker")
    device.await_unit("worker", ActiveState="active", NRestarts="1")
    device.await_served("1")
    assert "Watchdog timeout" in device.machine.run("journalctl", "-u", "edgeferry-worker").output


def test_the_worker_serves_without_the_agent(device: Device) -> None:
    device.machine.shell("systemctl stop edgeferry-agent")
    before = frames(device)
    device.machine.shell("systemctl restart edgeferry-worker")
    device.await_served("1")
    device.machine.shell("sleep 3")
    assert frames(device) != before
    device.machine.shell("systemctl start edgeferry-agent")


def test_an_upgrade_in_the_middle_of_a_download_loses_nothing(device: Device) -> None:
    device.machine.shell(
        "systemctl stop edgeferry-agent;"
        f"printf '\\n[download]\\nbytes_per_second = {BYTES_PER_SECOND}\\n' >>"
        " /etc/edgeferry/agent.toml; systemctl start edgeferry-agent"
    )
    device.deploy("2", "model-2.tflite", padding=PADDING)
    device.await_status(
        "some of it is here",
        lambda status: status["target"] and status["target"]["bytes_done"] > SOME,
    )
    text = device.show("agent", "StatusText")["StatusText"]
    note("status in mid-download", text)
    assert text.startswith("downloading ai-model 2")
    device.machine.shell(REBUILD, seconds=1800)
    device.machine.shell(f"{INSTALL} --wheel $(ls /root/other/*.whl)", seconds=1800)
    status = device.status()
    assert SOME < status["target"]["bytes_done"] < PADDING
    device.machine.shell(
        "sed -i '/download/,$d' /etc/edgeferry/agent.toml; systemctl restart edgeferry-agent"
    )
    device.await_served("2")
    update = json.loads(device.machine.shell("edgeferry history --updates --json").output)[0]
    assert update["fetched_bytes"] < (PADDING + 450_000) * 1.1


def test_both_releases_were_judged_on_the_same_frames(device: Device) -> None:
    update = device.newest_update()
    note("swap", update["swap"])
    assert update["swap"]["drained"] is False
    assert update["swap"]["gap_ms"] is not None
    comparison = update["window"]["figures"]["comparison"]
    assert comparison["same_frames"] is True
    assert comparison["compared"] > 0


def test_two_engines_and_a_trial_stay_below_their_units_limits(device: Device) -> None:
    if not device.machine.limits_memory:
        pytest.skip("this machine gives units no memory limit")
    for unit in ("agent", "worker"):
        taken = device.memory(unit)
        note(f"memory of the {unit}, MiB", taken)
        high = int(device.show(unit, "MemoryHigh")["MemoryHigh"]) >> 20
        assert taken["peak"] < high
        assert taken["held back"] == 0


# The same programs as another build: one more comment makes another wheel of the same version.
REBUILD = """
mkdir -p /root/other /root/unpacked; cd /root/unpacked
python3 - <<'END'
import pathlib, zipfile
wheel = next(pathlib.Path("/root/wheelhouse").glob("edgeferry-*.whl"))
with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(f"/root/other/{wheel.name}", "w") as new:
    for entry in old.infolist():
        new.writestr(entry, old.read(entry))
    new.comment = b"another build"
END
"""


def test_an_upgrade_that_does_not_start_is_taken_back(device: Device) -> None:
    active = device.active_version()
    before = device.machine.shell("readlink /opt/edgeferry/current").output
    device.machine.shell(BREAK)
    done = device.machine.shell(
        f"{INSTALL} --wheel $(ls /root/broken/*.whl)", check=False, seconds=1800
    )
    note("an upgrade that does not start", done.errors)
    assert done.status == 1
    assert "went back" in done.errors
    assert device.machine.shell("readlink /opt/edgeferry/current").output == before
    device.await_unit("agent", ActiveState="active")
    device.await_served(active)


# An agent that answers --help but can't run.
BREAK = """
mkdir -p /root/broken
python3 - <<'END'
import pathlib, zipfile
wheel = next(pathlib.Path("/root/wheelhouse").glob("edgeferry-*.whl"))
with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(f"/root/broken/{wheel.name}", "w") as new:
    for entry in old.infolist():
        content = old.read(entry)
        if entry.filename == "agent/daemon.py":
            content = b"raise SystemExit(1)\\n"
        if not entry.filename.endswith("RECORD"):
            new.writestr(entry, content)
            continue
        rows = [row for row in content.decode().splitlines() if "agent/daemon.py" not in row]
        new.writestr(entry, "\\n".join([*rows, "agent/daemon.py,,"]))
END
"""


def test_a_power_cut_loses_nothing_and_it_serves_at_once(device: Device) -> None:
    active = device.active_version()
    device.cloud.process.stop()
    history = device.machine.run(COMMAND, "history", "--json").output
    device.machine.cut_power()
    device.await_served(active)
    assert device.machine.run(COMMAND, "history", "--json").output == history
    device.cloud.start()
    device.deploy("3")
    device.await_served("3")


def test_it_leaves_nothing_but_what_is_mine(device: Device) -> None:
    device.machine.shell("/opt/edgeferry/current/share/edgeferry/systemd/install.sh --uninstall")
    left = device.machine.shell("ls -d /opt/edgeferry /etc/systemd/system/edgeferry* || :").output
    assert left == ""
    device.machine.shell("test -f /var/lib/edgeferry/state.db -a -f /etc/edgeferry/agent.toml")
    device.machine.shell("/root/install.sh --purge --yes")
    assert device.machine.shell("ls -d /var/lib/edgeferry /etc/edgeferry || :").output == ""
    assert device.machine.run("id", "edgeferry-agent", check=False).status != 0
