"""Deployments of every kind, on real processes, as an operator and a device see them."""

from __future__ import annotations

import hashlib

import pytest

from agent.commands.display import show_status
from demo.cloud_process import CloudProcess
from demo.stage import Document, await_that
from tests.support.json_outputs import read_output
from tests.support.waiting import PATIENCE
from tests.support.worker_harness import assert_balanced
from tests.system.conftest import LABELS, Bench

pytestmark = pytest.mark.system


def test_a_deployment_is_served_and_reported(running: Bench) -> None:
    running.deploy("1")
    status = running.await_served("1")
    model = running.model("1").read_bytes()
    assert status["active"]["packages"]["ai-model"]["sha256"] == hashlib.sha256(model).hexdigest()
    current = running.device.state_dir / "current"
    assert (current / "ai-model.tflite").read_bytes() == model
    assert (running.device.state_dir / "models" / "labels.txt").read_bytes() == LABELS

    def reported() -> bool:
        events = list(running.fleet.management.ota_events(device_id=running.device_id))
        codes = [(e.event_type, e.status) for e in reversed(events) if e.package_id == "ai-model"]
        expected = [("DOWNLOADING", 0), ("DOWNLOADED", 0), ("UPDATING", 0), ("UPDATING", 1)]
        return codes[:5] == [*expected, ("IDLE", 0)]

    await_that("every step is reported in order", reported, PATIENCE, running.device.log_tail)

    def idle_again() -> Document | None:
        told: Document = running.fleet.management.device_state(running.device_id, "edgeferry")
        return told if told["state"] == "idle" else None

    state = await_that("it is idle again", idle_again, PATIENCE, running.device.log_tail)
    assert state["active"]["versions"] == {"ai-model": "1", "labels": "1"}

    def worker_reported() -> bool:
        told = running.fleet.management.device_state(running.device_id, "edgeferry/worker")
        return bool(told and told["state"] in {"waiting", "serving"} and "dropped" in told)

    await_that("the worker's figures arrive", worker_reported, PATIENCE, running.device.log_tail)

    def metrics() -> list[Document]:
        return running.streamed("edgeferry", "metrics")

    await_that("two intervals are told", lambda: len(metrics()) > 1, PATIENCE)
    for document in metrics():
        assert document["release"] == status["active"]["id"]
        assert (document["version"], document["sequence"]) == ("1", status["active"]["sequence"])
        assert document["captured"] == document["classified"] + document["dropped"] > 0
        assert document["device"]["worker_rss_bytes"] > 1 << 20


def test_a_certificate_makes_a_device_known_by_itself(cloud: CloudProcess, bench: Bench) -> None:
    files = bench.fleet.issue_certificate(bench.folder / "pki", "camera-with-certificate")
    bench.configure(
        certificate=str(files.certificate),
        private_key=str(files.key),
        server_ca=str(cloud.address.server_ca),
    )
    bench.device.start("worker")
    bench.device.start("run")
    bench.fleet.adopt("camera-with-certificate", PATIENCE)
    bench.deploy("1")
    bench.await_served("1")


def test_a_pair_that_does_not_fit_is_refused_and_the_old_one_serves_on(running: Bench) -> None:
    running.deploy("1")
    before = running.await_served("1")
    running.deploy("3-outputs", running.model("3", classes=3))
    status = running.device.await_status(
        "refused", lambda s: s["rejected"] and s["state"] == "idle", PATIENCE
    )
    assert status["rejected"][0]["reason"] == "label-count-mismatch"
    assert status["active"]["id"] == before["active"]["id"]
    assert status["worker"]["release"] == before["active"]["id"]
    assert status["worker"]["classified"] > before["worker"]["classified"]
    assert_balanced(status["worker"])


def test_the_same_content_again_does_nothing(running: Bench) -> None:
    running.deploy("1")
    before = running.await_served("1")
    steps = running.states()
    running.deploy("1")
    after = running.device.await_status(
        "the new sequence number is noted",
        lambda s: s["active"]["sequence"] != before["active"]["sequence"],
        PATIENCE,
    )
    assert after["active"]["id"] == before["active"]["id"]
    assert running.states() == steps


def test_going_back_downloads_nothing(running: Bench) -> None:
    for version in ("1", "2", "1"):
        running.deploy(version)
        running.await_served(version)
    last = running.device.inspect(lambda inspector: inspector.updates(1))[0]
    assert last["fetched_bytes"] == 0
    assert last["outcome"] == "confirmed"


def test_a_download_is_accounted_for_while_it_runs_and_afterwards(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    size = 200_000
    model = bench.large_model("accounted-1", size)
    bench.device.start("worker")
    bench.device.start("run", {"EDGEFERRY_DOWNLOAD__BYTES_PER_SECOND": "60000"})
    bench.deploy("accounted-1", model)
    status = bench.device.await_status(
        "the middle", lambda s: s["download"] and s["download"]["eta_s"], PATIENCE
    )
    link = status["download"]
    assert link["blocks"] > 0
    assert 0 < link["bytes_per_second"] < 60_000
    assert link["rtt_ms"] >= link["minimum_rtt_ms"] > 0
    show_status(status)
    assert "kB/s" in capsys.readouterr().out
    bench.await_served("accounted-1")
    update = bench.device.inspect(lambda inspector: inspector.updates(1))[0]
    assert update["fetched_bytes"] == model.stat().st_size + len(LABELS)
    assert update["fetched_blocks"] == -(-model.stat().st_size // 1024) + 1
    # A busy machine may answer later than any round trip before.
    assert update["retransmissions"] < update["fetched_blocks"] // 10


def test_a_newer_manifest_in_mid_download_takes_over(bench: Bench) -> None:
    bench.device.start("worker")
    bench.device.start("run", {"EDGEFERRY_GOLIOTH__REQUESTS_PER_SECOND": "40"})
    bench.deploy("large-1", bench.large_model("large-1", 400_000))
    bench.device.await_status(
        "some of it is there", lambda s: s["target"] and s["target"]["bytes_done"] > 9000, PATIENCE
    )
    bench.deploy("2")
    bench.await_served("2")
    updates = bench.device.inspect(lambda inspector: inspector.updates(9))
    assert [update["outcome"] for update in updates] == ["superseded", "confirmed"]
    assert not list((bench.device.state_dir / "partial").iterdir())
    status = bench.device.inspect(lambda inspector: inspector.status())
    assert status["rejected"] == []


def test_an_empty_manifest_and_foreign_packages_change_nothing(running: Bench) -> None:
    assert running.states() == []
    firmware = running.fleet.management.publish("main", "1.0.0", b"firmware")
    running.fleet.deploy("firmware only", [firmware.id])
    running.deploy("1")
    running.await_served("1")
    steps = running.states()
    model = running.fleet.upload(
        "1", running.model("1"), running.folder / f"labels-{len(LABELS)}.txt"
    )
    running.fleet.deploy("model and other firmware", [*model, firmware.id])
    running.device.await_status(
        "the manifest has come", lambda s: s["active"]["sequence"] is not None, PATIENCE
    )
    assert running.states() == steps


def test_a_manifest_without_labels_is_refused(running: Bench) -> None:
    artifact = running.fleet.management.publish(
        "ai-model", "lonely", running.model("9").read_bytes()
    )
    running.fleet.deploy("lonely model", [artifact.id])
    status = running.device.await_status("refused", lambda s: s["rejected"], PATIENCE)
    assert status["rejected"][0]["reason"] == "incomplete-release"
    assert "labels" in status["rejected"][0]["detail"]


def test_the_inspecting_commands_answer_for_people_and_scripts(running: Bench) -> None:
    running.deploy("1")
    running.await_served("1")

    status = read_output(["status"], running.say("status", "--json"))
    keys = "state since connected active previous target rejected last_error next_try_in_s"
    assert {*keys.split(), "traffic", "worker"} <= status.keys()
    (release,) = read_output(["releases"], running.say("releases", "--json"))
    assert release["role"] == "active"
    (last,) = read_output(["history"], running.say("history", "--json", "--limit", "1"))
    assert last["target"] == "idle"
    updates = ("history", "--updates", "--json")
    assert read_output(updates, running.say(*updates))[-1]["outcome"] == "confirmed"
    assert "ai-model 1" in running.say("status")
    assert "confirmed" in running.say("history", "--updates")
    assert "downloading" in running.say("history")
    running.device.stop()
    stopped = read_output(["status"], running.say("status", "--json"))
    assert (stopped["running"], stopped["connected"]) == (False, False)
    assert stopped["active"] == status["active"]
    assert stopped["worker"]["state"] == "away"


def test_a_second_agent_on_the_same_state_is_refused(running: Bench) -> None:
    second = running.edgeferry("run")
    assert second.returncode == 1
    assert f"in use by process {running.device.agent.pid}" in second.stderr


def test_a_held_release_waits_on_disk_until_it_is_let_go(running: Bench) -> None:
    running.deploy("1")
    running.await_served("1")
    assert "on hold: activation" in running.say("hold")
    running.deploy("2")
    status = running.device.await_status("held", lambda s: s["state"] == "held", PATIENCE)
    assert "release-hold" in status["waits_for"]
    assert status["target"]["bytes_done"] == status["target"]["bytes_total"]
    assert status["active"]["packages"]["ai-model"]["version"] == "1"
    assert "release-hold" in running.say("status")
    running.device.agent.kill()
    running.device.start("run")
    running.device.await_status("still held", lambda s: s["running"], PATIENCE)
    running.say("release-hold")
    running.await_served("2")


def test_wrong_configuration_is_exit_status_2(bench: Bench) -> None:
    bench.device.config.write_text("[golioth]\nurl = 'x'\n")
    answer = bench.edgeferry("run")
    assert answer.returncode == 2
    assert "did you mean uri?" in answer.stderr
