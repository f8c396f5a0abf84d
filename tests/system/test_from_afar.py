"""Settings and remote calls on real processes: agent and worker apart, as on a device."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from demo.stage import await_that
from tests.support.waiting import PATIENCE
from tests.system.conftest import Bench

pytestmark = pytest.mark.system


class Api:
    """The management API, as far as it concerns one device."""

    def __init__(self, bench: Bench) -> None:
        address = bench.cloud.address
        self._http = httpx.Client(
            base_url=f"{address.http}/v1/projects/{address.project}",
            headers={"x-api-key": address.api_key},
            timeout=PATIENCE,
        )
        self._device = bench.device_id

    def call(self, method: str, *params: object) -> dict[str, Any]:
        """The device's answer to a remote call."""
        body = {"method": method, "params": list(params)}
        answer = self._http.post(f"/devices/{self._device}/rpc", json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def set(self, key: str, kind: str, value: object) -> None:
        """Make a setting of the project, and of this device alone."""
        setting = {"key": key, "dataType": kind, "value": value}
        for scope in ({}, {"deviceId": self._device}):
            answer = self._http.post("/settings", json={**setting, **scope})
            assert answer.status_code == 200, answer.text

    def logs(self) -> dict[str, dict[str, Any]]:
        """The newest line of each module in the device's log."""
        answer = self._http.get("/logs", params={"deviceId": self._device})
        assert answer.status_code == 200, answer.text
        return {line["module"]: line for line in answer.json()["list"][::-1]}

    def close(self) -> None:
        self._http.close()


@pytest.fixture
def api(bench: Bench) -> Iterator[Api]:
    api = Api(bench)
    yield api
    api.close()


def test_a_worker_restarted_from_afar_goes_by_the_settings_again(bench: Bench, api: Api) -> None:
    bench.tables["remote"] = {"allow": True}
    bench.device.configure(bench.tables)
    bench.device.start("worker")
    bench.device.start("run")
    bench.deploy("1")
    before = bench.await_served("1")["worker"]["instance"]
    # Harmless to the other devices of this cloud: it changes nothing while samples are off.
    api.set("SAMPLES_COOLDOWN_SECONDS", "float", 5)
    bench.device.await_status(
        "the setting is in force",
        lambda s: s["settings"]["in_force"] == {"SAMPLES_COOLDOWN_SECONDS": 5.0},
        PATIENCE,
    )
    assert api.call("capture", True)["detail"]["on"] is True
    assert api.call("restart_worker") == {"statusCode": 0, "detail": {"restarts": True}}
    status = bench.device.await_status(
        "the worker lives again",
        lambda s: s["worker"].get("instance") not in {None, before},
        PATIENCE,
    )
    assert bench.device.worker.running, "it is the same process"
    assert status["worker"]["samples"]["on"] is False, "a call holds for one life only"
    bench.await_served("1")
    await_that(
        "the device answers",
        lambda: api.call("status")["detail"]["worker"]["state"] == "serving",
        PATIENCE,
        bench.device.log_tail,
    )


def test_a_camera_that_is_not_there_is_in_the_cloud_s_log(bench: Bench, api: Api) -> None:
    missing = bench.folder / "pictures"
    bench.tables["worker"] = {"source": f"dir:{missing}"}
    bench.device.configure(bench.tables)
    bench.device.start("worker")
    bench.device.start("run")
    line = await_that(
        "the worker's line arrives",
        lambda: api.logs().get("agent.worker.camera.capture"),
        PATIENCE,
        bench.device.log_tail,
        every=0.5,
    )
    assert line["level"] == "ERROR"
    assert str(missing) in line["message"]
